from torch.nn import functional as F

from kata.wrong import wrong
from solutions.ch07_training.ex07_clip_grad_norm import clip_grad_norm
from solutions.ch07_training.ex08_accumulate_step import accumulate_step


def count(micro_batches):
    """The number of tokens that count; none is an error."""
    tokens = sum(int((y != -100).sum()) for _, y in micro_batches)
    if tokens == 0:
        raise ValueError("no tokens")
    return tokens


def nll(model, x, y, reduction="sum"):
    """The cross-entropy of one micro-batch."""
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction=reduction)


def finish(model, optimizer, max_norm):
    """Clip, if that is wanted, and step."""
    if max_norm is not None:
        clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()


@wrong(
    caught_by=[
        "loss_of_five_tokens_by_hand",
        "loss_is_that_of_one_large_batch",
        "gradient_is_that_of_one_large_batch",
        "second_step_starts_anew",
        "momentum_moves_on_once_for_each_step",
        "whole_gradient_is_clipped",
    ]
)
def accumulate_step__averages_the_means(model, optimizer, micro_batches, max_norm=None):
    """The mean of each micro-batch was divided by the number of micro-batches. That is the mean
    over all tokens only if each holds equally many: divide sums by the number of all tokens."""
    count(micro_batches)
    optimizer.zero_grad()
    loss = 0.0
    for x, y in micro_batches:
        part = nll(model, x, y, "mean") / len(micro_batches)
        part.backward()
        loss += part.item()
    finish(model, optimizer, max_norm)
    return loss


@wrong(
    caught_by=[
        "loss_of_five_tokens_by_hand",
        "loss_is_that_of_one_large_batch",
        "gradient_is_that_of_one_large_batch",
        "second_step_starts_anew",
        "momentum_moves_on_once_for_each_step",
        "whole_gradient_is_clipped",
    ]
)
def accumulate_step__adds_up_the_means(model, optimizer, micro_batches, max_norm=None):
    """The gradients of the means were added and never divided: the more micro-batches, the larger
    the gradient."""
    count(micro_batches)
    optimizer.zero_grad()
    losses = []
    for x, y in micro_batches:
        part = nll(model, x, y, "mean")
        part.backward()
        losses.append(part.item())
    finish(model, optimizer, max_norm)
    return sum(losses) / len(losses)


@wrong(
    caught_by=[
        "gradient_is_that_of_one_large_batch",
        "second_step_starts_anew",
        "momentum_moves_on_once_for_each_step",
        "whole_gradient_is_clipped",
    ]
)
def accumulate_step__clears_the_gradient_each_time(model, optimizer, micro_batches, max_norm=None):
    """`zero_grad` stands inside of the loop: each micro-batch throws away the gradient of the one
    before, and only the last is left."""
    tokens, loss = count(micro_batches), 0.0
    for x, y in micro_batches:
        optimizer.zero_grad()
        part = nll(model, x, y) / tokens
        part.backward()
        loss += part.item()
    finish(model, optimizer, max_norm)
    return loss


@wrong(
    caught_by=[
        "loss_is_that_of_one_large_batch",
        "gradient_is_that_of_one_large_batch",
        "second_step_starts_anew",
        "momentum_moves_on_once_for_each_step",
        "whole_gradient_is_clipped",
    ]
)
def accumulate_step__steps_each_time(model, optimizer, micro_batches, max_norm=None):
    """The optimizer took a step after each micro-batch. There is one step, at the end, with the
    gradient of all of them."""
    tokens, loss = count(micro_batches), 0.0
    for x, y in micro_batches:
        optimizer.zero_grad()
        part = nll(model, x, y) / tokens
        part.backward()
        loss += part.item()
        finish(model, optimizer, max_norm)
    return loss


@wrong(caught_by=["second_step_starts_anew", "momentum_moves_on_once_for_each_step"])
def accumulate_step__keeps_the_old_gradient(model, optimizer, micro_batches, max_norm=None):
    """`zero_grad` is missing: the gradient of the step before is added to this one."""
    tokens, loss = count(micro_batches), 0.0
    for x, y in micro_batches:
        part = nll(model, x, y) / tokens
        part.backward()
        loss += part.item()
    finish(model, optimizer, max_norm)
    return loss


@wrong(
    caught_by=[
        "loss_is_that_of_one_large_batch",
        "gradient_is_that_of_one_large_batch",
        "second_step_starts_anew",
        "momentum_moves_on_once_for_each_step",
        "whole_gradient_is_clipped",
    ]
)
def accumulate_step__counts_ignored_tokens(model, optimizer, micro_batches, max_norm=None):
    """The sum was divided by the number of all targets, also of those that are -100. They add
    nothing to the sum, so they may not count below it."""
    count(micro_batches)
    tokens, loss = sum(y.numel() for _, y in micro_batches), 0.0
    optimizer.zero_grad()
    for x, y in micro_batches:
        part = nll(model, x, y) / tokens
        part.backward()
        loss += part.item()
    finish(model, optimizer, max_norm)
    return loss


@wrong(caught_by=["loss_is_that_of_one_large_batch"])
def accumulate_step__weighs_a_mean_of_nothing(model, optimizer, micro_batches, max_norm=None):
    """A micro-batch without a token that counts has no mean (it is NaN), and NaN times 0 is NaN.
    The sum over no tokens is 0: use `reduction="sum"`."""
    tokens, loss = count(micro_batches), 0.0
    optimizer.zero_grad()
    for x, y in micro_batches:
        part = nll(model, x, y, "mean") * (y != -100).sum() / tokens
        part.backward()
        loss += part.item()
    finish(model, optimizer, max_norm)
    return loss


@wrong(caught_by=["memory_is_that_of_one_micro_batch"])
def accumulate_step__keeps_all_activations(model, optimizer, micro_batches, max_norm=None):
    """The losses were added up and `backward` was called once, at the end. Until then the
    activations of all micro-batches are in memory, and that is what was to be avoided."""
    tokens = count(micro_batches)
    optimizer.zero_grad()
    loss = sum(nll(model, x, y) for x, y in micro_batches) / tokens
    loss.backward()
    finish(model, optimizer, max_norm)
    return loss.item()


@wrong(caught_by=["whole_gradient_is_clipped"])
def accumulate_step__clips_each_micro_batch(model, optimizer, micro_batches, max_norm=None):
    """The gradient was clipped after each micro-batch, when it was not complete. Clip once, before
    the step."""
    tokens, loss = count(micro_batches), 0.0
    optimizer.zero_grad()
    for x, y in micro_batches:
        part = nll(model, x, y) / tokens
        part.backward()
        loss += part.item()
        if max_norm is not None:
            clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return loss


@wrong(caught_by=["whole_gradient_is_clipped"])
def accumulate_step__clips_after_the_step(model, optimizer, micro_batches, max_norm=None):
    """The gradient was clipped after the step, which had used it already."""
    loss = accumulate_step(model, optimizer, micro_batches)
    if max_norm is not None:
        clip_grad_norm(model.parameters(), max_norm)
    return loss


@wrong(
    caught_by=[
        "loss_of_five_tokens_by_hand",
        "loss_is_that_of_one_large_batch",
        "gradient_is_that_of_one_large_batch",
        "second_step_starts_anew",
        "momentum_moves_on_once_for_each_step",
        "whole_gradient_is_clipped",
    ]
)
def accumulate_step__shifts_the_targets(model, optimizer, micro_batches, max_norm=None):
    """The targets were shifted once more. In the batches of 7.1, `y` is the next token already."""
    tokens, loss = count(micro_batches), 0.0
    optimizer.zero_grad()
    for x, y in micro_batches:
        logits = model(x)[:, :-1].flatten(0, 1)
        part = F.cross_entropy(logits, y[:, 1:].flatten(), reduction="sum") / tokens
        part.backward()
        loss += part.item()
    finish(model, optimizer, max_norm)
    return loss


@wrong(caught_by=["loss_of_five_tokens_by_hand", "loss_is_that_of_one_large_batch"])
def accumulate_step__returns_the_last_loss(model, optimizer, micro_batches, max_norm=None):
    """The loss of the last micro-batch was returned, not the mean over all tokens."""
    accumulate_step(model, optimizer, micro_batches, max_norm)
    with_tokens = [(x, y) for x, y in micro_batches if (y != -100).any()]
    return nll(model, *with_tokens[-1], "mean").item()


@wrong(caught_by=["no_tokens_are_refused"])
def accumulate_step__accepts_no_tokens(model, optimizer, micro_batches, max_norm=None):
    """Without a token that counts there is no mean, and no step to take: that is a ValueError."""
    if not any((y != -100).any() for _, y in micro_batches):
        return 0.0
    return accumulate_step(model, optimizer, micro_batches, max_norm)
