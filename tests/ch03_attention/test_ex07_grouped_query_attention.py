import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import close, raises
from kata.tensors import generator, gradients, normal, parameter_gradients, randomise

NAMES = ["q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"]
SIZES = [(12, 6, 2), (12, 6, 3), (20, 4, 1), (12, 3, 3)]  # d_model, n_heads, n_kv_heads


def twins(answer, reference, d_model, n_heads, n_kv_heads, dtype=torch.float32):
    """The learner's layer and the reference, with the same random weights."""
    expected = randomise(reference.GroupedQueryAttention(d_model, n_heads, n_kv_heads)).to(dtype)
    layer = answer.GroupedQueryAttention(d_model, n_heads, n_kv_heads).to(dtype)
    layer.load_state_dict(expected.state_dict())
    return layer, expected


def torch_attention(layer, x, n_heads, n_kv_heads, mask=None):
    """The same with torch's own grouped attention."""
    q, k, v = (
        F.linear(x, layer.state_dict()[name]).unflatten(-1, (heads, -1)).transpose(1, 2)
        for name, heads in zip(NAMES, (n_heads, n_kv_heads, n_kv_heads), strict=False)
    )
    causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
    keep = causal if mask is None else causal & mask
    heads = F.scaled_dot_product_attention(q, k, v, attn_mask=keep, enable_gqa=True)
    return F.linear(heads.transpose(1, 2).flatten(2), layer.state_dict()["o_proj.weight"])


def random_mask(*shape):
    """About half of the keys are allowed."""
    return torch.rand(shape, generator=generator()) < 0.5


def test_keys_and_values_have_fewer_heads(answer):
    state = answer.GroupedQueryAttention(12, 6, 2).state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in state.items()}
    assert shapes == dict(zip(NAMES, [(12, 12), (4, 12), (4, 12), (12, 12)], strict=True))


def test_neighbouring_query_heads_share_a_value_head(answer):
    layer = answer.GroupedQueryAttention(4, 4, 2)  # head_dim 1
    weights = [torch.eye(4), torch.eye(4)[:2], torch.eye(4)[:2], torch.eye(4)]
    layer.load_state_dict(dict(zip(NAMES, weights, strict=True)))
    # A single token gets its own values: 3 is that of value head 0, 5 that of value head 1.
    x, expected = torch.tensor([[[3.0, 5.0, 7.0, 9.0]]]), torch.tensor([[[3.0, 3.0, 5.0, 5.0]]])
    close(layer(x), expected, "batch seq d_model")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_later_tokens_have_no_influence(answer, reference, sizes):
    layer, _ = twins(answer, reference, *sizes)
    x, other = normal(2, 7, sizes[0]), normal(2, 7, sizes[0], seed=1)
    other[:, :3] = x[:, :3]
    close(layer(other)[:, :3], layer(x)[:, :3], "batch seq d_model")


@pytest.mark.parametrize("shape", [(2, 5), (3, 1), (0, 4)], ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_agrees_with_torch(answer, reference, device, sizes, shape):
    layer, expected = (m.to(device) for m in twins(answer, reference, *sizes))
    x = normal(*shape, sizes[0]).to(device)
    close(layer(x.clone()), torch_attention(expected, x, *sizes[1:]), "batch seq d_model")


def test_with_all_heads_it_is_multi_head_attention(answer, reference):
    layer, expected = twins(answer, reference, 12, 4, 4)
    mha = nn.MultiheadAttention(12, 4, bias=False, batch_first=True)
    q, k, v, o = (expected.state_dict()[name] for name in NAMES)
    mha.load_state_dict({"in_proj_weight": torch.cat([q, k, v]), "out_proj.weight": o})
    x, later = normal(2, 5, 12), torch.ones(5, 5, dtype=torch.bool).triu(1)  # True = ignore
    close(layer(x), mha(x, x, x, attn_mask=later, need_weights=False)[0], "batch seq d_model")


@pytest.mark.parametrize("shape", [(5, 5), (2, 1, 1, 5), (2, 6, 5, 5)], ids=str)
def test_mask_is_added_to_causality(answer, reference, device, shape):
    layer, expected = (m.to(device) for m in twins(answer, reference, 12, 6, 2))
    x, mask = normal(2, 5, 12).to(device), random_mask(*shape).to(device)
    close(layer(x, mask.clone()), torch_attention(expected, x, 6, 2, mask), "batch seq d_model")


def test_mask_is_not_modified(answer):
    mask = random_mask(5, 5)
    answer.GroupedQueryAttention(12, 6, 2)(normal(2, 5, 12), mask)
    close(mask, random_mask(5, 5), "query key")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gradient_of_the_input_agrees(answer, reference, sizes):
    layer, expected = twins(answer, reference, *sizes)
    x = normal(2, 5, sizes[0])
    close(gradients(layer, x)[0], gradients(expected, x)[0], "batch seq d_model")


@pytest.mark.parametrize("name", NAMES)
def test_gradient_of_each_weight_agrees(answer, reference, name):
    layer, expected = twins(answer, reference, 12, 6, 2)
    actual = parameter_gradients(layer, normal(2, 5, 12))[name]
    close(actual, parameter_gradients(expected, normal(2, 5, 12))[name], "out in")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, reference, dtype):
    layer, expected = twins(answer, reference, 12, 6, 2, dtype)
    x = normal(2, 5, 12, dtype=dtype)
    close(layer(x.clone()), torch_attention(expected, x, 6, 2), "batch seq d_model")


def test_stays_on_the_device_of_its_input(answer):
    layer, x = answer.GroupedQueryAttention(12, 6, 2).to("meta"), normal(2, 5, 12).to("meta")
    close(layer(x), torch.empty(2, 5, 12, device="meta"), "batch seq d_model")


@pytest.mark.parametrize("sizes", [(10, 4, 2), (12, 4, 3), (12, 2, 4)], ids=str)
def test_sizes_that_do_not_divide_are_refused(answer, sizes):
    with raises(ValueError):
        answer.GroupedQueryAttention(*sizes)
