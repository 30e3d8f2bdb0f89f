import pytest
import torch
import torch.nn.functional as F

from kata.check import close, raises
from kata.tensors import Watch, gradients, normal

# queries, keys, block_q, block_k: whole tiles, parts of tiles, single scores, one tile for all
CUTS = [(4, 6, 2, 3), (7, 10, 3, 4), (5, 5, 1, 1), (3, 9, 2, 5), (5, 6, 64, 64)]


def qkv(*leading, t_q=7, t_k=10, d=3, d_v=5, dtype=torch.float32):
    """Queries, keys and values: unequal sizes everywhere."""
    shapes = [(t_q, d), (t_k, d), (t_k, d_v)]
    return [normal(*leading, *s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]


def attention(q, k, v, causal=False):
    """torch's own, with the last query at the last key."""
    t_q, t_k = q.shape[-2], k.shape[-2]
    mask = torch.ones(t_q, t_k, dtype=torch.bool, device=q.device).tril(t_k - t_q)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask if causal else None)


def logsumexp(q, k, v, causal=False):
    t_q, t_k = q.shape[-2], k.shape[-2]
    scores = q @ k.mT / q.shape[-1] ** 0.5
    future = torch.ones_like(scores, dtype=torch.bool).triu(t_k - t_q + 1)
    return scores.masked_fill(future & causal, -torch.inf).logsumexp(-1)


def test_two_keys_by_hand(answer):
    # The scores are 2 * ln 3 / sqrt(4) = ln 3 and 0: the weights are 3/4 and 1/4, the sum is 4.
    q = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    k = torch.tensor([[3.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]).log()
    o, lse = answer.flash_attention(q, k, torch.tensor([[8.0, 0.0], [0.0, 4.0]]), 1, 1)
    close(o, torch.tensor([[6.0, 1.0]]), "query d_v")
    close(lse, torch.tensor([4.0]).log(), "query")


@pytest.mark.parametrize("leading", [(), (2,), (2, 3), (0, 3)], ids=str)
def test_agrees_with_torch(answer, device, leading):
    q, k, v = (x.to(device) for x in qkv(*leading))
    expected = attention(q, k, v)
    axes = " ".join(["batch", "head", "query", "d_v"][-expected.dim() :])
    close(answer.flash_attention(q, k, v, 3, 4)[0], expected, axes)


@pytest.mark.parametrize("causal", [False, True], ids=["", "causal"])
@pytest.mark.parametrize(("t_q", "t_k", "block_q", "block_k"), CUTS)
def test_agrees_however_it_is_cut(answer, causal, t_q, t_k, block_q, block_k):
    expected = attention(*qkv(2, t_q=t_q, t_k=t_k), causal)
    o, _ = answer.flash_attention(*qkv(2, t_q=t_q, t_k=t_k), block_q, block_k, causal=causal)
    close(o, expected, "batch query d_v")


@pytest.mark.parametrize("causal", [False, True], ids=["", "causal"])
@pytest.mark.parametrize(("t_q", "t_k", "block_q", "block_k"), CUTS)
def test_lse_is_that_of_the_scores(answer, causal, t_q, t_k, block_q, block_k):
    expected = logsumexp(*qkv(2, t_q=t_q, t_k=t_k), causal)
    _, lse = answer.flash_attention(*qkv(2, t_q=t_q, t_k=t_k), block_q, block_k, causal=causal)
    close(lse, expected, "batch query")


def test_huge_positive_scores(answer):
    q, k, v = qkv(2)
    q, k = q.abs() * 1e4, k.abs()
    expected, expected_lse = attention(q, k, v, True), logsumexp(q, k, v, True)
    o, lse = answer.flash_attention(q, k, v, 3, 4, causal=True)
    close(o, expected, "batch query d_v")
    close(lse, expected_lse, "batch query")


def test_huge_negative_scores(answer):
    q, k, v = qkv(2)
    q, k = q.abs() * -1e4, k.abs()
    expected, expected_lse = attention(q, k, v, True), logsumexp(q, k, v, True)
    o, lse = answer.flash_attention(q, k, v, 3, 4, causal=True)
    close(o, expected, "batch query d_v")
    close(lse, expected_lse, "batch query")


@pytest.mark.parametrize("causal", [False, True], ids=["", "causal"])
def test_nothing_larger_than_a_tile_is_made(answer, causal):
    q, k, v = qkv(2, t_q=48, t_k=64, d=4, d_v=3)
    with Watch() as watch:
        answer.flash_attention(q, k, v, 8, 16, causal=causal)
    allowed = k.numel()  # 512: more than a tile, 2 * 8 * 16, and than the output, 2 * 48 * 3
    assert watch.largest <= allowed, "the number of elements of the largest tensor that was made"


def test_tiles_in_the_future_are_skipped(answer):
    q, k, v = qkv(2, t_q=24, t_k=32)
    with Watch() as watch:
        answer.flash_attention(q, k, v, 8, 4, causal=True)
    scores = 2 * 8 * (16 + 24 + 32)  # batch, queries of a block, keys that its last one sees
    allowed = scores * (3 + 5)  # d and d_v
    assert watch.products <= allowed, "the number of multiplications in matrix products"


@pytest.mark.parametrize("causal", [False, True], ids=["", "causal"])
@pytest.mark.parametrize(
    ("i", "axes"), [(0, "batch query d"), (1, "batch key d"), (2, "batch key d_v")], ids="qkv"
)
def test_gradients_agree_with_torch(answer, causal, i, axes):
    expected = gradients(lambda *x: attention(*x, causal), *qkv(2))[i]
    actual = gradients(lambda *x: answer.flash_attention(*x, 3, 4, causal=causal)[0], *qkv(2))[i]
    close(actual, expected, axes)


@pytest.mark.parametrize(("i", "axes"), [(0, "batch query d"), (1, "batch key d")], ids="qk")
def test_gradients_of_lse_agree_with_torch(answer, i, axes):
    expected = gradients(logsumexp, *qkv(2), causal=True)[i]
    actual = gradients(lambda *x: answer.flash_attention(*x, 3, 4, causal=True)[1], *qkv(2))[i]
    close(actual, expected, axes)


@pytest.mark.parametrize(("i", "axes"), [(0, "query d"), (1, "key d"), (2, "key d_v")], ids="qkv")
def test_inputs_are_not_modified(answer, i, axes):
    inputs = qkv()
    answer.flash_attention(*inputs, 3, 4, causal=True)
    close(inputs[i], qkv()[i], axes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_output_keeps_the_dtype(answer, dtype):
    expected = attention(*qkv(2, dtype=dtype))
    close(answer.flash_attention(*qkv(2, dtype=dtype), 3, 4)[0], expected, "batch query d_v")


@pytest.mark.parametrize(
    ("dtype", "kept_in"),
    [(torch.float64, torch.float64), (torch.bfloat16, torch.float32)],
    ids=["float64", "bfloat16"],
)
def test_statistics_are_not_kept_in_bfloat16(answer, dtype, kept_in):
    inputs = qkv(2, t_k=500, dtype=dtype)
    expected = logsumexp(*(x.to(kept_in) for x in inputs))
    close(answer.flash_attention(*inputs, 4, 5)[1], expected, "batch query")


def test_stays_on_the_device_of_the_inputs(answer):
    q, k, v = (x.to("meta") for x in qkv(2))
    o, lse = answer.flash_attention(q, k, v, 3, 4, causal=True)
    close(o, torch.empty(2, 7, 5, device="meta"), "batch query d_v")
    close(lse, torch.empty(2, 7, device="meta"), "batch query")


@pytest.mark.parametrize(
    ("t_q", "block_q", "block_k"), [(7, 0, 4), (7, -1, 4), (7, 3, -4), (11, 3, 4)]
)
def test_bad_arguments_are_errors(answer, t_q, block_q, block_k):
    with raises(ValueError):
        answer.flash_attention(*qkv(2, t_q=t_q), block_q, block_k, causal=True)
