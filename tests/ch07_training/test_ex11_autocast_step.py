from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.amp import GradScaler
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

from kata.check import close
from kata.tensors import generator, randomise

pytestmark = pytest.mark.timeout(60)  # the first step of an optimizer imports half of torch

HALF = [torch.bfloat16, torch.float16]


def tiny():
    """A model of 11 tokens."""
    return randomise(nn.Sequential(nn.Embedding(11, 16), nn.Linear(16, 20), nn.Linear(20, 11)))


def batch(seed=0, device="cpu"):
    """Random tokens, and targets of which some are -100."""
    rng = generator(seed)
    x, y = torch.randint(11, (2, 3, 5), generator=rng)
    return x.to(device), y.masked_fill(torch.rand(3, 5, generator=rng) < 0.3, -100).to(device)


def step_by_hand(model, optimizer, batch, max_norm=None, dtype=torch.bfloat16):
    """The same step without a scaler."""
    x, y = batch
    with torch.autocast(x.device.type, dtype=dtype):
        logits = model(x).float()
    optimizer.zero_grad()
    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
    loss.backward()
    if max_norm is not None:
        clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.detach()


def descent(model):
    """An optimizer that moves each weight by its gradient."""
    return torch.optim.SGD(model.parameters(), lr=1.0)


def after(step, *batches, device="cpu", **options):
    """All weights of a model as one vector, after a step on each batch."""
    model = tiny().to(device)
    optimizer = descent(model)
    for each in batches:
        step(model, optimizer, each, **options)
    return parameters_to_vector(model.parameters())


@contextmanager
def no_waiting(device):
    """Reading a value back from an NVIDIA GPU, for which the program would wait, is an error."""
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def test_loss_of_three_tokens_by_hand(answer):
    model = nn.Embedding.from_pretrained(torch.tensor([[0.5, 0.5], [0.2, 0.8]]).log(), False)
    x, y = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1, 1], [0, -100]])
    expected = -torch.tensor([0.5, 0.8, 0.2]).log().mean()
    close(answer.autocast_step(model, descent(model), (x, y)), expected)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_loss_is_float32_of_half_precision_logits(answer, dtype):
    model, twin = tiny(), tiny()
    expected = step_by_hand(twin, descent(twin), batch(), dtype=dtype)
    close(answer.autocast_step(model, descent(model), batch(), dtype=dtype), expected)


def test_loss_is_without_the_scale(answer):
    model, twin, scaler = tiny(), tiny(), GradScaler("cpu", init_scale=1024.0)
    expected = step_by_hand(twin, descent(twin), batch())
    close(answer.autocast_step(model, descent(model), batch(), scaler=scaler), expected)


def test_loss_has_no_graph(answer):
    model = tiny()
    loss = answer.autocast_step(model, descent(model), batch())
    assert {"requires_grad": loss.requires_grad} == {"requires_grad": False}


@pytest.mark.parametrize("max_norm", [None, 0.05, 100.0])
def test_weights_stay_float32_and_make_the_step(answer, device, max_norm):
    data = batch(device=device)
    expected = after(step_by_hand, data, device=device, max_norm=max_norm)
    actual = after(answer.autocast_step, data, device=device, max_norm=max_norm)
    close(actual, expected, "weight")


@pytest.mark.parametrize("max_norm", [None, 0.05, 100.0])
def test_scale_does_not_change_the_steps(answer, max_norm):
    expected = after(step_by_hand, batch(), batch(seed=1), max_norm=max_norm)
    options = {"max_norm": max_norm, "scaler": GradScaler("cpu", init_scale=1024.0)}
    close(after(answer.autocast_step, batch(), batch(seed=1), **options), expected, "weight")


def test_second_step_starts_anew(answer):
    expected = after(step_by_hand, batch(), batch(seed=1))
    close(after(answer.autocast_step, batch(), batch(seed=1)), expected, "weight")


@pytest.mark.parametrize("max_norm", [None, 1.0])
def test_infinite_gradients_make_no_step(answer, max_norm):
    scaler = GradScaler("cpu", init_scale=2.0**24)  # float16 ends at 65504
    options = {"max_norm": max_norm, "dtype": torch.float16, "scaler": scaler}
    close(after(answer.autocast_step, batch(), **options), after(answer.autocast_step), "weight")
    assert {"scale": scaler.get_scale()} == {"scale": 2.0**23}


def test_step_does_not_wait_for_the_device(answer, device):
    model, twin, data = tiny().to(device), tiny().to(device), batch(device=device)
    expected, optimizer = step_by_hand(twin, descent(twin), data, max_norm=1.0), descent(model)
    with no_waiting(device):
        actual = answer.autocast_step(model, optimizer, data, max_norm=1.0)
    close(actual, expected)
