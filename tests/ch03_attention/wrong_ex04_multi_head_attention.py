import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch03_attention.ex01_causal_mask import causal_mask
from solutions.ch03_attention.ex02_scaled_dot_product_attention import scaled_dot_product_attention
from solutions.ch03_attention.ex03_split_heads import merge_heads, split_heads
from solutions.ch03_attention.ex04_multi_head_attention import MultiHeadAttention


class Parts(MultiHeadAttention):
    """The reference in steps, each of which a mistake can replace."""

    def forward(self, x, mask=None):
        q, k, v = self.qkv(x)
        return self.c_proj(self.merge(self.attend(q, k, v, self.combine(x, mask))))

    def qkv(self, x):
        return [self.split(part) for part in self.c_attn(x).chunk(3, dim=-1)]

    def split(self, x):
        return split_heads(x, self.n_heads)

    def attend(self, q, k, v, mask):
        return scaled_dot_product_attention(q, k, v, mask)

    def merge(self, heads):
        return merge_heads(heads)

    def combine(self, x, mask):
        causal = causal_mask(x.shape[1], device=x.device) if self.causal else None
        if mask is None or causal is None:
            return causal if mask is None else mask
        return mask & causal


@wrong(
    caught_by=[
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class MultiHeadAttention__scales_by_d_model(Parts):
    """The scores were divided by sqrt(d_model). Each head has its own dot product, of head_dim
    numbers."""

    def attend(self, q, k, v, mask):
        return scaled_dot_product_attention(q * self.n_heads**-0.5, k, v, mask)


@wrong(
    caught_by=[
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class MultiHeadAttention__takes_keys_before_queries(Parts):
    """Queries and keys changed places. The projection gives queries first, then keys,
    then values."""

    def qkv(self, x):
        q, k, v = super().qkv(x)
        return k, q, v


@wrong(
    caught_by=[
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class MultiHeadAttention__cuts_the_heads_first(Parts):
    """The projection was cut into heads first, and each head into query, key and value. In GPT-2 it
    is the other way round: first the queries of all heads, then all keys, then all values."""

    def qkv(self, x):
        return self.split(self.c_attn(x)).chunk(3, dim=-1)


@wrong(
    caught_by=[
        "later_tokens_do_not_change_earlier_ones",
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class MultiHeadAttention__views_without_a_transpose(Parts):
    """The heads were made by a `view` to the final shape. That mixes tokens, and lets a token see
    later ones: see 3.3."""

    def split(self, x):
        return x.reshape(x.shape[0], self.n_heads, x.shape[1], -1)


@wrong(
    caught_by=[
        "later_tokens_do_not_change_earlier_ones",
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class MultiHeadAttention__merges_without_a_transpose(Parts):
    """The heads were merged by a `reshape` without bringing the heads of a token together first:
    see 3.3."""

    def merge(self, heads):
        return heads.reshape(heads.shape[0], heads.shape[2], -1)


@wrong(
    caught_by=[
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class MultiHeadAttention__has_one_head(Parts):
    """The features were not cut into heads: there is one softmax over everything instead of one per
    head."""

    def split(self, x):
        return split_heads(x, 1)

    def combine(self, x, mask):
        mask = super().combine(x, mask)
        return mask if mask is None or mask.dim() < 4 else mask[:, :1]


@wrong(
    caught_by=[
        "equal_scores_give_the_running_mean",
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class MultiHeadAttention__forgets_the_output_projection(Parts):
    """The last projection, `c_proj`, was not applied."""

    def forward(self, x, mask=None):
        q, k, v = self.qkv(x)
        return self.merge(self.attend(q, k, v, self.combine(x, mask)))


@wrong(
    caught_by=[
        "equal_scores_give_the_running_mean",
        "later_tokens_do_not_change_earlier_ones",
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class MultiHeadAttention__is_not_causal(Parts):
    """Tokens see later ones: with `causal=True` a causal mask (3.1) is needed."""

    def combine(self, x, mask):
        return mask


@wrong(caught_by=["agrees_with_torch", "a_mask_leaves_what_both_allow"])
class MultiHeadAttention__is_always_causal(Parts):
    """`causal=False` makes no difference: the causal mask was applied all the same."""

    def combine(self, x, mask):
        causal = causal_mask(x.shape[1], device=x.device)
        return causal if mask is None else mask & causal


@wrong(caught_by=["equal_scores_give_the_running_mean", "a_mask_leaves_what_both_allow"])
class MultiHeadAttention__replaces_the_causal_mask(Parts):
    """The mask took the place of the causal one, so that tokens see later ones. Both must allow
    it."""

    def combine(self, x, mask):
        return super().combine(x, None) if mask is None else mask


@wrong(caught_by=["equal_scores_give_the_running_mean", "a_mask_leaves_what_both_allow"])
class MultiHeadAttention__allows_what_either_allows(Parts):
    """The two masks were combined with "or". True means "may attend", so both must be True:
    "and"."""

    def combine(self, x, mask):
        causal = super().combine(x, None)
        return mask | causal if self.causal and mask is not None else super().combine(x, mask)


@wrong(caught_by=["equal_scores_give_the_running_mean", "a_mask_leaves_what_both_allow"])
class MultiHeadAttention__inverts_the_mask(Parts):
    """The mask was read the other way round. True means "may attend"; only in
    `nn.MultiheadAttention` True means "ignore"."""

    def combine(self, x, mask):
        return super().combine(x, None if mask is None else ~mask)


@wrong(crashes=["stays_on_the_device_of_the_input"])
class MultiHeadAttention__makes_the_mask_on_the_cpu(Parts):
    """The causal mask was made on the CPU, while the tokens are elsewhere. Pass
    `device=x.device`."""

    def combine(self, x, mask):
        causal = causal_mask(x.shape[1])
        return mask if not self.causal else causal if mask is None else mask & causal


@wrong(
    caught_by=["has_two_projections_with_biases"],
    crashes=[
        "equal_scores_give_the_running_mean",
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ],
)
class MultiHeadAttention__keeps_the_mask_in_the_state_dict(MultiHeadAttention):
    """A mask is part of the state dict, in which no checkpoint has it. Make it in `forward`, or
    register the buffer with `persistent=False`."""

    def __init__(self, d_model, n_heads, causal=True):
        super().__init__(d_model, n_heads, causal)
        self.register_buffer("bias", causal_mask(1024))


@wrong(
    caught_by=["has_two_projections_with_biases"],
    crashes=[
        "equal_scores_give_the_running_mean",
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ],
)
class MultiHeadAttention__has_three_projections(MultiHeadAttention):
    """Queries, keys and values have projections of their own. Here a single one, `c_attn`, makes
    all three."""

    def __init__(self, d_model, n_heads, causal=True):
        super().__init__(d_model, n_heads, causal)
        del self.c_attn
        self.q_attn, self.k_attn, self.v_attn = (nn.Linear(d_model, d_model) for _ in range(3))

    def c_attn(self, x):
        return torch.cat([self.q_attn(x), self.k_attn(x), self.v_attn(x)], dim=-1)


@wrong(
    caught_by=["has_two_projections_with_biases"],
    crashes=[
        "equal_scores_give_the_running_mean",
        "agrees_with_torch",
        "a_mask_leaves_what_both_allow",
        "agrees_with_gpt2",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ],
)
class MultiHeadAttention__has_no_biases(MultiHeadAttention):
    """The projections have no biases. GPT-2's have."""

    def __init__(self, d_model, n_heads, causal=True):
        super().__init__(d_model, n_heads, causal)
        self.c_attn = nn.Linear(d_model, 3 * d_model, bias=False)
        self.c_proj = nn.Linear(d_model, d_model, bias=False)


@wrong(caught_by=["every_gradient_agrees"])
class MultiHeadAttention__detaches_the_scores(Parts):
    """Queries and keys were cut off from the gradient (`.detach()`, `.data`, `no_grad`): they would
    never learn."""

    def attend(self, q, k, v, mask):
        return scaled_dot_product_attention(q.detach(), k.detach(), v, mask)


@wrong(caught_by=["equal_scores_give_the_running_mean"])
class MultiHeadAttention__gives_nan_on_an_empty_row(Parts):
    """A token that may attend to nothing: a softmax over nothing but -inf is NaN. 3.2 gives zeros
    there."""

    def attend(self, q, k, v, mask):
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1) @ v


@wrong(caught_by=["heads_of_unequal_size_are_refused"])
class MultiHeadAttention__accepts_any_number_of_heads(MultiHeadAttention):
    """`n_heads` does not divide `d_model`, and the layer was made all the same. The docstring asks
    for a ValueError."""

    def __init__(self, d_model, n_heads, causal=True):
        super().__init__(d_model, 1, causal)
        self.n_heads = n_heads
