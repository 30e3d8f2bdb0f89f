"""7.1 Batches of text   [easy, ~15 min]

A language model learns from windows of a long text: it sees `context` tokens and is asked, at each
of them, for the next one. So one window gives as many examples as it has tokens, and the answers
are the same text, one token further on. All later exercises of this chapter train on such pairs.

Source: `get_batch` in https://github.com/karpathy/nanoGPT, train.py.
"""

import torch
from jaxtyping import Int
from torch import Tensor


def get_batch(
    data: Int[Tensor, "length"],
    batch_size: int,
    context: int,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "batch context"], Int[Tensor, "batch context"]]:
    """Draw `batch_size` windows of `context` tokens, and for each token the one that follows it.

    Every row begins at a place of its own, drawn independently of the others. All places from which
    a window and the token after it fit into `data` are equally likely.

    Args:
        data: the ids of a text, in any integer dtype; it need not lie on `device`.
        batch_size: the number of windows.
        context: the number of tokens in each.
        device: where the results are.
        generator: the source of all randomness, on the CPU; torch's global one if it is None.

    Returns:
        `x` and `y`, both int64: `y[i, j]` is the token that follows `x[i, j]` in `data`.

    Raises:
        ValueError: `data` has fewer than `context + 1` tokens.

    >>> get_batch(torch.tensor([5, 8, 6, 7]), batch_size=2, context=3)
    (tensor([[5, 8, 6],
            [5, 8, 6]]), tensor([[8, 6, 7],
            [8, 6, 7]]))
    """
    # solution
    if len(data) < context + 1:
        raise ValueError(f"a context of {context} needs {context + 1} tokens, got {len(data)}")
    starts = torch.randint(len(data) - context, (batch_size, 1), generator=generator)
    windows = starts + torch.arange(context)  # (batch, context)
    x, y = data[windows], data[windows + 1]
    return x.to(device, torch.int64), y.to(device, torch.int64)
