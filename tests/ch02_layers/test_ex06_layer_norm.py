import pytest
import torch
from torch import nn

from kata.check import close
from kata.tensors import gradients, normal, parameter_gradients, randomise


def same_as(answer, oracle):
    """The learner's layer with the parameters of torch's."""
    layer = answer.LayerNorm(*oracle.normalized_shape, eps=oracle.eps)
    layer.load_state_dict(oracle.state_dict())
    return layer.to(oracle.weight.device, oracle.weight.dtype)


def all_gradients(module, x):
    return {"x": gradients(module, x)[0], **parameter_gradients(module, x)}


def test_weight_starts_at_one_and_bias_at_zero(answer):
    start = {name: p.tolist() for name, p in answer.LayerNorm(3).named_parameters()}
    assert start == {"weight": [1.0, 1.0, 1.0], "bias": [0.0, 0.0, 0.0]}


def test_two_vectors_by_hand(answer):
    layer = answer.LayerNorm(2, eps=9.0)
    layer.load_state_dict({"weight": torch.tensor([10.0, 100.0]), "bias": torch.tensor([1.0, 2.0])})
    # Means 10 and 5, variances 16 and 0: divided by 5 and by 3, the vectors are (-0.8, 0.8) and 0.
    x = torch.tensor([[6.0, 14.0], [5.0, 5.0]])
    close(layer(x), torch.tensor([[-7.0, 82.0], [1.0, 2.0]]), "batch d_model")


@pytest.mark.parametrize(
    ("leading", "axes"),
    [
        ((), "d_model"),
        ((2,), "batch d_model"),
        ((2, 4), "batch seq d_model"),
        ((2, 3, 4), "batch head seq d_model"),
        ((0, 4), "batch seq d_model"),
    ],
)
def test_agrees_with_torch(answer, device, leading, axes):
    oracle = randomise(nn.LayerNorm(5)).to(device)
    x = normal(*leading, 5).to(device)
    expected = oracle(x)
    close(same_as(answer, oracle)(x), expected, axes)


def test_tiny_variance_agrees_with_torch(answer):
    x = normal(4, 5) * torch.tensor([[1e-2], [3e-3], [1e-4], [0.0]])
    expected = nn.LayerNorm(5)(x)
    close(answer.LayerNorm(5)(x), expected, "batch d_model")


def test_mean_far_from_zero_stays_accurate(answer):
    x = 1000 + normal(4, 5)
    expected = nn.LayerNorm(5).double()(x.double()).float()
    close(answer.LayerNorm(5)(x), expected, "batch d_model", atol=2e-3)


def test_input_is_not_modified(answer):
    x = normal(2, 5)
    answer.LayerNorm(5)(x)
    close(x, normal(2, 5), "batch d_model")


@pytest.mark.parametrize(
    ("name", "axes"), [("x", "batch seq d_model"), ("weight", "d_model"), ("bias", "d_model")]
)
def test_gradients_agree_with_torch(answer, name, axes):
    oracle = randomise(nn.LayerNorm(5))
    expected = all_gradients(oracle, normal(2, 4, 5))
    close(all_gradients(same_as(answer, oracle), normal(2, 4, 5))[name], expected[name], axes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    oracle = randomise(nn.LayerNorm(5)).to(dtype)
    expected = oracle(normal(2, 5, dtype=dtype))
    close(same_as(answer, oracle)(normal(2, 5, dtype=dtype)), expected, "batch d_model")


def test_half_precision_is_calculated_in_float32(answer):
    x = (100 + normal(4, 64)).bfloat16()
    expected = nn.LayerNorm(64).bfloat16()(x)
    close(answer.LayerNorm(64).bfloat16()(x), expected, "batch d_model")


def test_stays_on_the_device_of_the_input(answer):
    layer = answer.LayerNorm(5).to("meta")
    close(layer(normal(2, 5).to("meta")), torch.empty(2, 5, device="meta"), "batch d_model")
