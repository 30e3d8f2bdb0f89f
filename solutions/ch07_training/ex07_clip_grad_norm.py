"""7.7 Gradient clipping   [easy, ~15 min]

Now and then a batch has a gradient a hundred times as large as the others, and one step along it
can undo hours of training. Clipping limits how long the gradient may be, all parameters taken
together as one long vector, and keeps its direction. The length before clipping is worth a look
too: a curve of it tells of trouble earlier than the loss does.

Source: Pascanu, Mikolov and Bengio (2013), On the difficulty of training Recurrent Neural Networks,
https://arxiv.org/abs/1211.5063, algorithm 1.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> Float[Tensor, ""]:
    """Scale all gradients by one factor so that their norm is at most `max_norm`; return the norm.

    The norm is the Euclidean length of all gradients taken together as one vector; the one that is
    returned is the norm before clipping. If it is above `max_norm`, every gradient is multiplied by
    max_norm / (norm + 1e-6), as torch does it; otherwise nothing changes. The gradients change in
    place: `p.grad` stays the same tensor.

    Nothing waits for the device: the norm stays a tensor there, and which case it is, is not for
    Python to ask (no `if norm > ...`, no `.item()`). So it works on the meta device too.

    Args:
        parameters: may be an iterator, which can be read once. Those whose `grad` is None are left
            out; without any gradient the norm is 0, a float32 on the CPU.
        max_norm: the longest that is allowed.

    Raises:
        ValueError: `max_norm` is negative.

    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> w.grad = torch.tensor([30.0, 40.0])
    >>> clip_grad_norm([w], max_norm=1.0)
    tensor(50.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    # solution
    if max_norm < 0:
        raise ValueError(f"max_norm must not be negative, got {max_norm}")
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return torch.tensor(0.0)
    norm = torch.stack([grad.norm() for grad in grads]).norm()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(factor)
    return norm
