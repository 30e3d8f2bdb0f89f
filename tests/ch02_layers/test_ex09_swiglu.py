import pytest
import torch
import torch.nn.functional as F

from kata.check import close
from kata.tensors import gradients, normal, parameter_gradients, randomise


def test_silu_is_x_times_its_sigmoid(answer):
    # The sigmoid of ln 3 is 3/4, that of -ln 3 is 1/4.
    x = torch.tensor([3.0, 1 / 3, 1.0]).log()
    expected = x * torch.tensor([0.75, 0.25, 0.5])
    close(answer.silu(x), expected, "x")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_silu_agrees_with_torch(answer, device, dtype):
    x = normal(2, 3, 5, dtype=dtype).to(device)
    expected = F.silu(x)
    close(answer.silu(x), expected, "batch seq unit")


def test_silu_of_large_numbers_stays_finite(answer):
    x = torch.tensor([-1e4, -100.0, -1.5, 0.5, 100.0, 1e4])
    expected = F.silu(x)
    close(answer.silu(x), expected, "x")


def test_gradient_of_silu_stays_finite(answer):
    x = torch.tensor([-1e4, -100.0, -1.5, 0.5, 100.0, 1e4])
    expected = gradients(F.silu, x)[0]
    close(gradients(answer.silu, x)[0], expected, "x")


def test_swiglu_has_three_weights(answer):
    state = answer.SwiGLU(4, 6).state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in sorted(state.items())}
    assert shapes == {"w1.weight": (6, 4), "w2.weight": (4, 6), "w3.weight": (6, 4)}


def test_swiglu_by_hand(answer):
    mlp = answer.SwiGLU(1, 2)
    w1, w2, w3 = [[1.0], [-1.0]], [[1.0, 10.0]], [[2.0], [8.0]]
    state = {"w1.weight": w1, "w2.weight": w2, "w3.weight": w3}
    mlp.load_state_dict({name: torch.tensor(weight) for name, weight in state.items()})
    x = torch.tensor([[3.0]]).log()  # gate: ln 3 * 3/4 and -ln 3 * 1/4; up: 2 ln 3 and 8 ln 3
    expected = x * x * (0.75 * 2 - 10 * 0.25 * 8)
    close(mlp(x), expected, "batch d_model")


@pytest.mark.timeout(120)
def test_swiglu_agrees_with_llama(answer):
    from transformers.models.llama.modeling_llama import LlamaConfig, LlamaMLP

    config = LlamaConfig(hidden_size=6, intermediate_size=10, num_attention_heads=2)
    llama, mlp, x = randomise(LlamaMLP(config)), answer.SwiGLU(6, 10), normal(2, 3, 6)
    layers = {"w1": llama.gate_proj, "w2": llama.down_proj, "w3": llama.up_proj}
    mlp.load_state_dict({f"{name}.weight": layer.weight for name, layer in layers.items()})
    close(mlp(x.clone()), llama(x), "batch seq d_model")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((4,), "d_model"), ((0, 4), "batch d_model"), ((2, 3, 4), "batch seq d_model")],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_swiglu_agrees_with_the_reference(answer, reference, device, shape, axes, dtype):
    expected = randomise(reference.SwiGLU(4, 6)).to(device, dtype)
    mlp = answer.SwiGLU(4, 6).to(device, dtype)
    mlp.load_state_dict(expected.state_dict())
    x = normal(*shape, dtype=dtype).to(device)
    close(mlp(x.clone()), expected(x), axes)


def test_gradient_of_the_input_agrees(answer, reference):
    expected, mlp, x = randomise(reference.SwiGLU(4, 6)), answer.SwiGLU(4, 6), normal(2, 3, 4)
    mlp.load_state_dict(expected.state_dict())
    close(gradients(mlp, x)[0], gradients(expected, x)[0], "batch seq d_model")


@pytest.mark.parametrize("weight", ["w1.weight", "w2.weight", "w3.weight"])
def test_gradient_of_each_weight_agrees(answer, reference, weight):
    expected, mlp, x = randomise(reference.SwiGLU(4, 6)), answer.SwiGLU(4, 6), normal(2, 3, 4)
    mlp.load_state_dict(expected.state_dict())
    close(
        parameter_gradients(mlp, x.clone())[weight],
        parameter_gradients(expected, x)[weight],
        "out in",
    )


def test_stays_on_the_device_of_its_input(answer):
    x = normal(2, 4).to("meta")
    close(answer.silu(x), torch.empty(2, 4, device="meta"), "batch unit")
    close(answer.SwiGLU(4, 6).to("meta")(x), torch.empty(2, 4, device="meta"), "batch d_model")


def test_input_is_not_modified(answer):
    x = normal(2, 3)
    answer.silu(x)
    close(x, normal(2, 3), "row column")
