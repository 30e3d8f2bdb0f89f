"""7.6 Warm-up and cosine decay   [easy, ~15 min]

The first steps of a training run are the dangerous ones: the optimizer knows nothing yet about the
size of the gradients. So the learning rate climbs for some steps before it is at its maximum. From
there it follows half a cosine down, for with small steps a model settles where large ones jump
around. Set it before every step: `group["lr"] = lr_schedule(step, ...)`.

Source: Loshchilov and Hutter (2017), SGDR, https://arxiv.org/abs/1608.03983, equation 5; the
warm-up is that of Radford et al. (2018), Improving Language Understanding, section 4.1.
"""

import math


def lr_schedule(step: int, warmup: int, total: int, max_lr: float, min_lr: float = 0.0) -> float:
    """Return the learning rate of one step, counted from 0.

    The first `warmup` steps climb in a straight line: step 0 has max_lr / warmup, each one adds as
    much again, and the last of them, step warmup - 1, has `max_lr`. With `warmup` = 0 there are
    none. Then half a cosine leads from `max_lr` at step `warmup` down to `min_lr` at step `total`.
    From `total` on it stays at `min_lr`, also when `warmup` is as large as `total`.

    Raises:
        ValueError: `step` is negative, or `warmup` is not from 0 to `total`.

    >>> rates = [lr_schedule(step, warmup=2, total=6, max_lr=8.0, min_lr=1.0) for step in range(8)]
    >>> [round(rate, 2) for rate in rates]
    [4.0, 8.0, 8.0, 6.97, 4.5, 2.03, 1.0, 1.0]
    """
    # solution
    if step < 0:
        raise ValueError(f"step must not be negative, got {step}")
    if not 0 <= warmup <= total:
        raise ValueError(f"warmup must be from 0 to total={total}, got {warmup}")
    if step < warmup:
        return max_lr * (step + 1) / warmup
    if step >= total:
        return min_lr
    progress = (step - warmup) / (total - warmup)
    return min_lr + (max_lr - min_lr) * (1 + math.cos(math.pi * progress)) / 2
