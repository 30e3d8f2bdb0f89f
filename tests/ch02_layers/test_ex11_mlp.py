import pytest
import torch

from kata.check import close
from kata.tensors import gradients, normal, parameter_gradients, randomise


def test_has_two_layers_with_biases(answer):
    state = answer.GPT2MLP(d_model=3, d_ff=10).state_dict()
    shapes = {name: tuple(parameter.shape) for name, parameter in state.items()}
    c_fc = {"c_fc.weight": (10, 3), "c_fc.bias": (10,)}
    assert shapes == c_fc | {"c_proj.weight": (3, 10), "c_proj.bias": (3,)}


def test_one_unit_by_hand(answer):
    mlp = answer.GPT2MLP(d_model=1, d_ff=2)
    w, b = torch.tensor([[1.0], [-1.0]]), torch.tensor([1.0, -1.0])
    up = {"c_fc.weight": w, "c_fc.bias": b}
    down = {"c_proj.weight": torch.tensor([[2.0, 3.0]]), "c_proj.bias": torch.tensor([0.5])}
    mlp.load_state_dict(up | down)
    # The units are 2 and -2; in the tanh form gelu(2) = 1.954598 and gelu(-2) = -0.045402.
    expected = torch.tensor([[2 * 1.954598 - 3 * 0.045402 + 0.5]])
    close(mlp(torch.tensor([[1.0]])), expected, "batch d_model")


@pytest.mark.timeout(120)
def test_agrees_with_gpt2(answer):
    from transformers.models.gpt2.modeling_gpt2 import GPT2MLP, GPT2Config

    gpt2 = randomise(GPT2MLP(20, GPT2Config(n_embd=6))).eval()
    mlp, x = answer.GPT2MLP(6, 20).eval(), normal(2, 3, 6)
    mlp.load_state_dict({n: p.t() for n, p in gpt2.state_dict().items()})  # its weights: (in, out)
    close(mlp(x.clone()), gpt2(x), "batch seq d_model")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((4,), "d_model"), ((0, 4), "batch d_model"), ((2, 3, 4), "batch seq d_model")],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_agrees_with_the_reference(answer, reference, device, shape, axes, dtype):
    expected = randomise(reference.GPT2MLP(4, 10)).to(device, dtype)
    mlp, x = answer.GPT2MLP(4, 10).to(device, dtype), normal(*shape, dtype=dtype).to(device)
    mlp.load_state_dict(expected.state_dict())
    close(mlp(x.clone()), expected(x), axes)


def test_gradient_of_the_input_agrees(answer, reference):
    expected, mlp, x = randomise(reference.GPT2MLP(4, 10)), answer.GPT2MLP(4, 10), normal(2, 3, 4)
    mlp.load_state_dict(expected.state_dict())
    close(gradients(mlp, x)[0], gradients(expected, x)[0], "batch seq d_model")


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("c_fc.weight", "d_ff d_model"),
        ("c_fc.bias", "d_ff"),
        ("c_proj.weight", "d_model d_ff"),
        ("c_proj.bias", "d_model"),
    ],
)
def test_gradient_of_each_parameter_agrees(answer, reference, name, axes):
    expected, mlp, x = randomise(reference.GPT2MLP(4, 10)), answer.GPT2MLP(4, 10), normal(2, 3, 4)
    mlp.load_state_dict(expected.state_dict())
    close(parameter_gradients(mlp, x.clone())[name], parameter_gradients(expected, x)[name], axes)


def test_dropout_comes_last(answer):
    mlp = randomise(answer.GPT2MLP(4, 10, dropout=1.0)).train()
    close(mlp(normal(2, 3, 4)), torch.zeros(2, 3, 4), "batch seq d_model")


def test_evaluation_mode_has_no_dropout(answer, reference):
    expected, mlp = randomise(reference.GPT2MLP(4, 10)), answer.GPT2MLP(4, 10, dropout=0.5)
    mlp.load_state_dict(expected.state_dict())
    close(mlp.eval()(normal(5, 4)), expected(normal(5, 4)), "batch d_model")


def test_stays_on_the_device_of_its_input(answer):
    mlp, x = answer.GPT2MLP(4, 10, dropout=0.5).to("meta"), normal(2, 3, 4).to("meta")
    close(mlp.train()(x), torch.empty(2, 3, 4, device="meta"), "batch seq d_model")
