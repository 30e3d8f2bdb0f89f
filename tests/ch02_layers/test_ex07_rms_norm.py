import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kata.check import close
from kata.tensors import gradients, normal, parameter_gradients, randomise


def same_as(answer, oracle):
    """The learner's layer with the parameters of torch's."""
    layer = answer.RMSNorm(*oracle.normalized_shape, eps=oracle.eps)
    layer.load_state_dict(oracle.state_dict())
    return layer.to(oracle.weight.device, oracle.weight.dtype)


def all_gradients(module, x):
    return {"x": gradients(module, x)[0], **parameter_gradients(module, x)}


def test_has_only_a_weight_which_starts_at_one(answer):
    start = {name: p.tolist() for name, p in answer.RMSNorm(3).named_parameters()}
    assert start == {"weight": [1.0, 1.0, 1.0]}


def test_two_vectors_by_hand(answer):
    layer = answer.RMSNorm(2, eps=12.5)
    layer.load_state_dict({"weight": torch.tensor([10.0, 100.0])})
    # Mean squares 12.5 and 0, with eps 25 and 12.5: the vectors are (0.6, 0.8) and 0.
    expected = torch.tensor([[6.0, 80.0], [0.0, 0.0]])
    close(layer(torch.tensor([[3.0, 4.0], [0.0, 0.0]])), expected, "batch d_model")


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
    oracle = randomise(nn.RMSNorm(5, eps=1e-5)).to(device)
    x = normal(*leading, 5).to(device)
    expected = oracle(x)
    close(same_as(answer, oracle)(x), expected, axes)


def test_tiny_and_zero_vectors_agree_with_torch(answer):
    x = normal(4, 5) * torch.tensor([[1e-2], [3e-3], [1e-4], [0.0]])
    expected = F.rms_norm(x, (5,), eps=1e-5)
    close(answer.RMSNorm(5)(x), expected, "batch d_model")


def test_input_is_not_modified(answer):
    x = normal(2, 5)
    answer.RMSNorm(5)(x)
    close(x, normal(2, 5), "batch d_model")


@pytest.mark.parametrize(("name", "axes"), [("x", "batch seq d_model"), ("weight", "d_model")])
def test_gradients_agree_with_torch(answer, name, axes):
    oracle = randomise(nn.RMSNorm(5, eps=1e-5))
    expected = all_gradients(oracle, normal(2, 4, 5))
    close(all_gradients(same_as(answer, oracle), normal(2, 4, 5))[name], expected[name], axes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    oracle = randomise(nn.RMSNorm(5, eps=1e-5)).to(dtype)
    expected = oracle(normal(2, 5, dtype=dtype))
    close(same_as(answer, oracle)(normal(2, 5, dtype=dtype)), expected, "batch d_model")


@pytest.mark.parametrize(("dtype", "size"), [(torch.bfloat16, 1), (torch.float16, 1000)], ids=str)
def test_half_precision_is_calculated_in_float32(answer, dtype, size):
    oracle = randomise(nn.RMSNorm(256, eps=1e-5)).to(dtype)
    x = (size * normal(64, 256)).to(dtype)
    expected = F.rms_norm(x.float(), (256,), oracle.weight.float(), eps=1e-5)
    # Rounding twice to bfloat16 loses at most 0.8 %.
    close(same_as(answer, oracle)(x).float(), expected, "batch d_model", rtol=8e-3, atol=1e-6)


def test_stays_on_the_device_of_the_input(answer):
    layer = answer.RMSNorm(5).to("meta")
    close(layer(normal(2, 5).to("meta")), torch.empty(2, 5, device="meta"), "batch d_model")
