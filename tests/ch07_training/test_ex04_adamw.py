from copy import deepcopy

import pytest
import torch
from torch import nn

from kata.check import close, raises
from kata.tensors import normal

# torch imports much for the first optimizer of a process.
pytestmark = [
    pytest.mark.timeout(60),
]
LARGE = {"lr": 0.1, "betas": (0.7, 0.95), "eps": 1e-2, "weight_decay": 0.8}

IMPOSSIBLE = [
    *({name: -0.1} for name in ("lr", "eps", "weight_decay")),
    *({"betas": betas} for betas in [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, -0.1)]),
]


def weights(count=1, **kind):
    """Parameters of one shape and different values."""
    return [nn.Parameter(normal(3, 4, seed=i).to(**kind)) for i in range(count)]


def train(optimizer, parameters, steps):
    """Take steps along random gradients that are the same every time; return where it led."""
    for t in steps:
        for i, p in enumerate(parameters):
            p.grad = normal(3, 4, seed=100 * t + i).to(p)
        optimizer.step()
    return torch.stack([p.detach().clone() for p in parameters])


def test_first_step_by_hand(answer):
    w = nn.Parameter(torch.tensor([1.0, -2.0]))
    w.grad = torch.tensor([3.0, -1.0])
    answer.AdamW([w], lr=0.1, eps=1.0, weight_decay=0.5).step()
    expected = [1 - 0.1 * 0.5 - 0.1 * 3 / (3 + 1), -2 + 0.1 * 0.5 * 2 + 0.1 * 1 / (1 + 1)]
    close(w.detach(), torch.tensor(expected), "weight")


@pytest.mark.parametrize(
    "options",
    [{}, {"lr": 0.1, "weight_decay": 2.0}, {"eps": 0.01}, {"betas": (0.5, 0.9)}, LARGE],
    ids=str,
)
def test_twenty_steps_agree_with_torch(answer, options):
    ours, theirs = weights(dtype=torch.float64), weights(dtype=torch.float64)
    expected = train(torch.optim.AdamW(theirs, **options), theirs, range(20))
    close(train(answer.AdamW(ours, **options), ours, range(20)), expected, "parameter out in")


def test_each_group_has_its_own_options(answer):
    ours, theirs = weights(3), weights(3)
    options = [{"weight_decay": 2.0}, {"lr": 0.3, "betas": (0.5, 0.6)}, {"eps": 0.5}]
    groups = [{"params": [p], **own} for p, own in zip(theirs, options, strict=True)]
    expected = train(torch.optim.AdamW(groups, lr=0.1), theirs, range(5))
    groups = [{"params": [p], **own} for p, own in zip(ours, options, strict=True)]
    close(train(answer.AdamW(groups, lr=0.1), ours, range(5)), expected, "parameter out in")


def test_options_may_change_between_steps(answer):
    w, theirs = weights(), weights()
    optimizers = answer.AdamW(w, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    train(optimizers[0], w, range(3)), train(optimizers[1], theirs, range(3))
    optimizers[0].param_groups[0]["lr"] = optimizers[1].param_groups[0]["lr"] = 0.02
    expected = train(optimizers[1], theirs, range(3, 6))
    close(train(optimizers[0], w, range(3, 6)), expected, "parameter out in")


def test_a_parameter_without_gradient_is_left_out(answer):
    ours, theirs = weights(3), weights(3)
    train(torch.optim.AdamW(theirs, **LARGE), theirs[::2], range(3))
    train(answer.AdamW(ours, **LARGE), ours[::2], range(3))
    close(torch.stack(ours).detach(), torch.stack(theirs).detach(), "parameter out in")


def test_each_parameter_counts_its_own_steps(answer):
    ours, theirs = weights(2), weights(2)
    optimizers = answer.AdamW(ours, **LARGE), torch.optim.AdamW(theirs, **LARGE)
    train(optimizers[0], ours[:1], range(3)), train(optimizers[1], theirs[:1], range(3))
    expected = train(optimizers[1], theirs, range(3, 6))
    close(train(optimizers[0], ours, range(3, 6)), expected, "parameter out in")


def test_goes_on_from_a_state_dict(answer):
    ours, theirs = weights(2), weights(2)
    expected = train(torch.optim.AdamW(theirs, **LARGE), theirs, range(6))
    before = answer.AdamW(ours, **LARGE)
    train(before, ours, range(3))
    after = answer.AdamW(ours)
    after.load_state_dict(deepcopy(before.state_dict()))
    close(train(after, ours, range(3, 6)), expected, "parameter out in")


def test_optimizers_do_not_share_anything(answer):
    theirs, ours, others = weights(), weights(), weights()
    expected = train(torch.optim.AdamW(theirs, **LARGE), theirs, range(5))
    train(answer.AdamW(others, **LARGE), others, range(10, 15))
    close(train(answer.AdamW(ours, **LARGE), ours, range(5)), expected, "parameter out in")


def test_gradients_are_not_modified(answer):
    w = weights()
    train(answer.AdamW(w, **LARGE), w, [7])
    close(w[0].grad, normal(3, 4, seed=700), "out in", rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, device, dtype):
    ours, theirs = weights(dtype=dtype, device=device), weights(dtype=dtype, device=device)
    expected = train(torch.optim.AdamW(theirs, **LARGE), theirs, range(3))
    close(train(answer.AdamW(ours, **LARGE), ours, range(3)), expected, "parameter out in")


def test_works_on_the_meta_device(answer):
    w = weights(device="meta")
    expected = torch.empty(1, 3, 4, device="meta")
    close(train(answer.AdamW(w), w, range(2)), expected, "parameter out in")


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=str)
def test_impossible_options_are_refused(answer, options):
    with raises(ValueError):
        answer.AdamW(weights(), **options)
