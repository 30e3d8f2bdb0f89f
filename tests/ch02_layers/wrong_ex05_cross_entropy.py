import torch
from torch.nn import functional as F

from kata.wrong import wrong


def token_losses(log_probs, targets, ignore_index):
    """Minus the log-probability of each target, and the mask of the rows that count."""
    keep = targets != ignore_index
    safe = targets.masked_fill(~keep, 0)
    if ((safe < 0) | (safe >= log_probs.shape[-1])).any():
        raise IndexError("a target is outside the vocabulary")
    return -log_probs.gather(-1, safe[:, None])[:, 0], keep


@wrong(
    caught_by=[
        "ignored_rows_do_not_count",
        "ignored_rows_may_hold_anything",
        "nothing_left_gives_nan",
        "gradient_agrees_with_torch",
    ]
)
def cross_entropy__averages_over_all_rows(logits, targets, ignore_index=-100):
    """The sum was divided by the number of all rows. Ignored rows do not count there either."""
    losses, keep = token_losses(F.log_softmax(logits, -1), targets, ignore_index)
    return losses.where(keep, 0).sum() / len(targets)


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "ignored_rows_do_not_count",
        "ignored_rows_may_hold_anything",
        "large_logits_stay_finite",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def cross_entropy__looks_every_target_up_in_every_row(logits, targets, ignore_index=-100):
    """`log_probs[:, targets]` looks every target up in every row. Row i needs only its own target:
    `gather` along the vocabulary, or pairs of indices."""
    token_losses(logits, targets, ignore_index)
    keep = targets != ignore_index
    return -F.log_softmax(logits[keep], -1)[:, targets[keep]].mean()


@wrong(caught_by=["large_logits_stay_finite"])
def cross_entropy__takes_the_log_of_softmax(logits, targets, ignore_index=-100):
    """The probability was computed first, and its logarithm second: an unlikely target gets the
    probability 0 and an infinite loss."""
    losses, keep = token_losses(logits.softmax(-1).log(), targets, ignore_index)
    return losses[keep].mean()


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "ignored_rows_do_not_count",
        "ignored_rows_may_hold_anything",
        "large_logits_stay_finite",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def cross_entropy__applies_softmax_twice(logits, targets, ignore_index=-100):
    """The log-softmax was taken of probabilities. It takes the logits themselves."""
    losses, keep = token_losses(F.log_softmax(logits.softmax(-1), -1), targets, ignore_index)
    return losses[keep].mean()


@wrong(caught_by=["ignored_rows_do_not_count"])
def cross_entropy__always_ignores_minus_100(logits, targets, ignore_index=-100):
    """-100 is written into the code: the argument `ignore_index` has no effect."""
    losses, keep = token_losses(F.log_softmax(logits, -1), targets, -100)
    return losses[keep].mean()


@wrong(caught_by=["nothing_left_gives_nan"])
def cross_entropy__nothing_left_is_zero(logits, targets, ignore_index=-100):
    """When every row was ignored the loss is 0, the best there is. A mean over nothing is NaN,
    which somebody notices."""
    losses, keep = token_losses(F.log_softmax(logits, -1), targets, ignore_index)
    return losses.where(keep, 0).sum() / keep.sum().clamp(min=1)


@wrong(caught_by=["target_outside_the_vocabulary_raises"])
def cross_entropy__negative_targets_wrap(logits, targets, ignore_index=-100):
    """A negative target that is not `ignore_index` was read from the end of the vocabulary,
    silently."""
    keep = targets != ignore_index
    log_probs = F.log_softmax(logits[keep], -1)
    return -log_probs[torch.arange(len(log_probs)), targets[keep]].mean()


@wrong(caught_by=["ignored_rows_may_hold_anything"])
def cross_entropy__multiplies_by_the_mask(logits, targets, ignore_index=-100):
    """Ignored losses were multiplied by 0. That is NaN where the loss is NaN or infinite: select
    the rows, or use `where`."""
    losses, keep = token_losses(F.log_softmax(logits, -1), targets, ignore_index)
    return (losses * keep).sum() / keep.sum()


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "ignored_rows_do_not_count",
        "ignored_rows_may_hold_anything",
        "nothing_left_gives_nan",
        "large_logits_stay_finite",
        "keeps_the_dtype",
    ],
    crashes=["gradient_agrees_with_torch"],
)
def cross_entropy__returns_a_number(logits, targets, ignore_index=-100):
    """The result is a Python number (`.item()`, `float(...)`), which has no gradient."""
    losses, keep = token_losses(F.log_softmax(logits, -1), targets, ignore_index)
    return losses[keep].mean().item()


@wrong(caught_by=["keeps_the_dtype"])
def cross_entropy__converts_to_float32(logits, targets, ignore_index=-100):
    """The loss is float32 whatever the logits are."""
    losses, keep = token_losses(F.log_softmax(logits.float(), -1), targets, ignore_index)
    return losses[keep].mean()


@wrong(caught_by=["inputs_are_not_modified"])
def cross_entropy__modifies_the_targets(logits, targets, ignore_index=-100):
    """Ignored targets were overwritten in the caller's tensor."""
    losses, keep = token_losses(F.log_softmax(logits, -1), targets, ignore_index)
    targets[~keep] = 0
    return losses[keep].mean()
