import math

from kata.wrong import wrong
from solutions.ch07_training.ex06_lr_schedule import lr_schedule


def cosine(progress, max_lr, min_lr):
    """The way down, from `max_lr` at 0 to `min_lr` at 1."""
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * progress)) / 2


@wrong(
    caught_by=[
        "stays_at_the_minimum_after_the_end",
        "the_minimum_is_0_unless_told",
        "climbs_and_then_only_falls",
    ]
)
def lr_schedule__rises_after_the_end(step, warmup, total, max_lr, min_lr=0.0):
    """The cosine climbs again after step `total`. From there on it is `min_lr`."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    if step < warmup or total == warmup:
        return right
    return cosine((step - warmup) / (total - warmup), max_lr, min_lr)


@wrong(
    caught_by=[
        "every_step_by_hand",
        "stays_at_the_minimum_after_the_end",
        "agrees_with_torch_without_a_warm_up",
        "warm_up_may_take_all_steps",
    ]
)
def lr_schedule__ends_at_zero(step, warmup, total, max_lr, min_lr=0.0):
    """After the end it is 0. It stays at `min_lr`."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    return right if step < total else 0.0


@wrong(
    caught_by=["every_step_by_hand", "the_minimum_is_0_unless_told", "warm_up_may_take_all_steps"]
)
def lr_schedule__starts_at_zero(step, warmup, total, max_lr, min_lr=0.0):
    """The warm-up begins with 0, so that the first step is lost. Step 0 has max_lr / warmup, and
    step warmup - 1 has `max_lr`."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    return max_lr * step / warmup if step < warmup else right


@wrong(
    caught_by=["every_step_by_hand", "the_minimum_is_0_unless_told", "warm_up_may_take_all_steps"]
)
def lr_schedule__climbs_a_step_too_long(step, warmup, total, max_lr, min_lr=0.0):
    """The warm-up was divided by warmup + 1, and does not get to `max_lr` in its last step, which
    is step warmup - 1."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    return max_lr * (step + 1) / (warmup + 1) if step < warmup else right


@wrong(caught_by=["every_step_by_hand", "warm_up_may_take_all_steps"])
def lr_schedule__climbs_from_the_minimum(step, warmup, total, max_lr, min_lr=0.0):
    """The warm-up climbs from `min_lr`. It climbs from 0: step 0 has max_lr / warmup."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    return min_lr + (max_lr - min_lr) * (step + 1) / warmup if step < warmup else right


@wrong(caught_by=["every_step_by_hand", "the_minimum_is_0_unless_told"])
def lr_schedule__jumps_after_the_warm_up(step, warmup, total, max_lr, min_lr=0.0):
    """The cosine was counted from step 0, so that the rate jumps down when the warm-up is over. The
    cosine begins at step `warmup` and takes total - warmup steps."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    return cosine(step / total, max_lr, min_lr) if warmup <= step < total else right


@wrong(caught_by=["every_step_by_hand", "the_minimum_is_0_unless_told"])
def lr_schedule__decays_for_total_steps(step, warmup, total, max_lr, min_lr=0.0):
    """The cosine takes `total` steps of its own after the warm-up, and is cut off on the way. It
    has total - warmup steps: the warm-up is part of `total`."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    return cosine((step - warmup) / total, max_lr, min_lr) if warmup <= step < total else right


@wrong(
    caught_by=[
        "every_step_by_hand",
        "the_minimum_is_0_unless_told",
        "agrees_with_torch_without_a_warm_up",
    ]
)
def lr_schedule__ends_a_step_early(step, warmup, total, max_lr, min_lr=0.0):
    """`min_lr` is reached at step total - 1. It belongs to step `total`."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    if step <= warmup or step >= total:
        return right
    return cosine((step - warmup) / (total - 1 - warmup), max_lr, min_lr)


@wrong(caught_by=["every_step_by_hand", "agrees_with_torch_without_a_warm_up"])
def lr_schedule__cuts_the_cosine_at_the_minimum(step, warmup, total, max_lr, min_lr=0.0):
    """The cosine goes down to 0 and was cut off at `min_lr`. It should end there: scale it to the
    distance between `max_lr` and `min_lr`."""
    right = lr_schedule(step, warmup, total, max_lr)
    return right if step < warmup else max(right, min_lr)


@wrong(
    caught_by=[
        "every_step_by_hand",
        "the_minimum_is_0_unless_told",
        "agrees_with_torch_without_a_warm_up",
    ]
)
def lr_schedule__decays_in_a_straight_line(step, warmup, total, max_lr, min_lr=0.0):
    """The way down is a straight line. It is half a cosine."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    if step < warmup or step >= total:
        return right
    return max_lr - (max_lr - min_lr) * (step - warmup) / (total - warmup)


@wrong(crashes=["agrees_with_torch_without_a_warm_up", "climbs_and_then_only_falls"])
def lr_schedule__needs_a_warm_up(step, warmup, total, max_lr, min_lr=0.0):
    """Without a warm-up (`warmup` is 0) it divides by 0."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    climb = (step + 1) / warmup
    return max_lr * climb if step < warmup else right


@wrong(crashes=["warm_up_may_take_all_steps", "climbs_and_then_only_falls"])
def lr_schedule__needs_a_decay(step, warmup, total, max_lr, min_lr=0.0):
    """When the warm-up takes all steps, step `total` divides by 0. Whether the end is reached has
    to be asked first, and with `>=`."""
    right = lr_schedule(step, warmup, total, max_lr, min_lr)
    if step < warmup or step > total:
        return right
    return cosine((step - warmup) / (total - warmup), max_lr, min_lr)


@wrong(caught_by=["impossible_numbers_are_refused"])
def lr_schedule__accepts_any_numbers(step, warmup, total, max_lr, min_lr=0.0):
    """Impossible numbers give a rate instead of a ValueError: `step` below 0, or `warmup` not from
    0 to `total`."""
    if step < 0 or not 0 <= warmup <= total:
        return max_lr
    return lr_schedule(step, warmup, total, max_lr, min_lr)
