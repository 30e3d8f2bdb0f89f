from kata.wrong import wrong
from solutions.ch06_moe.ex05_moe_accounting import moe_accounting

TOTAL = [
    "counts_a_small_model_by_hand",
    "mixtral_has_its_published_sizes",
    "tied_head_is_multiplied_but_not_stored",
    "total_is_that_of_transformers",
]
FLOPS = [
    "counts_a_small_model_by_hand",
    "tied_head_is_multiplied_but_not_stored",
    "flops_are_what_torch_counts",
]
EVERY = [*TOTAL, "every_expert_used_leaves_none_over", "flops_are_what_torch_counts"]


def add(counts, parameters=0, used=0, multiplied=0):
    """The right counts and so many more."""
    return {
        "total": counts["total"] + parameters,
        "active": counts["active"] + used,
        "flops_per_token": counts["flops_per_token"] + 2 * multiplied,
    }


def attention(config):
    d = config.hidden_size
    return 2 * d * d + 2 * d * (d // config.num_attention_heads) * config.num_key_value_heads


def everywhere(counts, parameters):
    return add(counts, parameters, parameters, parameters)


@wrong(caught_by=EVERY)
def moe_accounting__multiplies_attention_by_the_experts(config):
    """Attention was counted once per expert. Only the feed-forward networks are there several
    times: all experts share the attention of their block. That is why 8x7B is not 56 B."""
    counts = moe_accounting(config)
    layers = config.num_hidden_layers * attention(config)
    more, used = config.num_local_experts - 1, config.num_experts_per_tok - 1
    return add(counts, more * layers, used * layers, used * layers)


@wrong(caught_by=EVERY)
def moe_accounting__forgets_the_router(config):
    """The router is missing: one row of hidden_size numbers per expert in every block, and each
    token is multiplied with all of them."""
    router = config.num_hidden_layers * config.num_local_experts * config.hidden_size
    return everywhere(moe_accounting(config), -router)


@wrong(
    caught_by=[
        "counts_a_small_model_by_hand",
        "mixtral_has_its_published_sizes",
        "tied_head_is_multiplied_but_not_stored",
        "flops_are_what_torch_counts",
    ]
)
def moe_accounting__routes_with_the_chosen_rows_only(config):
    """Only the chosen experts' rows of the router were counted as used. To know which experts are
    the best, it has to score all of them."""
    idle = config.num_local_experts - config.num_experts_per_tok
    router = config.num_hidden_layers * idle * config.hidden_size
    return add(moe_accounting(config), used=-router, multiplied=-router)


@wrong(caught_by=[*TOTAL, "every_expert_used_leaves_none_over"])
def moe_accounting__forgets_the_norms(config):
    """The norms are missing: two in every block and a last one, each with hidden_size numbers."""
    norms = (2 * config.num_hidden_layers + 1) * config.hidden_size
    return add(moe_accounting(config), -norms, -norms)


@wrong(caught_by=EVERY)
def moe_accounting__gives_each_query_head_its_own_keys(config):
    """Keys and values were counted as large as the queries. There are num_key_value_heads of each,
    which several query heads share (3.7)."""
    d, heads = config.hidden_size, config.num_attention_heads
    shared = 2 * d * (d // heads) * (heads - config.num_key_value_heads)
    return everywhere(moe_accounting(config), config.num_hidden_layers * shared)


@wrong(caught_by=EVERY)
def moe_accounting__gives_an_expert_two_matrices(config):
    """An expert was counted with two matrices. A SwiGLU has three: the gate, up and down."""
    counts = moe_accounting(config)
    matrix = config.num_hidden_layers * config.hidden_size * config.intermediate_size
    used = config.num_experts_per_tok * matrix
    return add(counts, -config.num_local_experts * matrix, -used, -used)


@wrong(
    caught_by=[
        "counts_a_small_model_by_hand",
        "mixtral_has_its_published_sizes",
        "tied_head_is_multiplied_but_not_stored",
    ]
)
def moe_accounting__takes_a_share_of_the_total(config):
    """The total was multiplied by k / experts. Only the experts are divided like that: attention,
    router, table and head work for every token."""
    counts = moe_accounting(config)
    share = counts["total"] * config.num_experts_per_tok // config.num_local_experts
    return counts | {"active": share}


@wrong(
    caught_by=[
        "counts_a_small_model_by_hand",
        "mixtral_has_its_published_sizes",
        "tied_head_is_multiplied_but_not_stored",
        "flops_are_what_torch_counts",
    ]
)
def moe_accounting__uses_every_expert(config):
    """All experts were counted as used. A token goes through num_experts_per_tok of them."""
    counts = moe_accounting(config)
    return add(counts, 0, idle := counts["total"] - counts["active"], idle)


@wrong(
    caught_by=[
        "tied_head_is_multiplied_but_not_stored",
        "total_is_that_of_transformers",
    ]
)
def moe_accounting__stores_a_tied_head_twice(config):
    """A tied head was counted as parameters of its own. It is the token table once more."""
    table = config.vocab_size * config.hidden_size if config.tie_word_embeddings else 0
    return add(moe_accounting(config), table, table)


@wrong(
    caught_by=["tied_head_is_multiplied_but_not_stored", "flops_are_what_torch_counts"],
)
def moe_accounting__gets_a_tied_head_for_free(config):
    """A tied head was left out of the FLOPs. It needs no memory of its own, but every token is
    multiplied with it all the same."""
    table = config.vocab_size * config.hidden_size if config.tie_word_embeddings else 0
    return add(moe_accounting(config), multiplied=-table)


@wrong(caught_by=[*FLOPS, "every_expert_used_leaves_none_over"])
def moe_accounting__multiplies_with_the_table(config):
    """The token table was counted in the FLOPs. Looking a row up is no multiplication."""
    table = config.vocab_size * config.hidden_size
    return add(moe_accounting(config), multiplied=table)


@wrong(caught_by=[*FLOPS, "every_expert_used_leaves_none_over"])
def moe_accounting__takes_multiply_add_for_one(config):
    """The FLOPs are half of what they are: each entry of a matrix is multiplied, and the product
    is added to a sum. That is two operations."""
    counts = moe_accounting(config)
    return counts | {"flops_per_token": counts["flops_per_token"] // 2}


@wrong(caught_by=[*FLOPS, "every_expert_used_leaves_none_over"])
def moe_accounting__multiplies_with_the_norms(config):
    """The weights of the norms were counted in the FLOPs, as in 2 * active. They are no matrices
    that a token is multiplied with."""
    norms = (2 * config.num_hidden_layers + 1) * config.hidden_size
    return add(moe_accounting(config), multiplied=norms)


@wrong(caught_by=["impossible_choices_are_refused"])
def moe_accounting__accepts_any_number_of_experts(config):
    """A token cannot go through more experts than there are, nor through none: raise ValueError."""
    possible = max(1, min(config.num_experts_per_tok, config.num_local_experts))
    return moe_accounting(type(config)(**vars(config) | {"num_experts_per_tok": possible}))
