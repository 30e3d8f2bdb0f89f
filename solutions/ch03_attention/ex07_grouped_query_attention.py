"""3.7 Grouped-query attention   [medium, ~20 min]

When a model writes a text, the keys and values of all tokens so far stay in memory, and reading
them is what takes the time. Many queries can share them: here a group of query heads has one key
head and one value head in common. With as many of those as query heads it is the attention of 3.4,
with a single one it is multi-query attention; Llama, Mistral and Qwen lie between. It is put
together from 3.1, 3.2 and 3.3.

Source: Ainslie et al. (2023), https://arxiv.org/abs/2305.13245, section 2.2; the names are those of
Llama in https://github.com/huggingface/transformers.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from .ex01_causal_mask import causal_mask
from .ex02_scaled_dot_product_attention import scaled_dot_product_attention
from .ex03_split_heads import merge_heads, split_heads


class GroupedQueryAttention(nn.Module):
    """Causal self-attention with `n_heads` query heads and `n_kv_heads` key and value heads.

    Every head has head_dim = d_model / n_heads features. With group = n_heads / n_kv_heads, the
    query heads 0 to group - 1 use key and value head 0, the next `group` query heads use key and
    value head 1, and so on.

    Parameters, and nothing else in the state dict, in the (out, in) layout of `nn.Linear`, which
    you may use; none of them has a bias:
        q_proj.weight: (d_model, d_model).
        k_proj.weight, v_proj.weight: (n_kv_heads * head_dim, d_model) each.
        o_proj.weight: (d_model, d_model); it comes last.

    Raises:
        ValueError: `n_heads` does not divide `d_model`, or `n_kv_heads` does not divide `n_heads`,
            when the layer is made.

    >>> attention = GroupedQueryAttention(d_model=12, n_heads=6, n_kv_heads=2)
    >>> tuple(attention.k_proj.weight.shape)
    (4, 12)
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int) -> None:
        super().__init__()
        # solution
        if d_model % n_heads:
            raise ValueError(f"d_model={d_model} cannot be cut into {n_heads} equal heads")
        if n_heads % n_kv_heads:
            raise ValueError(f"{n_heads} heads cannot share {n_kv_heads} key and value heads")
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        d_kv = d_model // n_heads * n_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_kv, bias=False)
        self.v_proj = nn.Linear(d_model, d_kv, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Let every token attend to itself and to the tokens before it.

        Args:
            x: the tokens; the result has their dtype and device, which are those of the parameters.
            mask: True = may attend, broadcastable to (batch, n_heads, seq, seq), queries before
                keys; it is not modified. It is an addition to causality, not a replacement: a token
                attends only where both allow it, and to nothing (see 3.2) where nothing is left.
        """
        # solution
        q = split_heads(self.q_proj(x), self.n_heads)  # (batch, n_heads, seq, head_dim)
        k = split_heads(self.k_proj(x), self.n_kv_heads)  # (batch, n_kv_heads, seq, head_dim)
        v = split_heads(self.v_proj(x), self.n_kv_heads)
        # Each head is repeated on the spot, 0 0 0 1 1 1, to meet the queries of its group.
        group = self.n_heads // self.n_kv_heads
        k, v = k.repeat_interleave(group, dim=-3), v.repeat_interleave(group, dim=-3)
        causal = causal_mask(x.shape[-2], device=x.device)
        mask = causal if mask is None else mask & causal
        return self.o_proj(merge_heads(scaled_dot_product_attention(q, k, v, mask)))
