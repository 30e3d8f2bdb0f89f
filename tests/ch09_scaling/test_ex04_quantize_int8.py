import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kata.check import close, raises
from kata.tensors import gradients, normal, randomise


def rows(dtype=torch.float32):
    """Weights whose rows are of very different sizes, the largest one positive or negative."""
    sizes = torch.tensor([[1e-3], [1.0], [50.0], [0.2], [1e4]], dtype=torch.float64)
    return (sizes * normal(5, 37, dtype=torch.float64)).to(dtype)


def given(bias=True):
    """A layer that has learned something."""
    return randomise(nn.Linear(6, 4, bias=bias))


def parts(bias=True):
    """Weight, scale and bias of an Int8Linear, and the weight that they stand for."""
    q = (40 * normal(4, 6)).round().clamp(-127, 127).to(torch.int8)
    scale = normal(4, 1, seed=2).abs() / 20 + 0.01
    return q, scale, normal(4, seed=3) if bias else None, q.double() * scale.double()


def test_three_rows_by_hand(answer, device):
    weight = torch.tensor([[127.0, -63.0, 1.0], [0.127, 0.05, -0.02], [-254.0, 127.9, 20.0]])
    q, scale = answer.quantize_int8(weight.to(device))
    expected = torch.tensor([[127, -63, 1], [127, 50, -20], [-127, 64, 10]], dtype=torch.int8)
    close(q, expected.to(device), "out in")
    close(scale, torch.tensor([[1.0], [0.001], [2.0]]).to(device), "out step")


def test_half_way_rounds_to_even(answer):
    weight = torch.tensor([[127.0, 0.5, 1.5, 2.5, 3.49, -0.5, -2.5, -3.5, -1.51]])
    expected = torch.tensor([[127, 0, 2, 2, 3, 0, -2, -4, -2]], dtype=torch.int8)
    close(answer.quantize_int8(weight)[0], expected, "out in")


def test_row_of_zeros_has_scale_one(answer):
    q, scale = answer.quantize_int8(torch.tensor([[0.0, 0.0], [254.0, -2.0], [0.0, -0.0]]))
    close(scale, torch.tensor([[1.0], [2.0], [1.0]]), "out step")
    close(q, torch.tensor([[0, 0], [127, -1], [0, 0]], dtype=torch.int8), "out in")


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
    ],
    ids=str,
)
def test_error_is_at_most_half_a_step(answer, dtype, wide):
    weight = rows(dtype)
    expected = weight.to(wide).abs().amax(1, keepdim=True) / 127
    q, scale = answer.quantize_int8(weight.clone())
    close(scale, expected, "out step", rtol=1e-6, atol=0)
    error = ((weight.to(wide) - q * expected) / expected).abs().amax(1)
    close(error <= 0.5001, torch.full((5,), True), "out")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_dequantized_weight_is_q_times_scale(answer, dtype):
    q, scale, _, weight = parts()
    actual = answer.dequantize(q, scale.to(dtype))
    close(actual, weight.to(dtype), "out in")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((6,), "out"), ((3, 6), "batch out"), ((2, 3, 6), "batch seq out"), ((0, 6), "batch out")],
)
def test_layer_computes_with_the_weight_it_stands_for(answer, device, shape, axes, bias):
    q, scale, b, weight = parts(bias)
    x = normal(*shape)
    expected = F.linear(x, weight.float(), b).to(device)
    layer = answer.Int8Linear(q, scale, b).to(device)
    close(layer(x.to(device)), expected, axes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("size", [1, 1000])
def test_result_has_the_dtype_of_the_input(answer, dtype, size):
    q, scale, bias, weight = parts()
    x = (size * normal(3, 6).abs()).to(dtype)
    expected = F.linear(x.double(), weight, bias.double()).to(dtype)
    close(answer.Int8Linear(q, scale, bias)(x), expected, "batch out", rtol=0.02, atol=0.02 * size)


@pytest.mark.parametrize("bias", [True, False])
def test_layer_comes_from_a_linear_layer(answer, bias):
    linear = given(bias)
    expected = linear(normal(3, 6))
    layer = answer.Int8Linear.from_linear(linear)
    randomise(linear, seed=7)
    close(layer(normal(3, 6)), expected, "batch out", rtol=0, atol=0.05)


def test_layer_holds_8_bits_per_weight(answer):
    layer = answer.Int8Linear.from_linear(given())
    state = {name: (str(v.dtype), tuple(v.shape)) for name, v in layer.state_dict().items()}
    expected = {"weight": ("torch.int8", (4, 6)), "scale": ("torch.float32", (4, 1))}
    assert state == expected | {"bias": ("torch.float32", (4,))}


def test_nothing_is_left_to_train(answer):
    layer = answer.Int8Linear.from_linear(given())
    assert [name for name, _ in layer.named_parameters()] == []
    assert {n: v.requires_grad for n, v in layer.named_buffers()} == dict.fromkeys(
        ["weight", "scale", "bias"], False
    )


def test_gradient_flows_to_the_input(answer):
    q, scale, bias, weight = parts()
    expected = gradients(F.linear, normal(2, 3, 6), weight.float(), bias)[0]
    layer = answer.Int8Linear(q, scale, bias)
    close(gradients(layer, normal(2, 3, 6))[0], expected, "batch seq in")


def test_everything_stays_on_the_meta_device(answer):
    with torch.device("meta"):
        linear, x = nn.Linear(6, 4), torch.empty(2, 3, 6)
    layer = answer.Int8Linear.from_linear(linear)
    assert {v.device.type for v in layer.state_dict().values()} == {"meta"}
    close(layer(x), torch.empty(2, 3, 4, device="meta"), "batch seq out")


def test_inputs_are_not_modified(answer):
    weight, x = rows(), normal(3, 37)
    q, scale = answer.quantize_int8(weight)
    answer.Int8Linear(q, scale, None)(x)
    close(weight, rows(), "out in")
    close(x, normal(3, 37), "batch in")


@pytest.mark.parametrize("shape", [(6,), (2, 3, 6)], ids=str)
def test_other_shapes_are_refused(answer, shape):
    with raises(ValueError):
        answer.quantize_int8(normal(*shape))
