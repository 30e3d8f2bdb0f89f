"""3.1 Causal mask   [easy, ~15 min]

A language model predicts the next token, so no position may look at a later one. The mask says so:
one row per query, one column per key. It is square when a whole text is read at once, and wide when
a few new tokens meet the keys of a long past that is already in a cache.

The convention of this course, said once: a mask is boolean and True means "may attend", as in
`torch.nn.functional.scaled_dot_product_attention`. Elsewhere True may mean "ignore".

Source: Vaswani et al. (2017), Attention Is All You Need, https://arxiv.org/abs/1706.03762,
section 3.2.3.
"""

import torch
from jaxtyping import Bool
from torch import Tensor


def causal_mask(
    t_q: int,
    t_k: int | None = None,
    offset: int | None = None,
    device: torch.device | str | None = None,
) -> Bool[Tensor, "t_q t_k"]:
    """Let each query attend to the keys at its own position and at those before it.

    Key j stands at position j, query i at position `offset` + i. True means "may attend".

    Args:
        t_q: the number of queries.
        t_k: the number of keys; `t_q` + `offset` unless given, so that the last query stands at
            the last key. With neither of the two the mask is square.
        offset: the position of the first query, which is the number of tokens before it. Unless
            given, the queries are the last `t_q` of the `t_k` positions. Any number is fine: rows
            before the first key are all False, rows after the last one all True.
        device: where the mask is made; torch's default device when None.

    Raises:
        ValueError: `offset` is not given and there are more queries than keys.

    >>> causal_mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    >>> causal_mask(2, 5).int()  # two new tokens after three that are in a cache
    tensor([[1, 1, 1, 1, 0],
            [1, 1, 1, 1, 1]], dtype=torch.int32)
    """
    # solution
    if t_k is None:
        t_k = t_q + (offset or 0)
    if offset is None:
        if t_k < t_q:
            raise ValueError(f"{t_q} queries need at least as many keys, got t_k={t_k}")
        offset = t_k - t_q
    queries = torch.arange(t_q, device=device) + offset
    keys = torch.arange(t_k, device=device)
    return keys <= queries[:, None]
