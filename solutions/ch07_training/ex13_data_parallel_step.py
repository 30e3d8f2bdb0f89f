"""7.13 Data parallelism   [hard, ~40 min]

Two machines train one model twice as fast: each has a copy of it and takes its own shard of every
batch, and before the step they average their gradients over the network. Nobody sends a weight: all
copies take the same step, and so stay equal. That is what torch's `DistributedDataParallel` does.
`torchrun --nproc_per_node=2 script.py` starts the processes ("ranks"); `init_process_group` with
"gloo" connects them on CPUs, with "nccl" on GPUs.

Source: Li et al. (2020), PyTorch Distributed, https://arxiv.org/abs/2006.15704;
https://docs.pytorch.org/docs/stable/distributed.html.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional as F

from .ex07_clip_grad_norm import clip_grad_norm

IGNORED = -100  # a target that counts for nothing


def data_parallel_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]],
    max_norm: float | None = None,
) -> float:
    """Take one step on the shards of all ranks together, and return the loss.

    Every rank calls this at the same time, with weights that are equal on all ranks. The loss is
    the mean cross-entropy over the tokens of all shards, with the weights as they were before the
    step: the same number on every rank. All take the step, with the gradient of this mean, and
    their weights are equal again: they are those of one process that has the whole batch.

    Without a process group (`dist.is_initialized()` is False) the only shard is `batch`.

    Args:
        model: `model(x)` gives logits (batch, seq, vocab). A parameter that requires no gradient
            stays as it is. One that the shard of a rank does not reach (an expert that nobody chose
            there) has a gradient of zeros on that rank.
        optimizer: holds the parameters of the model. Gradients from before the call have no
            influence.
        batch: this rank's (x, y), on the device of the model; `y` holds the token after each one of
            `x`. Where `y` is -100 it counts for nothing. Shards may have different shapes, and
            different numbers of tokens that count, down to none.
        max_norm: the gradient of the whole batch is clipped to this norm (7.7) before the step,
            unless it is None.

    Raises:
        ValueError: no token counts in any shard; every rank raises it, and none takes the step.

    >>> model = nn.Embedding.from_pretrained(torch.zeros(4, 4), freeze=False)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> batch = torch.tensor([[0, 1, 2]]), torch.tensor([[1, 2, 3]])
    >>> [round(data_parallel_step(model, optimizer, batch), 4) for _ in range(2)]
    [1.3863, 1.1473]
    """
    # solution
    x, y = batch
    tokens = total((y != IGNORED).sum())
    if tokens == 0:
        raise ValueError("no rank holds a token that counts")
    optimizer.zero_grad()
    nll = F.cross_entropy(
        model(x).flatten(0, 1), y.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    loss = nll / tokens  # this shard's part of the mean: now gradients only have to be added
    loss.backward()
    for parameter in model.parameters():
        if parameter.requires_grad:  # every rank sends the same tensors in the same order
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            total(parameter.grad)
    if max_norm is not None:
        clip_grad_norm(model.parameters(), max_norm)  # the same norm on every rank
    optimizer.step()
    return total(loss.detach()).item()


def save_on_rank_zero(save: Callable[[], object]) -> None:
    """Call `save()` on rank 0 only: two processes that write one file destroy it.

    Every rank calls this at the same time. It returns on no rank before `save` has ended on rank 0,
    so that all can read what was written. If `save` raises an exception, rank 0 raises it, and the
    other ranks return. Without a process group `save` is called.

    >>> save_on_rank_zero(lambda: print("saved"))
    saved
    """
    # solution
    try:
        if not dist.is_initialized() or dist.get_rank() == 0:
            save()
    finally:
        if dist.is_initialized():
            dist.barrier()


# solution
def total(part: Tensor) -> Tensor:
    """Replace `part`, in place, by its sum over all ranks, and return it."""
    if dist.is_initialized():
        dist.all_reduce(part)
    return part
