import pytest
import torch

from kata.check import close
from kata.tensors import gradients, normal


def test_two_scores_by_hand(answer):
    # exp(ln 3) : exp(ln 1) = 3 : 1
    expected = torch.tensor([0.75, 0.25])
    close(answer.softmax(torch.tensor([3.0, 1.0]).log(), dim=0), expected, "score")


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_agrees_with_torch(answer, device, dim):
    x = normal(2, 3, 4).to(device)
    expected = x.softmax(dim)
    close(answer.softmax(x, dim=dim), expected, "batch row column")


def test_large_scores_do_not_overflow(answer):
    x = torch.tensor([1e4, 1e4 - 1, -1e4])
    expected = x.softmax(-1)
    close(answer.softmax(x, dim=-1), expected, "score")


def test_slices_do_not_influence_each_other(answer):
    x = torch.tensor([[1e4, 1e4 - 1, 0.0], [1.0, 2.0, 3.0], [-1e4, -1e4, -1e4 + 1]])
    expected = x.softmax(-1)
    close(answer.softmax(x, dim=-1), expected, "row score")


def test_minus_infinity_gets_no_probability(answer):
    x = torch.tensor([[0.0, -torch.inf, 1.0], [-torch.inf, -torch.inf, 5.0]])
    expected = x.softmax(-1)
    close(answer.softmax(x, dim=-1), expected, "row score")


@pytest.mark.parametrize("shape", [(5, 1), (0, 3)])
def test_slices_of_length_one_and_empty_batches(answer, shape):
    expected = torch.softmax(normal(*shape), -1)
    close(answer.softmax(normal(*shape), dim=-1), expected, "row score")


def test_input_is_not_modified(answer):
    x = normal(2, 3)
    answer.softmax(x, dim=-1)
    close(x, normal(2, 3), "row score")


@pytest.mark.parametrize("dim", [0, 1])
def test_gradient_agrees_with_torch(answer, dim):
    x = normal(3, 5)
    expected = gradients(torch.softmax, x, dim=dim)[0]
    close(gradients(answer.softmax, x, dim=dim)[0], expected, "row score")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    x = normal(2, 5, dtype=dtype)
    expected = x.softmax(-1)
    close(answer.softmax(x, dim=-1), expected, "row score")


def test_stays_on_the_device_of_the_input(answer):
    x = normal(2, 5).to("meta")
    close(answer.softmax(x, dim=-1), torch.empty(2, 5, device="meta"), "row score")
