import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch03_attention.ex02_scaled_dot_product_attention import scaled_dot_product_attention
from solutions.ch03_attention.ex03_split_heads import merge_heads, split_heads
from solutions.ch03_attention.ex05_cross_attention import CrossAttention


class Parts(CrossAttention):
    """The reference in steps, each of which a mistake can replace."""

    def forward(self, x_q, x_kv, kv_mask=None):
        mask = None if kv_mask is None else kv_mask[:, None, None, :]
        return self.out_proj(merge_heads(self.attend(*self.qkv(x_q, x_kv), mask)))

    def qkv(self, x_q, x_kv):
        parts = self.q_proj(x_q), self.k_proj(x_kv), self.v_proj(x_kv)
        return [split_heads(part, self.n_heads) for part in parts]

    def attend(self, q, k, v, mask):
        return scaled_dot_product_attention(q, k, v, mask)


@wrong(
    caught_by=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "agrees_with_torch",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class CrossAttention__is_causal(Parts):
    """A causal mask was applied. The source is known from the start: every token may see all of
    it."""

    def attend(self, q, k, v, mask):
        causal = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
        return scaled_dot_product_attention(q, k, v, causal if mask is None else causal & mask)


@wrong(
    caught_by=["agrees_with_torch", "keeps_the_dtype"],
    crashes=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
        "stays_on_the_device_of_the_inputs",
    ],
)
class CrossAttention__attends_to_itself(Parts):
    """Keys and values were made from `x_q`: that is self-attention. They come from `x_kv`."""

    def qkv(self, x_q, x_kv):
        return super().qkv(x_q, x_q)


@wrong(
    crashes=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "agrees_with_torch",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
        "keeps_the_dtype",
        "stays_on_the_device_of_the_inputs",
    ]
)
class CrossAttention__takes_the_keys_from_the_queries(Parts):
    """The keys were made from `x_q`. Keys and values belong together: both come from `x_kv`."""

    def qkv(self, x_q, x_kv):
        q, k, _ = super().qkv(x_q, x_q)
        return q, k, super().qkv(x_q, x_kv)[2]


@wrong(
    caught_by=["agrees_with_torch", "keeps_the_dtype", "stays_on_the_device_of_the_inputs"],
    crashes=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
    ],
)
class CrossAttention__lets_the_source_ask(Parts):
    """The two inputs changed places. `x_q` asks, so the result is as long as `x_q`."""

    def qkv(self, x_q, x_kv):
        return super().qkv(x_kv, x_q)


@wrong(
    caught_by=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "agrees_with_torch",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class CrossAttention__swaps_keys_and_values(Parts):
    """The projections of keys and values changed places."""

    def qkv(self, x_q, x_kv):
        q, k, v = super().qkv(x_q, x_kv)
        return q, v, k


@wrong(
    caught_by=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
    ]
)
class CrossAttention__ignores_the_padding(Parts):
    """`kv_mask` was not used, so that tokens attend to padding."""

    def forward(self, x_q, x_kv, kv_mask=None):
        return super().forward(x_q, x_kv)


@wrong(
    caught_by=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
    ]
)
class CrossAttention__inverts_the_mask(Parts):
    """`kv_mask` was read the other way round. True is a real token; only in
    `nn.MultiheadAttention` True means "ignore"."""

    def forward(self, x_q, x_kv, kv_mask=None):
        return super().forward(x_q, x_kv, None if kv_mask is None else ~kv_mask)


@wrong(
    caught_by=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
    ]
)
class CrossAttention__sets_the_padding_to_zero(Parts):
    """Padding tokens were set to zero instead of being masked. A token of zeros has a key as well
    (the bias), and a score of 0 still gets a weight."""

    def forward(self, x_q, x_kv, kv_mask=None):
        return super().forward(x_q, x_kv if kv_mask is None else x_kv * kv_mask[..., None])


@wrong(
    caught_by=["padding_of_the_source_is_hidden"],
    crashes=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "agrees_with_bart",
        "every_gradient_agrees",
        "stays_on_the_device_of_the_inputs",
    ],
)
class CrossAttention__masks_the_queries(Parts):
    """`kv_mask` was laid along the queries. It is about keys, the last axis of the scores:
    (batch, 1, 1, t_k)."""

    def forward(self, x_q, x_kv, kv_mask=None):
        mask = None if kv_mask is None else kv_mask[:, None, :, None]
        return self.out_proj(merge_heads(self.attend(*self.qkv(x_q, x_kv), mask)))


@wrong(
    caught_by=["padding_of_the_source_is_hidden"],
    crashes=["agrees_with_bart", "every_gradient_agrees", "stays_on_the_device_of_the_inputs"],
)
class CrossAttention__takes_the_batch_for_the_heads(Parts):
    """`kv_mask` lines up with the wrong axes: the scores are (batch, n_heads, t_q, t_k), so it
    needs two axes of size 1 in the middle."""

    def forward(self, x_q, x_kv, kv_mask=None):
        mask = None if kv_mask is None else kv_mask[:, None, :]
        return self.out_proj(merge_heads(self.attend(*self.qkv(x_q, x_kv), mask)))


@wrong(caught_by=["equal_scores_give_the_mean_of_the_real_tokens"])
class CrossAttention__gives_nan_for_only_padding(Parts):
    """A source of nothing but padding: a softmax over nothing but -inf is NaN. 3.2 gives zeros
    there."""

    def attend(self, q, k, v, mask):
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1) @ v


@wrong(
    caught_by=[
        "agrees_with_torch",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class CrossAttention__scales_by_d_model(Parts):
    """The scores were divided by sqrt(d_model). Each head has its own dot product, of head_dim
    numbers."""

    def attend(self, q, k, v, mask):
        return scaled_dot_product_attention(q * self.n_heads**-0.5, k, v, mask)


@wrong(
    caught_by=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "agrees_with_torch",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ]
)
class CrossAttention__forgets_the_output_projection(Parts):
    """The last projection, `out_proj`, was not applied."""

    def forward(self, x_q, x_kv, kv_mask=None):
        mask = None if kv_mask is None else kv_mask[:, None, None, :]
        return merge_heads(self.attend(*self.qkv(x_q, x_kv), mask))


@wrong(
    caught_by=["has_four_projections_with_biases"],
    crashes=[
        "equal_scores_give_the_mean_of_the_real_tokens",
        "agrees_with_torch",
        "padding_of_the_source_is_hidden",
        "agrees_with_bart",
        "every_gradient_agrees",
        "keeps_the_dtype",
    ],
)
class CrossAttention__has_no_biases(CrossAttention):
    """The projections have no biases. All four have one."""

    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))


@wrong(crashes=["stays_on_the_device_of_the_inputs"])
class CrossAttention__makes_a_mask_on_the_cpu(Parts):
    """Without a `kv_mask` one was made on the CPU, while the tokens are elsewhere. Pass
    `device=x_kv.device`, or do without."""

    def forward(self, x_q, x_kv, kv_mask=None):
        everything = torch.ones(x_kv.shape[:2], dtype=torch.bool)
        return super().forward(x_q, x_kv, everything if kv_mask is None else kv_mask)


@wrong(caught_by=["every_gradient_agrees"])
class CrossAttention__detaches_the_source(Parts):
    """The source was cut off from the gradient (`.detach()`, `no_grad`): the encoder that made it
    would never learn."""

    def qkv(self, x_q, x_kv):
        return super().qkv(x_q, x_kv.detach())


@wrong(caught_by=["heads_of_unequal_size_are_refused"])
class CrossAttention__accepts_any_number_of_heads(CrossAttention):
    """`n_heads` does not divide `d_model`, and the layer was made all the same. The docstring asks
    for a ValueError."""

    def __init__(self, d_model, n_heads):
        super().__init__(d_model, 1)
        self.n_heads = n_heads
