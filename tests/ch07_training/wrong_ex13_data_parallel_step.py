import torch
import torch.distributed as dist
from torch.nn import functional as F

from kata.wrong import wrong
from solutions.ch07_training.ex07_clip_grad_norm import clip_grad_norm
from solutions.ch07_training.ex13_data_parallel_step import total


def counted(y):
    """How many targets count on this rank, and on all; or the right error."""
    mine = (y != -100).sum()
    tokens = total(mine.clone())
    if tokens == 0:
        raise ValueError("no tokens")
    return mine, tokens


def nll_of(model, x, y, reduction="sum"):
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction=reduction)


def ranks():
    return dist.get_world_size() if dist.is_initialized() else 1


def rank():
    return dist.get_rank() if dist.is_initialized() else 0


def exchanged(model, exchange=total):
    """Add up the gradients of all parameters that are trained."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            exchange(parameter.grad)


def clipped(model, max_norm):
    if max_norm is not None:
        clip_grad_norm(model.parameters(), max_norm)


def step_with(model, optimizer, batch, max_norm, *, loss_of, exchange=total):
    """A right version with parts that can be replaced: `loss_of(nll, mine, tokens)`."""
    x, y = batch
    mine, tokens = counted(y)
    optimizer.zero_grad()
    nll = nll_of(model, x, y)
    loss_of(nll, mine, tokens).backward()
    exchanged(model, exchange)
    clipped(model, max_norm)
    optimizer.step()
    return total(nll.detach() / tokens).item()


@wrong(
    caught_by=[
        "two_ranks_by_hand",
        "ranks_equal_one_process_with_all",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__adds_the_means(model, optimizer, batch, max_norm=None):
    """The gradients of the ranks' mean losses were added up, so that the gradient is too large by
    the number of ranks. It has to be that of the mean over all tokens."""
    return step_with(
        model, optimizer, batch, max_norm, loss_of=lambda nll, mine, _: nll / mine.clamp(min=1)
    )


@wrong(
    caught_by=[
        "two_ranks_by_hand",
        "ranks_equal_one_process_with_all",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__averages_the_means(model, optimizer, batch, max_norm=None):
    """Every rank counted the same, however few tokens its shard holds. Weigh the ranks by their
    tokens: divide by the tokens of all ranks before gradients are added up."""
    return step_with(
        model, optimizer, batch, max_norm,
        loss_of=lambda nll, mine, _: nll / mine.clamp(min=1) / ranks(),
    )  # fmt: skip


@wrong(
    caught_by=[
        "two_ranks_by_hand",
        "ranks_equal_one_process_with_all",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__weighs_by_rows(model, optimizer, batch, max_norm=None):
    """The ranks were weighed by the rows of their shards. What counts is the number of targets that
    are not -100."""
    x, _ = batch
    rows = total(torch.tensor(len(x)))
    return step_with(
        model, optimizer, batch, max_norm,
        loss_of=lambda nll, mine, _: nll / mine.clamp(min=1) * len(x) / rows,
    )  # fmt: skip


@wrong(
    caught_by=[
        "two_ranks_by_hand",
        "ranks_equal_one_process_with_all",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__sums_the_losses(model, optimizer, batch, max_norm=None):
    """The gradient is that of the sum of all losses. Divide it by the number of tokens of all
    ranks."""
    return step_with(model, optimizer, batch, max_norm, loss_of=lambda nll, *_: nll)


@wrong(
    caught_by=[
        "two_ranks_by_hand",
        "ranks_equal_one_process_with_all",
        "ranks_stay_equal_to_the_bit",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__never_talks(model, optimizer, batch, max_norm=None):
    """Every rank took the step of its own shard, and from then on there are several models. Add up
    the gradients with `dist.all_reduce` before the step."""
    return step_with(
        model, optimizer, batch, max_norm,
        loss_of=lambda nll, mine, _: nll / mine.clamp(min=1), exchange=lambda grad: grad,
    )  # fmt: skip


@wrong(
    caught_by=[
        "two_ranks_by_hand",
        "ranks_equal_one_process_with_all",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__takes_the_gradient_of_rank_zero(model, optimizer, batch, max_norm=None):
    """The gradient of rank 0 was sent to all (`broadcast`), and the shards of the others had no
    influence. `all_reduce` adds up what the ranks have."""

    def broadcast(grad):
        if dist.is_initialized():
            dist.broadcast(grad, src=0)

    return step_with(
        model, optimizer, batch, max_norm,
        loss_of=lambda nll, mine, _: nll / mine.clamp(min=1), exchange=broadcast,
    )  # fmt: skip


@wrong(
    caught_by=[
        "two_ranks_by_hand",
        "ranks_equal_one_process_with_all",
        "ranks_stay_equal_to_the_bit",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__collects_on_rank_zero(model, optimizer, batch, max_norm=None):
    """The sum of the gradients arrived on rank 0 only (`reduce`). Every rank needs it:
    `all_reduce`."""

    def reduce(grad):
        if dist.is_initialized():
            mine = grad.clone()
            dist.reduce(mine, dst=0)  # leaves something in between on other ranks
            grad.copy_(mine if rank() == 0 else grad)

    return step_with(
        model, optimizer, batch, max_norm,
        loss_of=lambda nll, _, tokens: nll / tokens, exchange=reduce,
    )  # fmt: skip


@wrong(
    caught_by=[
        "two_ranks_by_hand",
        "ranks_equal_one_process_with_all",
        "ranks_stay_equal_to_the_bit",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__steps_on_rank_zero_only(model, optimizer, batch, max_norm=None):
    """Only rank 0 took the step. Nobody sends weights, so every rank has to take it."""
    x, y = batch
    _, tokens = counted(y)
    optimizer.zero_grad()
    loss = nll_of(model, x, y) / tokens
    loss.backward()
    exchanged(model)
    clipped(model, max_norm)
    if rank() == 0:
        optimizer.step()
    return total(loss.detach()).item()


@wrong(
    caught_by=[
        "ranks_equal_one_process_with_all",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__averages_the_weights(model, optimizer, batch, max_norm=None):
    """Every rank took its own step, and then the weights were averaged. With an optimizer that is
    more than subtraction that is another step: average the gradients before it."""
    x, y = batch
    mine, tokens = counted(y)
    optimizer.zero_grad()
    nll = nll_of(model, x, y)
    (nll / mine.clamp(min=1)).backward()
    clipped(model, max_norm)
    optimizer.step()
    for parameter in model.parameters():
        total(parameter.data.mul_(mine / tokens))
    return total(nll.detach() / tokens).item()


@wrong(caught_by=["gradient_of_all_is_clipped"])
def data_parallel_step__clips_before_the_sum(model, optimizer, batch, max_norm=None):
    """Every rank clipped its own part, before the parts were added up. The norm is that of the
    whole gradient: clip after the exchange."""
    x, y = batch
    _, tokens = counted(y)
    optimizer.zero_grad()
    loss = nll_of(model, x, y) / tokens
    loss.backward()
    clipped(model, max_norm)
    exchanged(model)
    optimizer.step()
    return total(loss.detach()).item()


@wrong(caught_by=["gradient_of_all_is_clipped", "works_without_a_process_group"])
def data_parallel_step__never_clips(model, optimizer, batch, max_norm=None):
    """`max_norm` was not used."""
    return step_with(model, optimizer, batch, None, loss_of=lambda nll, _, tokens: nll / tokens)


@wrong(caught_by=["ranks_equal_one_process_with_all", "shards_may_reach_different_parameters"])
def data_parallel_step__keeps_old_gradients(model, optimizer, batch, max_norm=None):
    """The gradients of the step before were still there. Call `optimizer.zero_grad()` first."""
    x, y = batch
    _, tokens = counted(y)
    loss = nll_of(model, x, y) / tokens
    loss.backward()
    exchanged(model)
    clipped(model, max_norm)
    optimizer.step()
    return total(loss.detach()).item()


@wrong(caught_by=["every_rank_returns_the_loss_of_all"])
def data_parallel_step__returns_its_own_loss(model, optimizer, batch, max_norm=None):
    """Each rank returned the mean loss of its own shard. It has to be that of all shards."""
    x, y = batch
    with torch.no_grad():
        mine = nll_of(model, x, y) / (y != -100).sum().clamp(min=1)
    step_with(model, optimizer, batch, max_norm, loss_of=lambda nll, _, tokens: nll / tokens)
    return mine.item()


@wrong(caught_by=["two_ranks_by_hand", "every_rank_returns_the_loss_of_all"])
def data_parallel_step__returns_its_part_of_the_loss(model, optimizer, batch, max_norm=None):
    """Each rank returned its own part of the loss. Add the parts up, too."""
    x, y = batch
    _, tokens = counted(y)
    with torch.no_grad():
        mine = nll_of(model, x, y) / tokens
    step_with(model, optimizer, batch, max_norm, loss_of=lambda nll, _, tokens: nll / tokens)
    return mine.item()


@wrong(
    caught_by=[
        "ranks_equal_one_process_with_all",
        "every_rank_returns_the_loss_of_all",
        "gradient_of_all_is_clipped",
        "shards_may_reach_different_parameters",
    ]
)
def data_parallel_step__counts_ignored_targets(model, optimizer, batch, max_norm=None):
    """Targets of -100 were counted as tokens."""
    x, y = batch
    counted(y)
    places = total(torch.tensor(y.numel()))
    optimizer.zero_grad()
    loss = nll_of(model, x, y) / places
    loss.backward()
    exchanged(model)
    clipped(model, max_norm)
    optimizer.step()
    return total(loss.detach()).item()


@wrong(crashes=["works_without_a_process_group"])
def data_parallel_step__needs_a_process_group(model, optimizer, batch, max_norm=None):
    """Without a process group `dist.all_reduce` is an error: ask `dist.is_initialized()` first."""
    dist.get_world_size()
    return step_with(model, optimizer, batch, max_norm, loss_of=lambda nll, _, tokens: nll / tokens)


@wrong(caught_by=["shards_may_reach_different_parameters"])
def data_parallel_step__skips_what_its_shard_does_not_reach(model, optimizer, batch, max_norm=None):
    """A rank left out the parameters that its shard did not reach, and tensors were added up that
    do not belong together. Every rank has to send all of them, in the same order, and zeros where a
    gradient is None."""
    x, y = batch
    _, tokens = counted(y)
    optimizer.zero_grad()
    loss = nll_of(model, x, y) / tokens
    loss.backward()
    for parameter in model.parameters():
        if parameter.grad is not None:
            total(parameter.grad)
    clipped(model, max_norm)
    optimizer.step()
    return total(loss.detach()).item()


@wrong(crashes=["shards_may_reach_different_parameters"])
def data_parallel_step__trains_frozen_parameters(model, optimizer, batch, max_norm=None):
    """A parameter that requires no gradient was exchanged, too, and has none."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            total(parameter.grad)
    return step_with(model, optimizer, batch, max_norm, loss_of=lambda nll, _, tokens: nll / tokens)


@wrong(crashes=["ranks_equal_one_process_with_all", "every_rank_returns_the_loss_of_all"])
def data_parallel_step__refuses_an_empty_shard(model, optimizer, batch, max_norm=None):
    """A rank raised an error because its own shard holds no token, and the others waited for it in
    vain. It takes part with a gradient of zeros; only when no rank has a token is it an error."""
    if (batch[1] != -100).sum() == 0:
        raise ValueError("no tokens")
    return step_with(model, optimizer, batch, max_norm, loss_of=lambda nll, _, tokens: nll / tokens)


@wrong(caught_by=["every_rank_returns_the_loss_of_all"])
def data_parallel_step__divides_by_its_own_tokens(model, optimizer, batch, max_norm=None):
    """The mean over a shard without tokens is 0 / 0, which is NaN, and the sum took that to every
    rank. Divide the sum of the losses by the tokens of all ranks."""
    x, y = batch
    mine, tokens = counted(y)
    optimizer.zero_grad()
    loss = nll_of(model, x, y, reduction="mean") * (mine / tokens)
    loss.backward()
    exchanged(model)
    clipped(model, max_norm)
    optimizer.step()
    return total(loss.detach()).item()


@wrong(caught_by=["no_tokens_anywhere_are_an_error"])
def data_parallel_step__takes_no_tokens_for_a_batch(model, optimizer, batch, max_norm=None):
    """No rank had a token, and the step was taken all the same. The docstring asks for a
    ValueError."""
    x, y = batch
    tokens = total((y != -100).sum()).clamp(min=1)
    optimizer.zero_grad()
    loss = nll_of(model, x, y) / tokens
    loss.backward()
    exchanged(model)
    clipped(model, max_norm)
    optimizer.step()
    return total(loss.detach()).item()


@wrong(
    caught_by=[
        "rank_zero_alone_saves",
        "no_rank_goes_on_before_all_is_saved",
        "a_full_disk_is_told_on_rank_zero",
    ]
)
def save_on_rank_zero__saves_on_every_rank(save):
    """Every rank saved. They write the same file at the same time, and it may become a mixture."""
    save()
    if dist.is_initialized():
        dist.barrier()


@wrong(caught_by=["rank_zero_alone_saves", "a_full_disk_is_told_on_rank_zero"])
def save_on_rank_zero__saves_on_the_last_rank(save):
    """The last rank saved, and it should be rank 0."""
    if rank() == ranks() - 1:
        save()
    if dist.is_initialized():
        dist.barrier()


@wrong(caught_by=["no_rank_goes_on_before_all_is_saved"])
def save_on_rank_zero__waits_for_nobody(save):
    """The other ranks did not wait, and could read the file before it is complete. A
    `dist.barrier()` lets nobody through before all have reached it."""
    if rank() == 0:
        save()


@wrong(caught_by=["no_rank_goes_on_before_all_is_saved"])
def save_on_rank_zero__waits_before_it_saves(save):
    """The ranks waited for each other before rank 0 saved, and not after it."""
    if dist.is_initialized():
        dist.barrier()
    if rank() == 0:
        save()


@wrong(crashes=["saves_without_a_process_group"])
def save_on_rank_zero__needs_a_process_group(save):
    """Without a process group there is no rank: ask `dist.is_initialized()` first."""
    try:
        if dist.get_rank() == 0:
            save()
    finally:
        dist.barrier()


@wrong(caught_by=["saves_without_a_process_group"])
def save_on_rank_zero__saves_only_in_a_group(save):
    """Without a process group nothing was saved. There is one process then, and it saves."""
    try:
        if dist.is_initialized() and dist.get_rank() == 0:
            save()
    finally:
        if dist.is_initialized():
            dist.barrier()


@wrong(caught_by=["a_full_disk_is_told_on_rank_zero"])
def save_on_rank_zero__leaves_the_others_waiting(save):
    """When saving failed, rank 0 never reached the barrier, and the others waited for it in vain.
    Put the barrier into a `finally`."""
    if rank() == 0:
        save()
    if dist.is_initialized():
        dist.barrier()


@wrong(caught_by=["a_full_disk_is_told_on_rank_zero"])
def save_on_rank_zero__hides_the_error(save):
    """That saving failed was not said. Let the exception of `save` go on to the caller."""
    try:
        if rank() == 0:
            save()
    except OSError:
        pass
    if dist.is_initialized():
        dist.barrier()
