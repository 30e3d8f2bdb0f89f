import pytest
import torch
from torch import nn

from kata.check import close, raises
from kata.tensors import generator, normal, parameter_gradients, randomise

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "out_proj"]
AXES = {1: "out", 2: "out in", 3: "batch seq d_model"}  # of a bias, a weight, an input


def torchs(n_heads):
    """torch's own layer, with random parameters."""
    return randomise(nn.MultiheadAttention(12, n_heads, batch_first=True)).eval()


def same_as(answer, oracle):
    """The learner's layer with the parameters of torch's, which keeps three of them as one."""
    attention = answer.CrossAttention(12, oracle.num_heads)
    weights = [*oracle.in_proj_weight.chunk(3), oracle.out_proj.weight]
    biases = [*oracle.in_proj_bias.chunk(3), oracle.out_proj.bias]
    state = {f"{name}.weight": w for name, w in zip(PROJECTIONS, weights, strict=True)}
    state |= {f"{name}.bias": b for name, b in zip(PROJECTIONS, biases, strict=True)}
    attention.load_state_dict(state)
    return attention.to(oracle.in_proj_weight.device, oracle.in_proj_weight.dtype).eval()


def inputs(t_q=4, t_k=6, dtype=torch.float32, device="cpu"):
    """Two texts each: what asks, and what is asked."""
    return [normal(2, t, 12, seed=t, dtype=dtype).to(device) for t in (t_q, t_k)]


def real_tokens(t_k=6):
    """About half of the tokens, and the first of them always."""
    mask = torch.rand(2, t_k, generator=generator()) < 0.5
    mask[:, 0] = True
    return mask


def averaging():
    """Parameters with which every key scores 0, and the values are the tokens."""
    maps = [torch.zeros(2, 2), torch.zeros(2, 2), torch.eye(2), 2 * torch.eye(2)]
    state = {f"{name}.weight": m for name, m in zip(PROJECTIONS, maps, strict=True)}
    state |= {f"{name}.bias": torch.zeros(2) for name in PROJECTIONS}
    return state | {"out_proj.bias": torch.tensor([0.0, 100.0])}


def all_gradients(attention):
    """The gradients of the two inputs and of every parameter, by name."""
    x_q, x_kv = (x.requires_grad_() for x in inputs())
    of_parameters = parameter_gradients(attention, x_q, x_kv, real_tokens())
    of_inputs = {
        name: torch.zeros_like(x) if x.grad is None else x.grad
        for name, x in (("x_q", x_q), ("x_kv", x_kv))
    }
    return of_inputs | of_parameters


def test_has_four_projections_with_biases(answer):
    state = answer.CrossAttention(6, 2).state_dict()
    shapes = {name: tuple(parameter.shape) for name, parameter in state.items()}
    weights = {f"{name}.weight": (6, 6) for name in PROJECTIONS}
    assert shapes == weights | {f"{name}.bias": (6,) for name in PROJECTIONS}


@pytest.mark.parametrize(
    ("kv_mask", "mean"),
    [
        ([[True, True, True]], [2.0, 2.0]),
        ([[True, True, False]], [3.0, 1.0]),
        ([[False, False, False]], [0.0, 0.0]),
    ],
    ids=["three real tokens", "two real tokens", "only padding"],
)
def test_equal_scores_give_the_mean_of_the_real_tokens(answer, kv_mask, mean):
    attention = answer.CrossAttention(2, 1)
    attention.load_state_dict(averaging())
    x_q, x_kv = torch.ones(1, 2, 2), torch.tensor([[[6.0, 0.0], [0.0, 2.0], [0.0, 4.0]]])
    expected = 2 * torch.tensor([[mean, mean]]) + torch.tensor([0.0, 100.0])  # out_proj
    close(attention(x_q, x_kv, torch.tensor(kv_mask)), expected, "batch query d_model")


@pytest.mark.parametrize("n_heads", [1, 3, 12])
@pytest.mark.parametrize(("t_q", "t_k"), [(5, 5), (4, 6), (5, 3), (1, 7)])
def test_agrees_with_torch(answer, device, n_heads, t_q, t_k):
    oracle, (x_q, x_kv) = torchs(n_heads).to(device), inputs(t_q, t_k, device=device)
    expected = oracle(x_q, x_kv, x_kv, need_weights=False)[0]
    close(same_as(answer, oracle)(x_q, x_kv), expected, "batch query d_model")


@pytest.mark.parametrize(("n_heads", "t_q"), [(2, 6), (1, 4), (3, 4)])
def test_padding_of_the_source_is_hidden(answer, device, n_heads, t_q):
    oracle, (x_q, x_kv) = torchs(n_heads).to(device), inputs(t_q, device=device)
    padding = ~real_tokens().to(device)  # in torch's layer True means "ignore"
    expected = oracle(x_q, x_kv, x_kv, key_padding_mask=padding, need_weights=False)[0]
    close(same_as(answer, oracle)(x_q, x_kv, ~padding), expected, "batch query d_model")


@pytest.mark.timeout(120)
def test_agrees_with_bart(answer):
    attention = answer.CrossAttention(12, 3).eval()
    from transformers.models.bart.modeling_bart import BartAttention, BartConfig

    bart = randomise(BartAttention(12, 3, config=BartConfig(attn_implementation="sdpa"))).eval()
    x_q, x_kv = inputs()
    mask = real_tokens()[:, None, None].expand(2, 1, 4, 6)
    expected = bart(x_q, key_value_states=x_kv, attention_mask=mask)[0]
    attention.load_state_dict(bart.state_dict())
    close(attention(x_q, x_kv, real_tokens()), expected, "batch query d_model")


@pytest.mark.parametrize(
    "name",
    ["x_q", "x_kv"] + [f"{name}.{kind}" for name in PROJECTIONS for kind in ("weight", "bias")],
)
def test_every_gradient_agrees(answer, reference, name):
    expected = randomise(reference.CrossAttention(12, 3))
    attention = answer.CrossAttention(12, 3)
    attention.load_state_dict(expected.state_dict())
    gradient = all_gradients(expected)[name]
    close(all_gradients(attention)[name], gradient, AXES[gradient.dim()])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    oracle, (x_q, x_kv) = torchs(3).to(dtype), inputs(dtype=dtype)
    expected = oracle(x_q, x_kv, x_kv, need_weights=False)[0]
    close(same_as(answer, oracle)(x_q, x_kv), expected, "batch query d_model")


@pytest.mark.parametrize("masks", [[], [real_tokens]], ids=["no mask", "mask"])
def test_stays_on_the_device_of_the_inputs(answer, masks):
    attention, arguments = answer.CrossAttention(12, 3).to("meta"), inputs(device="meta")
    arguments += [make().to("meta") for make in masks]
    close(attention(*arguments), torch.empty(2, 4, 12, device="meta"), "batch query d_model")


def test_heads_of_unequal_size_are_refused(answer):
    with raises(ValueError):
        answer.CrossAttention(12, 5)
