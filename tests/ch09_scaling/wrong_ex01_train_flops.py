from kata.wrong import wrong
from solutions.ch09_scaling.ex01_train_flops import forward_flops, train_flops

TRAIN = ["training_by_hand", "six_nd_is_what_torch_counts"]
ALL = [
    "tiny_model_by_hand",
    "gpt2_small_has_its_published_count",
    "flops_are_what_torch_counts",
]
PAIRS = [*ALL, "only_attention_grows_with_the_square"]


@wrong(caught_by=TRAIN)
def train_flops__counts_the_forward_pass_only(n_params, n_tokens):
    """These are the FLOPs of the forward pass. Training goes back through every matrix, too, and
    that costs twice as much again."""
    return train_flops(n_params, n_tokens) / 3


@wrong(caught_by=TRAIN)
def train_flops__takes_multiply_add_for_one(n_params, n_tokens):
    """The FLOPs are half of what they are. A multiplication and an addition are two operations."""
    return train_flops(n_params, n_tokens) / 2


@wrong(caught_by=TRAIN)
def train_flops__goes_back_for_the_price_of_forward(n_params, n_tokens):
    """The backward pass was counted like the forward pass. It has two products for each of its
    matrices: one gives the gradient of the weights, one that of the input."""
    return train_flops(n_params, n_tokens) * 4 / 6


@wrong(caught_by=["negative_sizes_are_refused"])
def train_flops__accepts_negative_numbers(n_params, n_tokens):
    """Negative numbers of parameters or tokens were accepted. Raise a ValueError."""
    return 6 * n_params * n_tokens


@wrong(caught_by=["negative_sizes_are_refused"])
def train_flops__looks_at_the_product(n_params, n_tokens):
    """The sign of the product was checked. It is positive when both numbers are negative, and 0
    when the other one is 0: check each of them."""
    if n_params * n_tokens < 0:
        raise ValueError("neither may be negative")
    return 6 * n_params * n_tokens


@wrong(caught_by=PAIRS)
def forward_flops__takes_multiply_add_for_one(config, seq):
    """The FLOPs are half of what they are. Each entry of a matrix is multiplied, and the product is
    added to a sum: two operations."""
    return forward_flops(config, seq) // 2


@wrong(caught_by=PAIRS)
def forward_flops__forgets_the_pairs(config, seq):
    """Only the products with weights were counted. Attention also multiplies queries with keys, and
    the attention weights with values: that grows with the square of the length."""
    return forward_flops(config, seq) - 4 * config.n_layer * config.n_embd * seq**2


@wrong(caught_by=PAIRS)
def forward_flops__counts_half_of_the_pairs(config, seq):
    """Attention's part that grows with the square of the length is half of what it is. There are
    two such products, the scores and the weighted sums, and the mask makes neither of them
    cheaper."""
    return forward_flops(config, seq) - 2 * config.n_layer * config.n_embd * seq**2


@wrong(caught_by=PAIRS)
def forward_flops__repeats_the_pairs_per_head(config, seq):
    """The products of queries, keys and values were counted n_head times. The heads share the
    n_embd features: each has n_embd / n_head of them."""
    extra = 4 * config.n_layer * config.n_embd * seq**2 * (config.n_head - 1)
    return forward_flops(config, seq) + extra


@wrong(caught_by=PAIRS)
def forward_flops__pairs_one_query(config, seq):
    """The scores and weighted sums of one query only were counted. There are `seq` queries, and
    each has `seq` keys: the square."""
    return forward_flops(config, seq) - 4 * config.n_layer * config.n_embd * (seq**2 - seq)


@wrong(caught_by=ALL)
def forward_flops__multiplies_with_the_tables(config, seq):
    """The tables of tokens and positions were counted. A row is looked up in them: that is no
    multiplication."""
    tables = (config.vocab_size + config.n_positions) * config.n_embd
    return forward_flops(config, seq) + 2 * seq * tables


@wrong(caught_by=ALL)
def forward_flops__forgets_the_head(config, seq):
    """The head is missing. It is tied and needs no memory of its own, but each position is
    multiplied with it all the same."""
    return forward_flops(config, seq) - 2 * seq * config.n_embd * config.vocab_size


@wrong(caught_by=[*ALL, "only_attention_grows_with_the_square"])
def forward_flops__has_logits_for_the_last_token(config, seq):
    """The head was counted once. The model of 4.2 gives logits at each of the `seq` positions."""
    return forward_flops(config, seq) - 2 * (seq - 1) * config.n_embd * config.vocab_size


@wrong(caught_by=ALL)
def forward_flops__counts_biases_and_norms(config, seq):
    """Biases and norms were counted, as in 2 * parameters. They are no matrices."""
    vectors = config.n_layer * 13 * config.n_embd + 2 * config.n_embd
    return forward_flops(config, seq) + 2 * seq * vectors


@wrong(caught_by=ALL)
def forward_flops__gives_the_mlp_one_matrix(config, seq):
    """The MLP was counted with one matrix. It has two: up to 4 * n_embd features, and back."""
    return forward_flops(config, seq) - 2 * seq * config.n_layer * 4 * config.n_embd**2


@wrong(caught_by=ALL)
def forward_flops__forgets_the_output_projection(config, seq):
    """Attention has four matrices of n_embd x n_embd: queries, keys, values, and the output
    projection that mixes the heads."""
    return forward_flops(config, seq) - 2 * seq * config.n_layer * config.n_embd**2


@wrong(caught_by=PAIRS)
def forward_flops__includes_the_backward_pass(config, seq):
    """That is a whole step of training, three times as much. Count the forward pass only."""
    return 3 * forward_flops(config, seq)


@wrong(caught_by=["impossible_lengths_are_refused"])
def forward_flops__accepts_any_length(config, seq):
    """The length was not checked. GPT-2 has no vector for position n_positions or any later one,
    and there is no text without tokens: raise a ValueError."""
    per_token = config.n_layer * (12 * config.n_embd**2 + 2 * seq * config.n_embd)
    return 2 * seq * (per_token + config.n_embd * config.vocab_size)


@wrong(
    crashes=[
        "gpt2_small_has_its_published_count",
        "only_attention_grows_with_the_square",
        "flops_are_what_torch_counts",
    ]
)
def forward_flops__refuses_the_longest_text(config, seq):
    """A text of exactly n_positions tokens was refused. It fits."""
    if seq == config.n_positions:
        raise ValueError("too long")
    return forward_flops(config, seq)
