import torch.nn.functional as F
from torch import nn

from kata.wrong import wrong
from solutions.ch03_attention.ex01_causal_mask import causal_mask
from solutions.ch03_attention.ex04_multi_head_attention import MultiHeadAttention
from solutions.ch04_models.ex01_gpt2_block import GPT2Block


@wrong(
    caught_by=[
        "both_branches_add_to_the_stream",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_stream",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__normalises_afterwards(GPT2Block):
    """The sum was normalised (post-norm, as in BERT). GPT-2 normalises what a branch reads, and
    leaves the stream as it is."""

    def forward(self, x):
        x = self.ln_1(x + self.dropout(self.attn(x)))
        return self.ln_2(x + self.mlp(x))


@wrong(
    caught_by=[
        "both_branches_add_to_the_stream",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_stream",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__normalises_the_stream(GPT2Block):
    """The stream itself was replaced by its normalised copy (`x = self.ln_1(x)`). Only the branch
    reads that copy; what the branch finds is added to the `x` from before."""

    def forward(self, x):
        x = self.ln_1(x)
        x = x + self.dropout(self.attn(x))
        x = self.ln_2(x)
        return x + self.mlp(x)


@wrong(
    caught_by=[
        "both_branches_add_to_the_stream",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_stream",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__forgets_the_first_residual(GPT2Block):
    """The output of attention took the place of the stream. It is added to it."""

    def forward(self, x):
        x = self.dropout(self.attn(self.ln_1(x)))
        return x + self.mlp(self.ln_2(x))


@wrong(
    caught_by=[
        "both_branches_add_to_the_stream",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "dropping_everything_leaves_the_stream",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__forgets_the_second_residual(GPT2Block):
    """The output of the MLP took the place of the stream. It is added to it."""

    def forward(self, x):
        x = x + self.dropout(self.attn(self.ln_1(x)))
        return self.mlp(self.ln_2(x))


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__forgets_to_normalise(GPT2Block):
    """Attention read the stream as it is: `ln_1` was not used."""

    def forward(self, x):
        x = x + self.dropout(self.attn(x))
        return x + self.mlp(self.ln_2(x))


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__swaps_the_norms(GPT2Block):
    """`ln_2` came before attention and `ln_1` before the MLP. It is the other way round."""

    def forward(self, x):
        x = x + self.dropout(self.attn(self.ln_2(x)))
        return x + self.mlp(self.ln_1(x))


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__runs_the_branches_side_by_side(GPT2Block):
    """The MLP read the stream from before attention. The branches come one after the other: the MLP
    reads what attention has added, too."""

    def forward(self, x):
        return x + self.dropout(self.attn(self.ln_1(x))) + self.mlp(self.ln_2(x))


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__takes_the_mlp_first(GPT2Block):
    """The MLP came before attention. In GPT-2 attention is first."""

    def forward(self, x):
        x = x + self.mlp(self.ln_2(x))
        return x + self.dropout(self.attn(self.ln_1(x)))


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__keeps_only_the_first_row(GPT2Block):
    """Only the first row of the batch came out of attention (`[0]`), and was added to every row.
    The attention of 3.4 returns a tensor, not a tuple."""

    def forward(self, x):
        x = x + self.dropout(self.attn(self.ln_1(x))[0])
        return x + self.mlp(self.ln_2(x))


@wrong(
    caught_by=[
        "later_tokens_do_not_change_earlier_ones",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__sees_the_future(GPT2Block):
    """Tokens see later ones: the attention of a GPT-2 block is causal."""

    def __init__(self, d_model, n_heads, dropout=0.0, eps=1e-5):
        super().__init__(d_model, n_heads, dropout, eps)
        self.attn = MultiHeadAttention(d_model, n_heads, causal=False)


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ]
)
class GPT2Block__uses_the_exact_gelu(GPT2Block):
    """The activation of the MLP is the exact GELU. GPT-2 was trained with the tanh form of it."""

    def forward(self, x):
        x = x + self.dropout(self.attn(self.ln_1(x)))
        branch = self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x))))
        return x + self.dropout(branch)


@wrong(caught_by=["agrees_with_gpt2"])
class GPT2Block__ignores_eps(GPT2Block):
    """`eps` was not passed on to the layer norms."""

    def __init__(self, d_model, n_heads, dropout=0.0, eps=1e-5):
        super().__init__(d_model, n_heads, dropout)


@wrong(caught_by=["dropping_everything_leaves_the_stream"])
class GPT2Block__drops_the_stream(GPT2Block):
    """Dropout was applied to the sum. Only what a branch adds is dropped, never the stream."""

    def forward(self, x):
        x = self.dropout(x + self.attn(self.ln_1(x)))
        return x + self.mlp(self.ln_2(x))


@wrong(caught_by=["dropping_everything_leaves_the_stream"])
class GPT2Block__does_not_drop_attention(GPT2Block):
    """The output of attention was not dropped. The MLP has a dropout inside, the attention of 3.4
    has none."""

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


@wrong(caught_by=["evaluation_mode_has_no_dropout"])
class GPT2Block__drops_in_evaluation(GPT2Block):
    """Dropout stayed on in evaluation mode. F.dropout needs to be told `training=self.training`."""

    def forward(self, x):
        x = x + F.dropout(self.attn(self.ln_1(x)), self.dropout.p)
        return x + self.mlp(self.ln_2(x))


@wrong(caught_by=["input_is_not_modified"], crashes=["input_gradient_agrees"])
class GPT2Block__adds_in_place(GPT2Block):
    """The tensor of the caller was changed: `x += y` adds in place. Write `x = x + y`."""

    def forward(self, x):
        x += self.dropout(self.attn(self.ln_1(x)))
        x += self.mlp(self.ln_2(x))
        return x


@wrong(caught_by=["input_gradient_agrees", "gradient_of_each_parameter_agrees"])
class GPT2Block__cuts_the_stream(GPT2Block):
    """The stream was cut off from the gradient (`.detach()`, `.data`): nothing that comes before
    the block would learn from it."""

    def forward(self, x):
        x = x.detach() + self.dropout(self.attn(self.ln_1(x)))
        return x.detach() + self.mlp(self.ln_2(x))


@wrong(
    caught_by=["has_the_parameters_of_gpt2"],
    crashes=[
        "both_branches_add_to_the_stream",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ],
)
class GPT2Block__has_names_of_its_own(GPT2Block):
    """The parts have other names than GPT-2's, so that no checkpoint fits: `ln_1`, `attn`, `ln_2`
    and `mlp`."""

    def __init__(self, d_model, n_heads, dropout=0.0, eps=1e-5):
        super().__init__(d_model, n_heads, dropout, eps)
        self.ln1, self.ln2 = self.ln_1, self.ln_2
        del self.ln_1, self.ln_2

    def forward(self, x):
        x = x + self.dropout(self.attn(self.ln1(x)))
        return x + self.mlp(self.ln2(x))


@wrong(
    caught_by=["has_the_parameters_of_gpt2"],
    crashes=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "input_gradient_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
        "keeps_the_dtype",
    ],
)
class GPT2Block__does_not_widen(GPT2Block):
    """The MLP has a hidden width of d_model. It is 4 times as wide."""

    def __init__(self, d_model, n_heads, dropout=0.0, eps=1e-5):
        super().__init__(d_model, n_heads, dropout, eps)
        self.mlp.c_fc = nn.Linear(d_model, d_model)
        self.mlp.c_proj = nn.Linear(d_model, d_model)


@wrong(caught_by=["keeps_the_dtype"])
class GPT2Block__adds_in_float32(GPT2Block):
    """The stream was converted to float32 and not converted back to the dtype of the input."""

    def forward(self, x):
        attended = x.float() + self.dropout(self.attn(self.ln_1(x))).float()
        return attended + self.mlp(self.ln_2(attended.to(x.dtype))).float()


class MaskOnCpu(MultiHeadAttention):
    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads, causal=False)

    def forward(self, x):
        return super().forward(x, causal_mask(x.shape[1]))


@wrong(crashes=["stays_on_the_device_of_the_input"])
class GPT2Block__makes_the_mask_on_the_cpu(GPT2Block):
    """The causal mask was made on the CPU, while the tokens are elsewhere. Pass
    `device=x.device`, or let `is_causal=True` do it."""

    def __init__(self, d_model, n_heads, dropout=0.0, eps=1e-5):
        super().__init__(d_model, n_heads, dropout, eps)
        self.attn = MaskOnCpu(d_model, n_heads)
