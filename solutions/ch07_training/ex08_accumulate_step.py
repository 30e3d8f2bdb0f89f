"""7.8 Gradient accumulation   [medium, ~25 min]

A batch that does not fit into memory is cut into micro-batches: each adds its gradient to `.grad`,
and one step is taken at the end. The result must be that of the whole batch at once. A well-known
mistake (in several libraries until 2024) was to average the means of micro-batches: where these
hold different numbers of tokens, some tokens then count more than others.

Source: Unsloth (2024), https://unsloth.ai/blog/gradient; torch's notes on `Tensor.backward`,
https://docs.pytorch.org/docs/stable/autograd.html.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional as F

from .ex07_clip_grad_norm import clip_grad_norm

IGNORED = -100  # a target that counts for nothing

Batch = tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]


def accumulate_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    micro_batches: Sequence[Batch],
    max_norm: float | None = None,
) -> float:
    """Take one step of the optimizer on all micro-batches together, and return the loss.

    The loss is the mean cross-entropy over the tokens of all micro-batches, with the weights as
    they were before the step; the gradient is that of this mean. There is one call of the model
    and one backward pass per micro-batch, the backward pass of one before the call for the next,
    so that memory holds the activations of a single micro-batch.

    Args:
        model: `model(x)` gives logits (batch, seq, vocab). Its mode stays as it is.
        optimizer: holds the parameters of the model; only its `zero_grad` and `step` are used, once
            each. Gradients from before the call have no influence.
        micro_batches: pairs (x, y) on the device of the model; `y` holds the token after each one
            of `x` (7.1), so nothing is shifted here. Where `y` is -100 it counts for nothing, and
            a micro-batch may consist of that alone. Shapes may differ from pair to pair.
        max_norm: the gradient is clipped to this norm (7.7) before the step, unless it is None.

    Raises:
        ValueError: no micro-batch holds a token that counts.

    >>> model = nn.Embedding(4, 4)
    >>> _ = nn.init.zeros_(model.weight)
    >>> batch = torch.tensor([[0, 1, 2]]), torch.tensor([[1, 2, 3]])
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> [round(accumulate_step(model, optimizer, [batch, batch]), 4) for _ in range(3)]
    [1.3863, 1.1473, 0.9506]
    """
    # solution
    tokens = sum(int((y != IGNORED).sum()) for _, y in micro_batches)
    if tokens == 0:
        raise ValueError(f"none of {len(micro_batches)} micro-batches holds a token that counts")
    optimizer.zero_grad()
    loss = 0.0
    for x, y in micro_batches:
        logits = model(x).flatten(0, 1)  # (batch * seq, vocab)
        part = F.cross_entropy(logits, y.flatten(), ignore_index=IGNORED, reduction="sum") / tokens
        part.backward()  # adds to `.grad`, and frees the activations
        loss = loss + part.detach()
    if max_norm is not None:
        clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return float(loss)
