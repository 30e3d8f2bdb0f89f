import pytest
import torch
from torch import nn

from kata.check import close, raises
from kata.tensors import normal


def parameters(size=1.0, dtype=torch.float32, device="cpu"):
    """Four parameters, three with a gradient; all gradients together have the norm `size`."""
    shapes = [(3, 4), (5,), (2,), ()]
    made = [nn.Parameter(normal(*shape, seed=1, dtype=dtype).to(device)) for shape in shapes]
    grads = [normal(*shape, seed=2) for shape in shapes]
    length = torch.stack([grads[i].norm() for i in (0, 1, 3)]).norm()
    for i in (0, 1, 3):
        made[i].grad = (grads[i] * (size / length)).to(device, dtype)
    return made


def gradient(made):
    """All the gradients that there are, in one row."""
    return torch.cat([p.grad.flatten() for p in made if p.grad is not None])


def clipped_by_torch(max_norm, *args):
    """The norm that torch returns, and the gradients that it leaves."""
    made = parameters(*args)
    norm = nn.utils.clip_grad_norm_(made, max_norm)
    return norm, gradient(made)


def test_two_gradients_by_hand(answer):
    a, b = (nn.Parameter(torch.zeros(1, 2)), nn.Parameter(torch.zeros(())))
    a.grad, b.grad = torch.tensor([[2.0, 3.0]]), torch.tensor(6.0)
    close(answer.clip_grad_norm([a, b], max_norm=3.5), torch.tensor(7.0))
    close(gradient([a, b]), torch.tensor([1.0, 1.5, 3.0]), "number")


@pytest.mark.parametrize(("size", "max_norm"), [(10.0, 1.0), (10.0, 0.0), (0.1, 0.01), (2.0, 5.0)])
def test_returns_the_norm_before_clipping(answer, size, max_norm):
    expected, _ = clipped_by_torch(max_norm, size)
    close(answer.clip_grad_norm(parameters(size), max_norm), expected)


@pytest.mark.parametrize(
    ("size", "max_norm"), [(10.0, 1.0), (10.0, 0.0), (0.1, 0.01), (1e-5, 2e-6)]
)
def test_long_gradients_are_clipped_as_by_torch(answer, size, max_norm):
    made, (_, expected) = parameters(size), clipped_by_torch(max_norm, size)
    answer.clip_grad_norm(made, max_norm)
    close(gradient(made), expected, "number", atol=1e-9)


@pytest.mark.parametrize("size", [0.0, 0.3, 1.9])
def test_short_gradients_stay_as_they_are(answer, size):
    made, expected = parameters(size), gradient(parameters(size))
    answer.clip_grad_norm(made, 2.0)
    close(gradient(made), expected, "number", rtol=0, atol=0)


def test_parameters_themselves_stay_as_they_are(answer):
    made = parameters(10.0)
    answer.clip_grad_norm(made, 1.0)
    expected = torch.cat([p.detach().flatten() for p in parameters()])
    close(torch.cat([p.detach().flatten() for p in made]), expected, "number")


def test_without_any_gradient_the_norm_is_0(answer):
    close(answer.clip_grad_norm([nn.Parameter(torch.ones(3))], 1.0), torch.tensor(0.0))


def test_takes_an_iterator(answer):
    made, (_, expected) = parameters(10.0), clipped_by_torch(1.0, 10.0)
    answer.clip_grad_norm(iter(made), 1.0)
    close(gradient(made), expected, "number")


def test_changes_the_gradients_in_place(answer):
    made, (_, expected) = parameters(10.0), clipped_by_torch(1.0, 10.0)
    held = [p.grad for p in made if p.grad is not None]
    answer.clip_grad_norm(made, 1.0)
    close(torch.cat([grad.flatten() for grad in held]), expected, "number")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, device, dtype):
    norm, expected = clipped_by_torch(1.0, 10.0, dtype, device)
    made = parameters(10.0, dtype, device)
    close(answer.clip_grad_norm(made, 1.0), norm)
    close(gradient(made), expected, "number")


def test_works_on_the_meta_device(answer):
    made = parameters(10.0, device="meta")
    close(answer.clip_grad_norm(made, 1.0), torch.empty((), device="meta"))


def test_a_negative_limit_is_refused(answer):
    with raises(ValueError, match="max_norm"):
        answer.clip_grad_norm(parameters(), -1.0)
