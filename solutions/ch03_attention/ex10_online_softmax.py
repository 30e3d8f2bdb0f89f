"""3.10 Online softmax   [medium, ~25 min]

A softmax needs the maximum and the sum of its row, so it seems to need the whole row. It does not:
both can be kept up to date while the row comes in piece by piece, if the sum so far is corrected
each time a larger score turns up. On this small idea rests FlashAttention (3.11), which never holds
a row of attention scores in memory. It is the softmax of 2.3, for a stream.

Source: Milakov and Gimelshein (2018), Online normalizer calculation for softmax,
https://arxiv.org/abs/1805.02867, algorithm 3.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor


def online_softmax(
    blocks: Iterable[Float[Tensor, "*rows block"]],
) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows"], Float[Tensor, "*rows n"]]:
    """Return maximum, sum of exponentials and softmax of rows that come in block by block.

    A row is what its blocks give when put side by side along the last axis. Each block is worked
    into the maximum and the sum before the next one is asked for; only when the stream has ended
    are the weights made, in one go, from the blocks that were kept.

    Args:
        blocks: read once, from first to last, such as a generator; none of them is modified. All
            have the same leading axes, dtype and device, and one score or more per row; the
            numbers of scores may differ. A score may be -inf.

    Returns:
        m: the maximum of each row.
        l: the sum of exp(score - m) over each row, so that logsumexp = m + log(l).
        weights: the softmax of each row, in the dtype of the blocks.

        m and l are float32 for blocks in bfloat16 or float16, else in the dtype of the blocks. A
        row with nothing but -inf has m = -inf, l = 0 and weights of 0. There is never a NaN, and
        gradients flow through all of it.

    Raises:
        ValueError: there are no blocks.

    >>> row = torch.tensor([1.0, 3.0, 4.0]).log()
    >>> m, l, weights = online_softmax([row[:2], row[2:]])
    >>> m.exp(), l, weights
    (tensor(4.), tensor(2.), tensor([0.1250, 0.3750, 0.5000]))
    """
    # solution
    seen = []
    for block in blocks:
        scores = block.to(torch.promote_types(block.dtype, torch.float32))
        if not seen:
            m = torch.full_like(scores[..., 0], -torch.inf)
            total = torch.zeros_like(m)
        old, m = m, torch.maximum(m, scores.amax(-1))
        shift = m.masked_fill(m == -torch.inf, 0.0)  # -inf - -inf would be NaN
        # The sum so far is relative to the old maximum: exp(x - old) exp(old - m) = exp(x - m).
        total = total * (old - shift).exp() + (scores - shift[..., None]).exp().sum(-1)
        seen.append(block)
    if not seen:
        raise ValueError("a softmax of no blocks at all")
    row = torch.cat(seen, dim=-1)
    exps = (row.to(m.dtype) - shift[..., None]).exp()
    return m, total, (exps / total.masked_fill(total == 0, 1.0)[..., None]).to(row.dtype)
