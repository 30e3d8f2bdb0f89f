import pytest
import torch
from torch import nn

from kata.check import close, raises
from kata.tensors import generator, normal, parameter_gradients, randomise

AXES = {1: "out", 2: "out in", 3: "batch seq d_model"}  # of a bias, a weight, the input


def torchs(d_model, n_heads):
    """torch's own layer, with random parameters."""
    return randomise(nn.MultiheadAttention(d_model, n_heads, batch_first=True)).eval()


def same_as(answer, oracle, causal=True):
    """The learner's layer with the parameters of torch's."""
    attention = answer.MultiHeadAttention(oracle.embed_dim, oracle.num_heads, causal=causal)
    names = [name.replace("in_proj_", "c_attn.") for name in oracle.state_dict()]
    names = [name.replace("out_proj.", "c_proj.") for name in names]
    attention.load_state_dict(dict(zip(names, oracle.state_dict().values(), strict=True)))
    return attention.to(oracle.in_proj_weight.device, oracle.in_proj_weight.dtype).eval()


def run(oracle, x, mask=None, causal=True):
    """torch's layer on `x`; in its own mask, one per text and head, True means "ignore"."""
    batch, seq, _ = x.shape
    allowed = torch.ones(batch, oracle.num_heads, seq, seq, dtype=torch.bool)
    allowed = allowed if mask is None else allowed & mask
    allowed = allowed.tril() if causal else allowed
    return oracle(x, x, x, attn_mask=~allowed.flatten(0, 1).to(x.device), need_weights=False)[0]


def random_mask(*shape):
    """About half of the keys are allowed, and the first of them always."""
    mask = torch.rand(shape, generator=generator()) < 0.5
    mask[..., 0] = True
    return mask


def averaging():
    """Parameters with which queries and keys are 0, and the values are the tokens."""
    zero, one = torch.zeros(2, 2), torch.eye(2)
    c_attn = {"c_attn.weight": torch.cat([zero, zero, one]), "c_attn.bias": torch.zeros(6)}
    return c_attn | {"c_proj.weight": 2 * one, "c_proj.bias": torch.tensor([0.0, 100.0])}


def all_gradients(attention):
    """The gradients of the input and of every parameter, by name."""
    x = normal(2, 5, 12).requires_grad_()
    return parameter_gradients(attention, x) | {"x": x.grad}


def test_has_two_projections_with_biases(answer):
    state = answer.MultiHeadAttention(6, 2).state_dict()
    shapes = {name: tuple(parameter.shape) for name, parameter in state.items()}
    c_attn = {"c_attn.weight": (18, 6), "c_attn.bias": (18,)}
    assert shapes == c_attn | {"c_proj.weight": (6, 6), "c_proj.bias": (6,)}


@pytest.mark.parametrize(
    ("mask", "means"),
    [
        (None, [[6.0, 0.0], [3.0, 1.0], [2.0, 2.0]]),
        ([[[[False, True, True]]]], [[0.0, 0.0], [0.0, 2.0], [0.0, 3.0]]),
    ],
    ids=["no mask", "the first token is hidden"],
)
def test_equal_scores_give_the_running_mean(answer, mask, means):
    attention = answer.MultiHeadAttention(2, 1)
    attention.load_state_dict(averaging())
    x = torch.tensor([[[6.0, 0.0], [0.0, 2.0], [0.0, 4.0]]])
    expected = 2 * torch.tensor([means]) + torch.tensor([0.0, 100.0])  # c_proj
    close(attention(x, None if mask is None else torch.tensor(mask)), expected, "batch seq d_model")


def test_later_tokens_do_not_change_earlier_ones(answer):
    attention = randomise(answer.MultiHeadAttention(12, 3)).eval()
    x, noise = normal(2, 5, 12), normal(2, 2, 12, seed=1)
    expected = attention(x)[:, :3]
    close(attention(torch.cat([x[:, :3], noise], 1))[:, :3], expected, "batch seq d_model")


@pytest.mark.parametrize("n_heads", [1, 3, 12])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "not causal"])
def test_agrees_with_torch(answer, device, n_heads, causal):
    oracle, x = torchs(12, n_heads).to(device), normal(2, 5, 12).to(device)
    expected = run(oracle, x, causal=causal)
    close(same_as(answer, oracle, causal)(x), expected, "batch seq d_model")


@pytest.mark.parametrize("shape", [(5, 5), (2, 1, 1, 5), (2, 3, 5, 5)], ids=str)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "not causal"])
def test_a_mask_leaves_what_both_allow(answer, device, shape, causal):
    oracle, x = torchs(12, 3).to(device), normal(2, 5, 12).to(device)
    expected = run(oracle, x, random_mask(*shape), causal)
    actual = same_as(answer, oracle, causal)(x, random_mask(*shape).to(device))
    close(actual, expected, "batch seq d_model")


@pytest.mark.timeout(120)
def test_agrees_with_gpt2(answer):
    attention = answer.MultiHeadAttention(12, 3).eval()
    from transformers.models.gpt2.modeling_gpt2 import GPT2Attention, GPT2Config

    config = GPT2Config(n_embd=12, n_head=3, attn_implementation="sdpa")
    gpt2 = randomise(GPT2Attention(config, layer_idx=0)).eval()
    expected = gpt2(normal(2, 5, 12))[0]
    attention.load_state_dict({n: p.t() for n, p in gpt2.state_dict().items()})  # its: (in, out)
    close(attention(normal(2, 5, 12)), expected, "batch seq d_model")


@pytest.mark.parametrize(
    "name", ["x", "c_attn.weight", "c_attn.bias", "c_proj.weight", "c_proj.bias"]
)
def test_every_gradient_agrees(answer, reference, name):
    expected = randomise(reference.MultiHeadAttention(12, 3))
    attention = answer.MultiHeadAttention(12, 3)
    attention.load_state_dict(expected.state_dict())
    gradient = all_gradients(expected)[name]
    close(all_gradients(attention)[name], gradient, AXES[gradient.dim()])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    oracle, x = torchs(12, 3).to(dtype), normal(2, 5, 12, dtype=dtype)
    expected = run(oracle, x)
    close(same_as(answer, oracle)(x), expected, "batch seq d_model")


def test_stays_on_the_device_of_the_input(answer):
    attention, x = answer.MultiHeadAttention(12, 3).to("meta"), normal(2, 5, 12).to("meta")
    expected = torch.empty(2, 5, 12, device="meta")
    close(attention(x, random_mask(2, 1, 1, 5).to("meta")), expected, "batch seq d_model")
    close(attention(x), expected, "batch seq d_model")


def test_heads_of_unequal_size_are_refused(answer):
    with raises(ValueError):
        answer.MultiHeadAttention(12, 5)
