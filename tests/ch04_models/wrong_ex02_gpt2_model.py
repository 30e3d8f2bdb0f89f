import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex02_embedding import Embedding
from solutions.ch02_layers.ex06_layer_norm import LayerNorm
from solutions.ch02_layers.ex10_dropout import Dropout
from solutions.ch02_layers.ex12_init_gpt2_weights import init_gpt2_weights_
from solutions.ch03_attention.ex04_multi_head_attention import MultiHeadAttention
from solutions.ch04_models.ex01_gpt2_block import GPT2Block
from solutions.ch04_models.ex02_gpt2_model import GPT2Model


class Parts(GPT2Model):
    """The reference in steps, each of which a mistake can replace."""

    def forward(self, ids):
        self.check(ids)
        x = self.dropout(self.embed(ids))
        for block in self.h:
            x = block(x)
        return self.head(x)

    def check(self, ids):
        if ids.shape[1] > self.config.n_positions:
            raise ValueError(f"{ids.shape[1]} tokens are too many")

    def embed(self, ids):
        return self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))

    def head(self, x):
        return self.lm_head(self.ln_f(x))


@wrong(
    caught_by=[
        "three_words_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_last_bias",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__forgets_the_last_norm(Parts):
    """The last layer norm, `ln_f`, was not applied before the head."""

    def head(self, x):
        return self.lm_head(x)


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_last_bias",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__normalises_after_each_block(Parts):
    """`ln_f` was applied after every block. It comes once, after the last one."""

    def forward(self, ids):
        self.check(ids)
        x = self.dropout(self.embed(ids))
        for block in self.h:
            x = self.ln_f(block(x))
        return self.lm_head(x)


@wrong(
    caught_by=[
        "gpt2_small_has_124_million_parameters",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_last_bias",
    ]
)
class GPT2Model__has_an_untied_head(GPT2Model):
    """The head has a weight of its own. Let it be the parameter of `wte`, not a copy of its
    values: `self.lm_head.weight = self.wte.weight`."""

    def __init__(self, config):
        super().__init__(config)
        self.lm_head.weight = nn.Parameter(self.wte.weight.detach().clone())


@wrong(caught_by=["gradient_of_each_parameter_agrees"])
class GPT2Model__cuts_the_head_off(Parts):
    """The head used the values of `wte` without their gradient (`.data`, `.detach()`). A tied
    weight learns from both of its places."""

    def head(self, x):
        return self.ln_f(x) @ self.wte.weight.data.T


@wrong(
    caught_by=[
        "three_words_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__numbers_the_rows(Parts):
    """Each row got the position of its number in the batch. Positions count the tokens within a
    row, from 0."""

    def embed(self, ids):
        rows = torch.arange(ids.shape[0], device=ids.device) % self.config.n_positions
        return self.wte(ids) + self.wpe(rows)[:, None]


@wrong(
    caught_by=[
        "three_words_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__has_no_positions(Parts):
    """Position embeddings are missing: `wpe` was not added to the tokens."""

    def embed(self, ids):
        return self.wte(ids)


@wrong(
    caught_by=[
        "three_words_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__looks_positions_up_by_token(Parts):
    """The positions were looked up with the ids of the tokens. They are 0, 1, 2, ... in each
    row."""

    def embed(self, ids):
        return self.wte(ids) + self.wpe(ids % self.config.n_positions)


@wrong(
    caught_by=[
        "three_words_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__counts_positions_backwards(Parts):
    """The last token got position 0. The first one does."""

    def embed(self, ids):
        return self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device).flip(0))


@wrong(
    caught_by=[
        "later_tokens_do_not_change_earlier_logits",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__sees_the_future(GPT2Model):
    """Tokens see later ones: the blocks are those of an encoder. What comes next must not be seen
    by what is to predict it."""

    def __init__(self, config):
        super().__init__(config)
        for block in self.h:
            block.attn = MultiHeadAttention(config.n_embd, config.n_head, causal=False)
        init_gpt2_weights_(self, config.n_layer)


@wrong(caught_by=["more_tokens_than_positions_are_refused"])
class GPT2Model__leaves_it_to_the_table(Parts):
    """Too many tokens ended in whatever the position table raises. The docstring asks for a
    ValueError, which tells the reason."""

    def check(self, ids):
        pass


@wrong(caught_by=["more_tokens_than_positions_are_refused"])
class GPT2Model__starts_over_at_position_0(Parts):
    """Too many tokens were accepted: the positions start over. Such a text is to be refused."""

    def check(self, ids):
        pass

    def embed(self, ids):
        positions = torch.arange(ids.shape[1], device=ids.device) % self.config.n_positions
        return self.wte(ids) + self.wpe(positions)


@wrong(caught_by=["more_tokens_than_positions_are_refused"])
class GPT2Model__cuts_long_texts(Parts):
    """Too many tokens were accepted: those that did not fit were cut off. Such a text is to be
    refused; what to leave out is for the caller to say."""

    def forward(self, ids):
        return super().forward(ids[:, -self.config.n_positions :])


@wrong(crashes=["three_words_by_hand", "agrees_with_gpt2"])
class GPT2Model__refuses_the_longest_text(Parts):
    """A text of exactly `n_positions` tokens was refused. It still fits: the last one stands at
    position n_positions - 1."""

    def check(self, ids):
        if ids.shape[1] >= self.config.n_positions:
            raise ValueError("too many tokens")


@wrong(
    caught_by=[
        "gpt2_small_has_124_million_parameters",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__has_one_block(GPT2Model):
    """The same block is used at every layer (`[block] * n_layer`). Each layer has a block, and
    weights, of its own."""

    def __init__(self, config):
        super().__init__(config)
        self.h = nn.ModuleList([self.h[0]] * config.n_layer)


@wrong(
    caught_by=[
        "has_the_parameters_of_gpt2",
        "gpt2_small_has_124_million_parameters",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
    ],
    crashes=[
        "agrees_with_gpt2",
        "starts_with_the_weights_of_gpt2",
        "keeps_the_dtype",
        "stays_on_the_device_of_the_ids",
        "positions_are_made_where_the_ids_are",
    ],
)
class GPT2Model__hides_its_blocks(GPT2Model):
    """The blocks are in a plain list, where torch does not see their parameters: they would be
    neither trained nor loaded. `nn.ModuleList` is a list that torch knows."""

    def __init__(self, config):
        super().__init__(config)
        blocks = list(self.h)
        del self.h
        self.h = blocks


@wrong(caught_by=["agrees_with_gpt2"])
class GPT2Model__passes_no_eps_on(GPT2Model):
    """`layer_norm_epsilon` was not passed on to the blocks."""

    def __init__(self, config):
        super().__init__(config)
        args = config.n_embd, config.n_head, config.dropout
        self.h = nn.ModuleList(GPT2Block(*args) for _ in range(config.n_layer))
        init_gpt2_weights_(self, config.n_layer)


@wrong(caught_by=["agrees_with_gpt2"])
class GPT2Model__ignores_eps_at_the_end(GPT2Model):
    """`layer_norm_epsilon` was not passed on to `ln_f`."""

    def __init__(self, config):
        super().__init__(config)
        self.ln_f = LayerNorm(config.n_embd)


@wrong(caught_by=["dropping_everything_leaves_the_last_bias"])
class GPT2Model__does_not_drop_embeddings(GPT2Model):
    """The sum of the embeddings was not dropped in training mode."""

    def __init__(self, config):
        super().__init__(config)
        self.dropout = nn.Identity()


@wrong(caught_by=["dropping_everything_leaves_the_last_bias"])
class GPT2Model__passes_no_dropout_on(GPT2Model):
    """`config.dropout` was not passed on to the blocks."""

    def __init__(self, config):
        super().__init__(config)
        args = config.n_embd, config.n_head, 0.0, config.layer_norm_epsilon
        self.h = nn.ModuleList(GPT2Block(*args) for _ in range(config.n_layer))
        init_gpt2_weights_(self, config.n_layer)


@wrong(caught_by=["evaluation_mode_has_no_dropout"])
class GPT2Model__drops_in_evaluation(Parts):
    """The embeddings were dropped in evaluation mode, too: a dropout made in `forward` is always
    in training mode. Make it in `__init__`."""

    def embed(self, ids):
        return Dropout(self.config.dropout)(super().embed(ids))


@wrong(caught_by=["starts_with_the_weights_of_gpt2"])
class GPT2Model__starts_as_torch_does(GPT2Model):
    """The parameters start with torch's own initial values: `init_gpt2_weights_` (2.12) was not
    called."""

    def __init__(self, config):
        super().__init__(config)
        for module in self.modules():
            if isinstance(module, nn.Embedding | nn.Linear):
                module.reset_parameters()


@wrong(caught_by=["starts_with_the_weights_of_gpt2"])
class GPT2Model__starts_each_block_alone(GPT2Model):
    """The residual projections start too large: their factor is sqrt(2 n_layer), and `n_layer` is
    that of the whole model."""

    def __init__(self, config):
        super().__init__(config)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("c_proj.weight"):
                    parameter.mul_(config.n_layer**0.5)


@wrong(
    caught_by=[
        "three_words_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_last_bias",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__returns_probabilities(Parts):
    """A softmax was applied. The model returns logits; a loss or a sampler does the rest."""

    def head(self, x):
        return super().head(x).softmax(-1)


@wrong(
    caught_by=[
        "three_words_by_hand",
        "later_tokens_do_not_change_earlier_logits",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_last_bias",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
        "stays_on_the_device_of_the_ids",
    ]
)
class GPT2Model__answers_for_the_last_token_only(Parts):
    """Only the last position has logits. Training needs those of every position."""

    def head(self, x):
        return super().head(x)[:, -1]


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__scales_the_embeddings(Parts):
    """The token vectors were multiplied by sqrt(n_embd), as in the first transformer. GPT-2 adds
    the position to the vector as it is."""

    def embed(self, ids):
        tokens = self.wte(ids)
        return super().embed(ids) + tokens * (self.config.n_embd**0.5 - 1)


@wrong(
    caught_by=[
        "has_the_parameters_of_gpt2",
        "gpt2_small_has_124_million_parameters",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "dropping_everything_leaves_the_last_bias",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Model__has_a_bias_in_the_head(GPT2Model):
    """The head has a bias. GPT-2's has none."""

    def __init__(self, config):
        super().__init__(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size)
        self.lm_head.weight = self.wte.weight


@wrong(caught_by=["positions_are_made_where_the_ids_are"])
class GPT2Model__makes_positions_on_the_cpu(Parts):
    """The positions were made on the CPU, while the ids are elsewhere. Pass
    `device=ids.device`."""

    def embed(self, ids):
        return self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))


@wrong(crashes=["stays_on_the_device_of_the_ids", "positions_are_made_where_the_ids_are"])
class GPT2Model__looks_at_the_ids(GPT2Model):
    """The table of 2.2 looks at the values of the ids, which the meta device does not have: take
    `nn.Embedding`."""

    def __init__(self, config):
        super().__init__(config)
        self.wte = Embedding(config.vocab_size, config.n_embd)
        self.wte.weight = self.lm_head.weight


@wrong(caught_by=["agrees_with_gpt2", "keeps_the_dtype"])
class GPT2Model__answers_in_float32(Parts):
    """The logits were converted to float32. They have the dtype of the parameters."""

    def head(self, x):
        return super().head(x).float()
