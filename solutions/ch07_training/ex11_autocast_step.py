"""7.11 Mixed precision   [hard, ~30 min]

Matrix products in bfloat16 are several times faster on a GPU and need half the memory, but a weight
of 1.0 plus an update of 0.001 is still 1.0 in bfloat16. So the weights, the loss and the step
stay in float32, and `torch.autocast` makes half-precision copies inside of the forward pass only.
In float16 small gradients would vanish: a `GradScaler` multiplies the loss, and divides again.

Source: Micikevicius et al. (2018), https://arxiv.org/abs/1710.03740;
https://docs.pytorch.org/docs/stable/notes/amp_examples.html.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn import functional as F

from .ex07_clip_grad_norm import clip_grad_norm


def autocast_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]],
    max_norm: float | None = None,
    dtype: torch.dtype = torch.bfloat16,
    scaler: GradScaler | None = None,
) -> Float[Tensor, ""]:
    """Take one step of training with the forward pass in half precision, and return the loss.

    Args:
        model: float32; `model(x)` gives logits (batch, seq, vocab). It is called once, under
            autocast to `dtype` for the device of `x`. Its parameters and their gradients stay
            float32, and its mode as it is.
        optimizer: holds the parameters of the model. Gradients from before the call have no
            influence.
        batch: (x, y) on the device of the model; `y` holds the token after each one of `x` (7.1),
            so nothing is shifted here. Where `y` is -100 it counts for nothing.
        max_norm: the gradient is clipped to this norm (7.7) before the step, unless it is None.
        dtype: of the forward pass, `torch.bfloat16` or `torch.float16`.
        scaler: multiplies the loss for the backward pass. What is clipped, and what the optimizer
            sees, is the gradient of the loss itself. The scaler takes the step, or leaves it out
            when a gradient is infinite or NaN, and is updated at the end.

    Returns:
        The mean cross-entropy over the tokens that count, before the step and without the scale:
        taken in float32 from the logits of the forward pass, detached, on the device of `x`.
        Without a scaler nothing here waits for a GPU (`.item()` would).

    >>> model = nn.Embedding(4, 4)
    >>> _ = nn.init.zeros_(model.weight)
    >>> batch = torch.tensor([[0, 1, 2]]), torch.tensor([[1, 2, 3]])
    >>> autocast_step(model, torch.optim.SGD(model.parameters(), lr=1.0), batch, max_norm=1.0)
    tensor(1.3863)
    """
    # solution
    x, y = batch
    if scaler is None:
        scaler = GradScaler(x.device.type, enabled=False)  # does nothing but `optimizer.step()`
    optimizer.zero_grad()
    with torch.autocast(x.device.type, dtype=dtype):
        logits = model(x).flatten(0, 1)  # (batch * seq, vocab)
        loss = F.cross_entropy(logits.float(), y.flatten(), ignore_index=-100)
    scaler.scale(loss).backward()  # outside of autocast: it has its own dtypes
    if max_norm is not None:
        scaler.unscale_(optimizer)  # clipping needs the gradient itself
        clip_grad_norm(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return loss.detach()
