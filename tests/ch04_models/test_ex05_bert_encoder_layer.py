import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import close, raises
from kata.tensors import normal, parameter_gradients, randomise

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "out_proj"]
AXES = {1: "out", 2: "out in", 3: "batch seq d_model"}  # of a bias, a weight, the input
ATTENTION_MASK = [[0, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
# Where Hugging Face's BertLayer keeps what this course names as BART does.
BERT_NAMES = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}


def torchs(n_heads=3):
    """torch's own post-norm layer, with random parameters."""
    layer = nn.TransformerEncoderLayer(
        12, n_heads, 20, dropout=0.0, activation=F.gelu, layer_norm_eps=1e-12, batch_first=True
    )
    return randomise(layer)


def berts(n_heads):
    """The layer of Hugging Face's BERT, with random parameters."""
    from transformers.models.bert.modeling_bert import BertConfig, BertLayer

    sizes = {"hidden_size": 12, "num_attention_heads": n_heads, "intermediate_size": 20}
    return randomise(BertLayer(BertConfig(**sizes, attn_implementation="sdpa"))).eval()


def parameters(parts):
    """The parameters of some modules, each under the name that it has here."""
    return {f"{name}.{k}": p for name, part in parts.items() for k, p in part.named_parameters()}


def same_as(answer, oracle):
    """The learner's layer with the parameters of torch's, which keeps three of them as one."""
    attention = oracle.self_attn
    parts = {"self_attn.out_proj": attention.out_proj, "self_attn_layer_norm": oracle.norm1}
    parts |= {"fc1": oracle.linear1, "fc2": oracle.linear2, "final_layer_norm": oracle.norm2}
    state = parameters(parts)
    for kind, values in (("weight", attention.in_proj_weight), ("bias", attention.in_proj_bias)):
        names = [f"self_attn.{name}.{kind}" for name in PROJECTIONS]
        state |= dict(zip(names, values.chunk(3), strict=False))
    layer = answer.BertEncoderLayer(12, attention.num_heads, 20)
    layer.load_state_dict(state)
    return layer.to(attention.in_proj_weight.device, attention.in_proj_weight.dtype)


def all_gradients(layer):
    """The gradients of the tokens and of every parameter, by name."""
    x, mask = normal(2, 5, 12).requires_grad_(), torch.tensor(ATTENTION_MASK)
    of_parameters = parameter_gradients(layer, x, mask)
    return {"x": x.grad} | of_parameters


def flat(d_model, d_ff):
    """Parameters with which every key scores 0, values are tokens, and the MLP gives zeros."""
    linear = {"fc1": (d_ff, d_model), "fc2": (d_model, d_ff)}
    linear |= {f"self_attn.{name}": (d_model, d_model) for name in PROJECTIONS}
    state = {f"{name}.weight": torch.zeros(shape) for name, shape in linear.items()}
    state |= {f"{name}.bias": torch.zeros(out) for name, (out, _) in linear.items()}
    state |= {f"self_attn.{name}.weight": torch.eye(d_model) for name in ("v_proj", "out_proj")}
    for norm in ("self_attn_layer_norm", "final_layer_norm"):
        state |= {f"{norm}.weight": torch.ones(d_model), f"{norm}.bias": torch.zeros(d_model)}
    return state


def test_has_the_parameters_of_both_branches(answer):
    state = answer.BertEncoderLayer(6, 2, 10).state_dict()
    expected = {name: tuple(parameter.shape) for name, parameter in flat(6, 10).items()}
    assert {name: tuple(parameter.shape) for name, parameter in state.items()} == expected


def test_two_tokens_and_padding_by_hand(answer):
    layer = answer.BertEncoderLayer(4, 1, 6)
    layer.load_state_dict(flat(4, 6) | {"final_layer_norm.bias": torch.full((4,), 10.0)})
    x = torch.tensor([[[2.0, 3.0, 0.0, -1.0], [2.0, -1.0, 0.0, 3.0], [9.0, -9.0, 7.0, 5.0]]])
    # With the mean of both, (2, 1, 0, 1), they are (4, 4, 0, 0) and (4, 0, 0, 4).
    expected = torch.tensor([[[11.0, 11.0, 9.0, 9.0], [11.0, 9.0, 9.0, 11.0]]])
    close(layer(x, torch.tensor([[1, 1, 0]]))[:, :2], expected, "batch seq d_model")


@pytest.mark.parametrize(("n_heads", "seq"), [(1, 4), (3, 7), (12, 1)])
def test_agrees_with_torch(answer, device, n_heads, seq):
    oracle, x = torchs(n_heads).to(device), normal(2, seq, 12).to(device)
    expected = oracle(x)
    close(same_as(answer, oracle)(x), expected, "batch seq d_model")


@pytest.mark.parametrize("dtype", [torch.long, torch.bool], ids=str)
def test_padding_agrees_with_torch(answer, device, dtype):
    oracle, x = torchs().to(device), normal(2, 5, 12).to(device)
    is_real = torch.tensor(ATTENTION_MASK, device=device)
    expected = oracle(x, src_key_padding_mask=is_real == 0)[is_real == 1]
    actual = same_as(answer, oracle)(x, is_real.to(dtype))
    close(actual[is_real == 1], expected, "token d_model")


@pytest.mark.parametrize("before", [3, 0], ids=["padding before", "padding after"])
def test_padded_text_equals_the_text_alone(answer, before):
    layer, text = randomise(answer.BertEncoderLayer(12, 3, 20)), slice(before, before + 4)
    x, padded, mask = normal(2, 4, 12), 100 * normal(2, 7, 12, seed=1), torch.zeros(2, 7).long()
    padded[:, text], mask[:, text] = x, 1
    expected = layer(x)
    close(layer(padded, mask)[:, text], expected, "batch seq d_model")


def test_order_of_the_tokens_does_not_matter(answer):
    layer, x = randomise(answer.BertEncoderLayer(12, 3, 20)), normal(2, 5, 12)
    order = [3, 0, 4, 2, 1]
    expected = layer(x)[:, order]
    close(layer(x[:, order]), expected, "batch seq d_model")


@pytest.mark.parametrize("options", [{}, {"eps": 1e-5}], ids=["default eps", "eps=1e-5"])
def test_eps_shows_in_tokens_of_tiny_variance(answer, options):
    layer, x = answer.BertEncoderLayer(6, 2, 10, **options), 1e-6 * normal(2, 3, 6)
    silent = {"self_attn.out_proj.weight": torch.zeros(6, 6)}
    tiny = {"self_attn_layer_norm.weight": torch.full((6,), 1e-6)}
    layer.load_state_dict(flat(6, 10) | silent | tiny)
    eps = options.get("eps", 1e-12)
    expected = F.layer_norm(1e-6 * F.layer_norm(x, (6,), eps=eps), (6,), eps=eps)
    close(layer(x), expected, "batch seq d_model", atol=1e-8)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("n_heads", [2, 3])
def test_agrees_with_bert(answer, n_heads):
    layer, x = answer.BertEncoderLayer(12, n_heads, 20), normal(2, 5, 12)
    bert, is_real = berts(n_heads), torch.tensor(ATTENTION_MASK) == 1
    expected = bert(x, attention_mask=is_real[:, None, None])[is_real]  # as (batch, 1, 1, seq)
    parts = {own: bert.get_submodule(name) for own, name in BERT_NAMES.items()}
    layer.load_state_dict(parameters(parts))
    close(layer(x, is_real)[is_real], expected, "token d_model")


@pytest.mark.parametrize(
    "name", ["x", *(f"{part}.{kind}" for part in BERT_NAMES for kind in ("weight", "bias"))]
)
def test_every_gradient_agrees(answer, reference, name):
    expected = randomise(reference.BertEncoderLayer(12, 3, 20))
    layer = answer.BertEncoderLayer(12, 3, 20)
    layer.load_state_dict(expected.state_dict())
    gradient = all_gradients(expected)[name]
    close(all_gradients(layer)[name], gradient, AXES[gradient.dim()])


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-12), (torch.bfloat16, 0.1)], ids=["float64", "bfloat16"]
)
def test_keeps_the_dtype(answer, dtype, atol):
    oracle, x = torchs().to(dtype), normal(2, 5, 12, dtype=dtype)
    layer = same_as(answer, oracle)
    expected = oracle.double()(x.double()).to(dtype)  # without the rounding on the way
    close(layer(x), expected, "batch seq d_model", atol=atol)


def test_input_is_not_modified(answer):
    layer, x = answer.BertEncoderLayer(12, 3, 20), normal(2, 5, 12)
    layer(x)
    close(x, normal(2, 5, 12), "batch seq d_model")


@pytest.mark.parametrize("masks", [[], [ATTENTION_MASK]], ids=["no mask", "mask"])
def test_stays_on_the_device_of_the_input(answer, masks):
    layer = answer.BertEncoderLayer(12, 3, 20).to("meta")
    arguments = [torch.tensor(mask, device="meta") for mask in masks]
    actual = layer(normal(2, 5, 12).to("meta"), *arguments)
    close(actual, torch.empty(2, 5, 12, device="meta"), "batch seq d_model")


def test_heads_of_unequal_size_are_refused(answer):
    with raises(ValueError):
        answer.BertEncoderLayer(12, 5, 20)
