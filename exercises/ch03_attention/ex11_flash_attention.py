"""3.11 Attention in tiles   [hard, ~45 min]

The scores of 100 000 tokens are 10 billion numbers per head: they do not fit, and moving them in
and out of memory takes longer than the arithmetic. FlashAttention never writes them down. It takes
a few queries and a few keys at a time, and keeps maximum, sum and output of each query up to date
with the online softmax (3.10). The result is exact. A GPU kernel does the tiles of this loop in its
fastest memory; here the loop is Python, so that you see it. It replaces the attention of 3.2.

Source: Dao et al. (2022), FlashAttention, https://arxiv.org/abs/2205.14135, algorithm 1; the order
of the loops is that of Dao (2023), FlashAttention-2, https://arxiv.org/abs/2307.08691.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from .ex01_causal_mask import causal_mask


def flash_attention(
    q: Float[Tensor, "*batch t_q d"],
    k: Float[Tensor, "*batch t_k d"],
    v: Float[Tensor, "*batch t_k d_v"],
    block_q: int,
    block_k: int,
    causal: bool = False,
) -> tuple[Float[Tensor, "*batch t_q d_v"], Float[Tensor, "*batch t_q"]]:
    """Return softmax(q k^T / sqrt(d)) v and the logsumexp of the scaled scores of each query.

    Scores are made in tiles of `block_q` queries by `block_k` keys, one at a time; the last tile of
    a row or column is smaller where the length is not a multiple. No tensor is ever made that is
    larger than a tile, or than the largest of inputs and output; a mask of (t_q, t_k) would be.

    With `causal=True` query i attends to keys 0 to i + t_k - t_q, as with `causal_mask(t_q, t_k)`:
    the last query stands at the last key. Tiles in which every key is in the future of every query
    are skipped: no matrix product is computed for them.

    The inputs have one dtype and device, and are not modified. Gradients flow through both results.

    Returns:
        o: the output, in the dtype of the inputs.
        lse: the logsumexp. It is float32 for inputs in bfloat16 or float16, and so is everything
            between inputs and outputs, scores included; else it has the dtype of the inputs.

    Raises:
        ValueError: a block size is less than 1, or `causal` with more queries than keys.

    >>> q, k = torch.zeros(3, 2), torch.ones(3, 2)  # queries that like every key equally
    >>> o, lse = flash_attention(q, k, torch.tensor([[0.0], [4.0], [8.0]]), 2, 2, causal=True)
    >>> o.T, lse.exp()
    (tensor([[0., 2., 4.]]), tensor([1., 2., 3.]))
    """
    raise NotImplementedError("flash_attention")  # your code here
