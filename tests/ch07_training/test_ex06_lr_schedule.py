import math

import pytest
import torch

from kata.check import close, raises
from kata.properties import example, given, st


def rates(answer, steps, *sizes, **limits):
    """The learning rates of the first steps."""
    found = [answer.lr_schedule(step, *sizes, **limits) for step in range(steps)]
    return torch.tensor(found, dtype=torch.float64)


def cosine_of_torch(steps, total, max_lr, min_lr):
    """The rates that torch's own schedule gives, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=max_lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total, min_lr)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return torch.tensor(found, dtype=torch.float64)


def test_every_step_by_hand(answer):
    half = 3 * math.cos(math.pi / 6)  # the way down has six steps of 30 degrees each
    by_hand = [2, 4, 6, 8, 8, 5 + half, 6.5, 5, 3.5, 5 - half, 2]
    expected = torch.tensor(by_hand, dtype=torch.float64)
    close(rates(answer, 11, 4, 10, max_lr=8.0, min_lr=2.0), expected, "step")


def test_stays_at_the_minimum_after_the_end(answer):
    after = [answer.lr_schedule(step, 4, 10, 8.0, 2.0) for step in (10, 11, 13, 16, 1000)]
    assert after == [2.0] * 5


def test_the_minimum_is_0_unless_told(answer):
    expected = torch.tensor([3, 6, 6, 4.5, 1.5, 0, 0], dtype=torch.float64)
    close(rates(answer, 7, 2, 5, 6.0), expected, "step")


@pytest.mark.timeout(60)  # torch imports much for its first optimizer
def test_agrees_with_torch_without_a_warm_up(answer):
    expected = cosine_of_torch(10, 9, 0.3, 0.02)
    close(rates(answer, 10, 0, 9, 0.3, 0.02), expected, "step")


def test_warm_up_may_take_all_steps(answer):
    expected = torch.tensor([1, 2, 3, 0.5, 0.5], dtype=torch.float64)
    close(rates(answer, 5, 3, 3, 3.0, 0.5), expected, "step")


@given(st.integers(0, 20), st.integers(0, 20), st.floats(0, 0.9))
@example(3, 9, 0.1)
def test_climbs_and_then_only_falls(answer, warmup, decay, min_lr):
    found = rates(answer, warmup + decay + 5, warmup, warmup + decay, 1.0, min_lr)
    climb, fall = found[:warmup], found[warmup:]
    close(climb, climb.sort().values, "step")
    close(fall, fall.sort(descending=True).values, "step")


@pytest.mark.parametrize(("step", "warmup"), [(-1, 2), (1, -1), (0, 6)])
def test_impossible_numbers_are_refused(answer, step, warmup):
    with raises(ValueError):
        answer.lr_schedule(step, warmup, 5, 1.0)
