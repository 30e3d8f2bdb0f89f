import pytest
import torch

from kata.check import close
from kata.tensors import gradients, normal


def test_two_scores_by_hand(answer):
    # The probabilities are 3/4 and 1/4.
    expected = torch.tensor([0.75, 0.25]).log()
    close(answer.log_softmax(torch.tensor([3.0, 1.0]).log(), dim=0), expected, "score")


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_agrees_with_torch(answer, device, dim):
    x = normal(2, 3, 4).to(device)
    expected = x.log_softmax(dim)
    close(answer.log_softmax(x, dim=dim), expected, "batch row column")


@pytest.mark.parametrize("gap", [30.0, 1e3, 1e4])
def test_unlikely_scores_stay_finite(answer, gap):
    expected = torch.tensor([-gap, 0.0, -gap - 2])
    close(answer.log_softmax(torch.tensor([0.0, gap, -2.0]), dim=-1), expected, "score")


def test_slices_do_not_influence_each_other(answer):
    x = torch.tensor([[200.0, 199.0, 0.0], [1.0, 2.0, 3.0], [-200.0, -200.0, -199.0]])
    expected = x.log_softmax(-1)
    close(answer.log_softmax(x, dim=-1), expected, "row score")


def test_minus_infinity_stays_minus_infinity(answer):
    x = torch.tensor([[0.0, -torch.inf, 1e3], [-torch.inf, -torch.inf, 5.0]])
    expected = x.log_softmax(-1)
    close(answer.log_softmax(x, dim=-1), expected, "row score")


@pytest.mark.parametrize("shape", [(5, 1), (0, 3)])
def test_slices_of_length_one_and_empty_batches(answer, shape):
    expected = torch.log_softmax(normal(*shape), -1)
    close(answer.log_softmax(normal(*shape), dim=-1), expected, "row score")


def test_input_is_not_modified(answer):
    x = normal(2, 3)
    answer.log_softmax(x, dim=-1)
    close(x, normal(2, 3), "row score")


@pytest.mark.parametrize("dim", [0, 1])
def test_gradient_agrees_with_torch(answer, dim):
    x = normal(3, 5)
    expected = gradients(torch.log_softmax, x, dim=dim)[0]
    close(gradients(answer.log_softmax, x, dim=dim)[0], expected, "row score")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    x = normal(2, 5, dtype=dtype)
    expected = x.log_softmax(-1)
    close(answer.log_softmax(x, dim=-1), expected, "row score", atol=2e-2)


def test_stays_on_the_device_of_the_input(answer):
    x = normal(2, 5).to("meta")
    close(answer.log_softmax(x, dim=-1), torch.empty(2, 5, device="meta"), "row score")
