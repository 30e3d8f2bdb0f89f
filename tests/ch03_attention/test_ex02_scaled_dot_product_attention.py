import pytest
import torch
import torch.nn.functional as F

from kata.check import close
from kata.tensors import generator, gradients, normal


def qkv(*leading, dtype=torch.float32, t_q=4, t_k=6, d=3, d_v=5):
    """Queries, keys and values: unequal sizes everywhere."""
    shapes = [(t_q, d), (t_k, d), (t_k, d_v)]
    return [normal(*leading, *s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]


def random_mask(*shape):
    """About half of the keys are allowed, and the first of them always; no shape gives no mask."""
    if not shape:
        return None
    mask = torch.rand(shape, generator=generator()) < 0.5
    mask[..., 0] = True
    return mask


def with_an_empty_row():
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[2] = False
    return mask


def test_two_keys_by_hand(answer):
    # The scores are 2 * ln 3 / sqrt(4) = ln 3 and 0, so the weights are 3/4 and 1/4.
    q = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    k = torch.tensor([[3.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]).log()
    v = torch.tensor([[8.0, 0.0], [0.0, 4.0]])
    close(answer.scaled_dot_product_attention(q, k, v), torch.tensor([[6.0, 1.0]]), "query d_v")


@pytest.mark.parametrize("leading", [(), (2,), (2, 3), (0, 3)], ids=str)
def test_agrees_with_torch_without_a_mask(answer, device, leading):
    q, k, v = (x.to(device) for x in qkv(*leading))
    expected = F.scaled_dot_product_attention(q, k, v)
    axes = " ".join(["batch", "head", "query", "d_v"][-expected.dim() :])
    close(answer.scaled_dot_product_attention(q, k, v), expected, axes)


@pytest.mark.parametrize("shape", [(4, 6), (2, 1, 1, 6), (2, 3, 4, 6)], ids=str)
def test_agrees_with_torch_under_a_mask(answer, device, shape):
    q, k, v, mask = (x.to(device) for x in (*qkv(2, 3), random_mask(*shape)))
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    actual = answer.scaled_dot_product_attention(q, k, v, mask)
    close(actual, expected, "batch head query d_v")


def test_a_query_without_keys_gets_zeros(answer):
    q, k, v = qkv(2)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=with_an_empty_row())
    actual = answer.scaled_dot_product_attention(q, k, v, with_an_empty_row())
    close(actual, expected, "batch query d_v")


def test_large_scores_do_not_overflow(answer):
    q, k, v = qkv(2)
    expected = F.scaled_dot_product_attention(q * 1e4, k, v, attn_mask=random_mask(4, 6))
    actual = answer.scaled_dot_product_attention(q * 1e4, k, v, random_mask(4, 6))
    close(actual, expected, "batch query d_v")


@pytest.mark.parametrize("shape", [(), (4, 6)], ids=["no mask", "mask"])
@pytest.mark.parametrize(
    ("i", "axes"), [(0, "batch query d"), (1, "batch key d"), (2, "batch key d_v")], ids="qkv"
)
def test_gradients_agree_with_torch(answer, shape, i, axes):
    expected = gradients(F.scaled_dot_product_attention, *qkv(2), attn_mask=random_mask(*shape))[i]
    actual = gradients(answer.scaled_dot_product_attention, *qkv(2), mask=random_mask(*shape))[i]
    close(actual, expected, axes)


@pytest.mark.parametrize(
    ("i", "axes"), [(0, "batch query d"), (1, "batch key d"), (2, "batch key d_v")], ids="qkv"
)
def test_a_query_without_keys_passes_no_gradient_on(answer, i, axes):
    expected = gradients(F.scaled_dot_product_attention, *qkv(2), attn_mask=with_an_empty_row())[i]
    actual = gradients(answer.scaled_dot_product_attention, *qkv(2), mask=with_an_empty_row())[i]
    close(actual, expected, axes)


@pytest.mark.parametrize(("i", "axes"), [(0, "query d"), (1, "key d"), (2, "key d_v")], ids="qkv")
def test_inputs_are_not_modified(answer, i, axes):
    inputs = qkv()
    answer.scaled_dot_product_attention(*inputs, random_mask(4, 6))
    close(inputs[i], qkv()[i], axes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    q, k, v = qkv(2, dtype=dtype)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=random_mask(4, 6))
    actual = answer.scaled_dot_product_attention(q, k, v, random_mask(4, 6))
    close(actual, expected, "batch query d_v")


def test_stays_on_the_device_of_the_inputs(answer):
    q, k, v, mask = (x.to("meta") for x in (*qkv(2), random_mask(4, 6)))
    expected = torch.empty(2, 4, 5, device="meta")
    close(answer.scaled_dot_product_attention(q, k, v, mask), expected, "batch query d_v")
