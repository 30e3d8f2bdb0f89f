import pytest
import torch

from kata.check import close
from kata.tensors import gradients, normal, parameter_gradients, randomise

SHAPES = {
    "ln_1.weight": (6,),
    "ln_1.bias": (6,),
    "attn.c_attn.weight": (18, 6),
    "attn.c_attn.bias": (18,),
    "attn.c_proj.weight": (6, 6),
    "attn.c_proj.bias": (6,),
    "ln_2.weight": (6,),
    "ln_2.bias": (6,),
    "mlp.c_fc.weight": (24, 6),
    "mlp.c_fc.bias": (24,),
    "mlp.c_proj.weight": (6, 24),
    "mlp.c_proj.bias": (6,),
}
AXES = {1: "out", 2: "out in"}  # of a bias or a norm, of a weight


def same_as(answer, oracle, **options):
    """The learner's block with the parameters of the reference."""
    block = answer.GPT2Block(6, 3, **options)
    block.load_state_dict(oracle.state_dict())
    return block


def test_has_the_parameters_of_gpt2(answer):
    state = answer.GPT2Block(d_model=6, n_heads=3, dropout=0.5).state_dict()
    assert {name: tuple(parameter.shape) for name, parameter in state.items()} == SHAPES


def test_both_branches_add_to_the_stream(answer):
    block = answer.GPT2Block(d_model=2, n_heads=1)
    state = {name: torch.zeros_like(parameter) for name, parameter in block.state_dict().items()}
    state |= {"ln_1.weight": torch.ones(2), "ln_2.weight": torch.ones(2)}
    state |= {
        "attn.c_proj.bias": torch.tensor([1.0, 0]),
        "mlp.c_proj.bias": torch.tensor([0.0, 10]),
    }
    block.load_state_dict(state)
    x = torch.tensor([[[6.0, 0.0], [0.0, 2.0]], [[3.0, 4.0], [0.0, 0.0]]])
    expected = torch.tensor([[[7.0, 10.0], [1.0, 12.0]], [[4.0, 14.0], [1.0, 10.0]]])
    close(block(x), expected, "batch seq d_model")


def test_later_tokens_do_not_change_earlier_ones(answer):
    block = randomise(answer.GPT2Block(6, 3)).eval()
    x, noise = normal(2, 5, 6), normal(2, 2, 6, seed=1)
    expected = block(x.clone())[:, :3]
    close(block(torch.cat([x[:, :3], noise], 1))[:, :3], expected, "batch seq d_model")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("shape", [(2, 5, 12), (3, 1, 12)], ids=str)
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_agrees_with_gpt2(answer, shape, eps):
    block, x = answer.GPT2Block(12, 3, eps=eps).eval(), normal(*shape)
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block, GPT2Config

    sizes = {"n_embd": 12, "n_head": 3, "layer_norm_epsilon": eps}
    gpt2 = randomise(GPT2Block(GPT2Config(**sizes, attn_implementation="sdpa"), 0)).eval()
    block.load_state_dict({n: p.t() for n, p in gpt2.state_dict().items()})  # matrices: (in, out)
    close(block(x.clone()), gpt2(x), "batch seq d_model", rtol=0)


@pytest.mark.parametrize("shape", [(2, 5, 6), (3, 1, 6), (0, 4, 6)], ids=str)
def test_agrees_with_the_reference(answer, reference, device, shape):
    oracle, x = randomise(reference.GPT2Block(6, 3)).to(device), normal(*shape).to(device)
    block = same_as(answer, oracle).to(device)
    close(block(x.clone()), oracle(x), "batch seq d_model")


def test_input_gradient_agrees(answer, reference):
    oracle, x = randomise(reference.GPT2Block(6, 3)), normal(2, 5, 6)
    expected = gradients(oracle, x)[0]
    close(gradients(same_as(answer, oracle), x)[0], expected, "batch seq d_model")


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_of_each_parameter_agrees(answer, reference, name):
    oracle, x = randomise(reference.GPT2Block(6, 3)), normal(2, 5, 6)
    expected = parameter_gradients(oracle, x.clone())[name]
    close(parameter_gradients(same_as(answer, oracle), x)[name], expected, AXES[expected.dim()])


def test_dropping_everything_leaves_the_stream(answer):
    block = randomise(answer.GPT2Block(6, 3, dropout=1.0)).train()
    close(block(normal(2, 5, 6)), normal(2, 5, 6), "batch seq d_model")


def test_evaluation_mode_has_no_dropout(answer, reference):
    oracle = randomise(reference.GPT2Block(6, 3))
    block = same_as(answer, oracle, dropout=0.5).eval()
    torch.manual_seed(0)
    close(block(normal(2, 5, 6)), oracle(normal(2, 5, 6)), "batch seq d_model")


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.bfloat16, 5e-2)])
def test_keeps_the_dtype(answer, reference, dtype, tolerance):
    oracle, x = randomise(reference.GPT2Block(6, 3)).to(dtype), normal(2, 5, 6, dtype=dtype)
    block = same_as(answer, oracle).to(dtype)
    expected = oracle.double()(x.double()).to(dtype)
    close(block(x), expected, "batch seq d_model", rtol=tolerance, atol=tolerance)


def test_input_is_not_modified(answer):
    block, x = randomise(answer.GPT2Block(6, 3)), normal(2, 5, 6)
    block(x)
    close(x, normal(2, 5, 6), "batch seq d_model")


def test_stays_on_the_device_of_the_input(answer):
    block, x = answer.GPT2Block(6, 3, dropout=0.5).to("meta"), normal(2, 5, 6).to("meta")
    close(block.train()(x), torch.empty(2, 5, 6, device="meta"), "batch seq d_model")
