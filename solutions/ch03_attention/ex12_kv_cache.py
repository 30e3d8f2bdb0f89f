"""3.12 KV cache   [hard, ~40 min]

A model writes a text token by token. The keys and values of earlier tokens never change, so they
are kept: each step computes those of the new tokens only, and attends over all. Reading the prompt
(prefill) is one large step, then come single tokens, and chunks of several where a draft is
checked (5.14). Whatever the pieces, the result has to be that of the whole text at once: positions
go on where the past ended, and inside a chunk nobody looks ahead. This is the attention of Llama:
grouped queries (3.7), RoPE (3.8), the mask with an offset (3.1).

Source: Shazeer (2019), https://arxiv.org/abs/1911.02150, section 2.4; Pope et al. (2022),
https://arxiv.org/abs/2211.05102, section 2.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .ex01_causal_mask import causal_mask
from .ex03_split_heads import merge_heads, split_heads
from .ex08_rope import apply_rope, rope_cos_sin


class KVCache:
    """The keys and values of the tokens so far: of one attention layer, and one batch of texts.

    Room for `max_len` tokens is set aside once, at the first update, and every token is written
    into its place. `torch.cat` would be shorter, but it copies the whole past for every new token,
    and needs room for two copies while it does. It is made for use under `torch.no_grad()`. The
    attribute `length`, an int, is the number of tokens in it: 0 at the start.

    >>> cache = KVCache(max_len=8)
    >>> keys, values = cache.update(torch.zeros(2, 3, 5, 4), torch.ones(2, 3, 5, 4))
    >>> keys, values = cache.update(torch.zeros(2, 3, 1, 4), torch.ones(2, 3, 1, 4))
    >>> keys.shape, cache.length
    (torch.Size([2, 3, 6, 4]), 6)
    """

    def __init__(self, max_len: int) -> None:
        # solution
        self.max_len = max_len
        self.length = 0

    def update(
        self, k: Float[Tensor, "batch n_kv_heads t head_dim"], v: Float[Tensor, "..."]
    ) -> tuple[Float[Tensor, "batch n_kv_heads length head_dim"], Float[Tensor, "..."]]:
        """Add the keys and values of the next `t` tokens, and return those of all, oldest first.

        `v` has the shape of `k`, and the cache their dtype and device. What is returned is a view
        of the cache: an update never moves or copies the past.

        Raises:
            ValueError: there is no room for `t` more tokens; the cache stays as it was.
        """
        # solution
        end = self.length + k.shape[-2]
        if end > self.max_len:
            raise ValueError(f"the cache has room for {self.max_len} tokens, not for {end}")
        if self.length == 0:
            room = (*k.shape[:-2], self.max_len, k.shape[-1])
            self.k, self.v = k.new_empty(room), v.new_empty(room)
        self.k[..., self.length : end, :] = k
        self.v[..., self.length : end, :] = v
        self.length = end
        return self.k[..., :end, :], self.v[..., :end, :]


class CachedAttention(nn.Module):
    """Grouped-query attention with RoPE (half-rotated), causal, with or without a cache.

    The parameters are those of `GroupedQueryAttention` (3.7); `base` is that of RoPE.

    >>> attention, cache = CachedAttention(d_model=24, n_heads=6, n_kv_heads=2), KVCache(max_len=10)
    >>> [attention(torch.ones(2, t, 24), cache).shape[1] for t in (4, 1, 2)], cache.length
    ([4, 1, 2], 7)
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int, base: float = 10_000.0) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.base = n_heads, n_kv_heads, base
        self.head_dim = d_model // n_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, n_kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(d_model, n_kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        cache: KVCache | None = None,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Attend from the tokens of `x` to the tokens in the cache and, causally, to each other.

        Args:
            x: the next tokens of each text; the first one stands at position `cache.length`.
            cache: the past, of this layer alone. The keys and values of `x` are added to it, as
                `n_kv_heads` heads, not repeated. Without it nothing is remembered.
            mask: True = may attend, broadcastable to (batch, n_heads, seq, length + seq): the past
                has columns too. It is an addition to causality, not a replacement (see 3.7).

        Returns:
            What these tokens get when the whole text is read at once, in the dtype of `x`. Nothing
            reads a value back from the device (`.item()`, `.cpu()`, `if tensor:`): on a GPU the
            program would wait for it at every token.
        """
        # solution
        past, t = (0 if cache is None else cache.length), x.shape[-2]
        # Queries and keys are turned by the same angles, so in one go.
        qk = torch.cat([self.q_proj(x), self.k_proj(x)], dim=-1)
        qk = split_heads(qk, self.n_heads + self.n_kv_heads)  # (batch, heads of both, t, head_dim)
        v = split_heads(self.v_proj(x), self.n_kv_heads)  # (batch, n_kv_heads, t, head_dim)
        positions = torch.arange(past, past + t, device=x.device)
        qk = apply_rope(qk, *rope_cos_sin(positions, self.head_dim, self.base))
        q, k = qk.split([self.n_heads, self.n_kv_heads], dim=1)
        if cache is not None:
            k, v = cache.update(k, v)  # (batch, n_kv_heads, past + t, head_dim)
        if t > 1 or mask is not None:  # a single token may attend to all of its past
            causal = causal_mask(t, past + t, offset=past, device=x.device)
            mask = causal if mask is None else mask & causal
        # Attention is 3.2 with the grouped heads of 3.7; torch's kernel makes no copy of the past.
        heads = F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
        return self.o_proj(merge_heads(heads))
