import pytest
import torch
from torch import nn

from kata.check import close
from kata.tensors import gradients, normal, parameter_gradients, randomise


def shapes(module):
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def same_as(answer, oracle):
    """The learner's layer with the parameters of torch's."""
    layer = answer.Linear(oracle.in_features, oracle.out_features, bias=oracle.bias is not None)
    layer.load_state_dict(oracle.state_dict())
    return layer.to(oracle.weight.device, oracle.weight.dtype)


def test_parameters_are_named_and_shaped_like_torchs(answer):
    assert shapes(answer.Linear(3, 5)) == {"weight": (5, 3), "bias": (5,)}


def test_without_bias_there_is_only_the_weight(answer):
    assert shapes(answer.Linear(3, 5, bias=False)) == {"weight": (5, 3)}


def test_one_vector_by_hand(answer):
    layer = answer.Linear(3, 2)
    weight = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    layer.load_state_dict({"weight": weight, "bias": torch.tensor([10.0, 20.0])})
    # 1 - 3 + 10 and 4 - 6 + 20
    close(layer(torch.tensor([1.0, 0.0, -1.0])), torch.tensor([8.0, 18.0]), "d_out")


@pytest.mark.parametrize(
    ("leading", "axes", "bias"),
    [
        ((), "d_out", True),
        ((7,), "batch d_out", True),
        ((0,), "batch d_out", True),
        ((2, 4), "batch seq d_out", True),
        ((2, 4), "batch seq d_out", False),
        ((2, 6, 4), "batch head seq d_out", True),
    ],
)
def test_agrees_with_torch(answer, device, leading, axes, bias):
    oracle = randomise(nn.Linear(3, 5, bias=bias)).to(device)
    x = normal(*leading, 3).to(device)
    expected = oracle(x)
    close(same_as(answer, oracle)(x), expected, axes)


@pytest.mark.parametrize(("name", "axes"), [("weight", "d_out d_in"), ("bias", "d_out")])
def test_parameter_gradients_agree_with_torch(answer, name, axes):
    oracle = randomise(nn.Linear(3, 5))
    expected = parameter_gradients(oracle, normal(2, 4, 3))
    actual = parameter_gradients(same_as(answer, oracle), normal(2, 4, 3))
    close(actual[name], expected[name], axes)


def test_input_gradient_agrees_with_torch(answer):
    oracle = randomise(nn.Linear(3, 5))
    expected = gradients(oracle, normal(2, 4, 3))[0]
    close(gradients(same_as(answer, oracle), normal(2, 4, 3))[0], expected, "batch seq d_in")


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_starts_uniform_between_the_bounds(answer, name):
    torch.manual_seed(0)
    values = answer.Linear(400, 4000).state_dict()[name] * 20  # sqrt(400)
    # A uniform number between -1 and 1 has the standard deviation 1 / sqrt(3).
    found = round(values.abs().max().item(), 1), round(values.std().item(), 1)
    assert found == (1.0, 0.6), f"{name} * sqrt(d_in): largest value, standard deviation"


def test_every_layer_starts_differently(answer):
    starts = {answer.Linear(3, 5).state_dict()["weight"].sum().item() for _ in range(4)}
    assert {"layers": 4, "different weights": len(starts)} == {"layers": 4, "different weights": 4}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    oracle = randomise(nn.Linear(3, 5)).to(dtype)
    expected = oracle(normal(2, 3, dtype=dtype))
    close(same_as(answer, oracle)(normal(2, 3, dtype=dtype)), expected, "batch d_out")


def test_works_after_moving_the_layer(answer):
    layer = answer.Linear(3, 5).to("meta")
    close(layer(torch.empty(2, 3, device="meta")), torch.empty(2, 5, device="meta"), "batch d_out")
