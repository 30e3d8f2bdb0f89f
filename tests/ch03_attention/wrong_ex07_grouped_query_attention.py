import torch
import torch.nn.functional as F
from torch import nn

from kata.wrong import wrong
from solutions.ch03_attention.ex01_causal_mask import causal_mask
from solutions.ch03_attention.ex02_scaled_dot_product_attention import scaled_dot_product_attention
from solutions.ch03_attention.ex03_split_heads import merge_heads, split_heads
from solutions.ch03_attention.ex07_grouped_query_attention import GroupedQueryAttention


def projected(layer, x):
    """Queries, keys and values, one axis for the heads."""
    q = split_heads(layer.q_proj(x), layer.n_heads)
    k = split_heads(layer.k_proj(x), layer.n_kv_heads)
    v = split_heads(layer.v_proj(x), layer.n_kv_heads)
    return q, k, v


def shared(layer, *heads):
    """Each key or value head as often as it is used."""
    group = layer.n_heads // layer.n_kv_heads
    return [head.repeat_interleave(group, dim=1) for head in heads]


def allowed(x, mask):
    causal = causal_mask(x.shape[-2], device=x.device)
    return causal if mask is None else mask & causal


@wrong(
    caught_by=[
        "neighbouring_query_heads_share_a_value_head",
        "agrees_with_torch",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "keeps_the_dtype",
    ]
)
class GroupedQueryAttention__repeats_all_heads_in_turn(GroupedQueryAttention):
    """The key and value heads were repeated as a whole (0 1 0 1 0 1). The query heads of a group
    stand next to each other, so each one has to be repeated on the spot (0 0 0 1 1 1)."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        group = self.n_heads // self.n_kv_heads
        k, v = k.repeat(1, group, 1, 1), v.repeat(1, group, 1, 1)
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, allowed(x, mask))))


@wrong(
    caught_by=[
        "neighbouring_query_heads_share_a_value_head",
        "agrees_with_torch",
        "with_all_heads_it_is_multi_head_attention",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "keeps_the_dtype",
    ]
)
class GroupedQueryAttention__uses_the_first_head_only(GroupedQueryAttention):
    """Every query head used key and value head 0. That is right only if there is no other."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = k[:, :1], v[:, :1]
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, allowed(x, mask))))


@wrong(
    caught_by=["keys_and_values_have_fewer_heads", "sizes_that_do_not_divide_are_refused"],
    crashes=[
        "neighbouring_query_heads_share_a_value_head",
        "later_tokens_have_no_influence",
        "agrees_with_torch",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "keeps_the_dtype",
    ],
)
class GroupedQueryAttention__makes_all_key_and_value_heads(GroupedQueryAttention):
    """The projections make as many key and value heads as query heads. They must make `n_kv_heads`
    only: that is what saves memory."""

    def __init__(self, d_model, n_heads, n_kv_heads):
        super().__init__(d_model, n_heads, n_heads)


@wrong(
    caught_by=["keys_and_values_have_fewer_heads"],
    crashes=[
        "neighbouring_query_heads_share_a_value_head",
        "later_tokens_have_no_influence",
        "agrees_with_torch",
        "with_all_heads_it_is_multi_head_attention",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "keeps_the_dtype",
    ],
)
class GroupedQueryAttention__has_biases(GroupedQueryAttention):
    """The projections have a bias. None of the four has one: `bias=False`."""

    def __init__(self, d_model, n_heads, n_kv_heads):
        super().__init__(d_model, n_heads, n_kv_heads)
        d_kv = d_model // n_heads * n_kv_heads
        self.q_proj, self.o_proj = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.k_proj, self.v_proj = nn.Linear(d_model, d_kv), nn.Linear(d_model, d_kv)


@wrong(
    caught_by=[
        "later_tokens_have_no_influence",
        "agrees_with_torch",
        "with_all_heads_it_is_multi_head_attention",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "keeps_the_dtype",
    ]
)
class GroupedQueryAttention__is_not_causal(GroupedQueryAttention):
    """Tokens see later ones: there is no causal mask."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = shared(self, k, v)
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, mask)))


@wrong(caught_by=["mask_is_added_to_causality"])
class GroupedQueryAttention__replaces_the_causal_mask(GroupedQueryAttention):
    """With a mask given, causality was forgotten. A token attends only where both allow it."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = shared(self, k, v)
        mask = allowed(x, None) if mask is None else mask
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, mask)))


@wrong(caught_by=["mask_is_added_to_causality"])
class GroupedQueryAttention__ignores_the_mask(GroupedQueryAttention):
    """The mask that was given has no effect."""

    def forward(self, x, mask=None):
        return super().forward(x)


@wrong(caught_by=["mask_is_not_modified"], crashes=["mask_is_added_to_causality"])
class GroupedQueryAttention__changes_the_callers_mask(GroupedQueryAttention):
    """`mask &= ...` writes into the caller's tensor. Make a new one: `mask & ...`."""

    def forward(self, x, mask=None):
        if mask is not None:
            mask &= causal_mask(x.shape[-2], device=x.device)
        return super().forward(x, mask)


@wrong(
    caught_by=[
        "later_tokens_have_no_influence",
        "agrees_with_torch",
        "with_all_heads_it_is_multi_head_attention",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "keeps_the_dtype",
    ]
)
class GroupedQueryAttention__merges_without_the_transpose(GroupedQueryAttention):
    """The heads were merged by a view alone, which mixes tokens: move the heads next to their
    features first, as `merge_heads` does."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = shared(self, k, v)
        return self.o_proj(scaled_dot_product_attention(q, k, v, allowed(x, mask)).reshape(x.shape))


@wrong(
    caught_by=[
        "agrees_with_torch",
        "with_all_heads_it_is_multi_head_attention",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "keeps_the_dtype",
    ]
)
class GroupedQueryAttention__scales_by_the_model_size(GroupedQueryAttention):
    """The scores were divided by sqrt(d_model). The dot products have only head_dim terms."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = shared(self, k, v)
        q = q * self.n_heads**-0.5  # sqrt(d_model) instead of sqrt(d_model / n_heads)
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, allowed(x, mask))))


@wrong(
    caught_by=[
        "agrees_with_torch",
        "with_all_heads_it_is_multi_head_attention",
        "mask_is_added_to_causality",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
        "keeps_the_dtype",
    ]
)
class GroupedQueryAttention__leaves_out_the_last_projection(GroupedQueryAttention):
    """`o_proj` was not applied: the heads never mix."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = shared(self, k, v)
        return merge_heads(scaled_dot_product_attention(q, k, v, allowed(x, mask)))


@wrong(caught_by=["gradient_of_the_input_agrees", "gradient_of_each_weight_agrees"])
class GroupedQueryAttention__learns_no_keys_and_values(GroupedQueryAttention):
    """The shared heads were cut off from the gradient (`.detach()`, `.data`, `no_grad`): `k_proj`
    and `v_proj` would never learn."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = shared(self, k.detach(), v.detach())
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, allowed(x, mask))))


@wrong(crashes=["stays_on_the_device_of_its_input"])
class GroupedQueryAttention__makes_the_mask_on_the_cpu(GroupedQueryAttention):
    """The causal mask was made on the CPU for tokens that are elsewhere: give it
    `device=x.device`."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = shared(self, k, v)
        causal = causal_mask(x.shape[-2])
        mask = causal if mask is None else mask & causal
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, mask)))


@wrong(caught_by=["mask_is_added_to_causality"])
class GroupedQueryAttention__gives_nan_where_nothing_is_allowed(GroupedQueryAttention):
    """A token that may attend to nothing got NaN, from a softmax over nothing but -inf. The
    attention of 3.2 gives it zeros."""

    def forward(self, x, mask=None):
        q, k, v = projected(self, x)
        k, v = shared(self, k, v)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~allowed(x, mask), -torch.inf)
        return self.o_proj(merge_heads(scores.softmax(-1) @ v))


@wrong(caught_by=["keeps_the_dtype"])
class GroupedQueryAttention__computes_in_float32(GroupedQueryAttention):
    """The result is float32, whatever the dtype of the tokens and parameters."""

    def forward(self, x, mask=None):
        q, k, v = (head.float() for head in projected(self, x))
        k, v = shared(self, k, v)
        heads = merge_heads(scaled_dot_product_attention(q, k, v, allowed(x, mask)))
        return F.linear(heads, self.o_proj.weight.float())


@wrong(caught_by=["sizes_that_do_not_divide_are_refused"])
class GroupedQueryAttention__accepts_any_sizes(GroupedQueryAttention):
    """Sizes that do not divide each other were accepted and rounded down. The docstring asks for a
    ValueError when the layer is made."""

    def __init__(self, d_model, n_heads, n_kv_heads):
        n_heads = n_heads // n_kv_heads * n_kv_heads
        head_dim = d_model // n_heads
        super().__init__(n_heads * head_dim, n_heads, n_kv_heads)
