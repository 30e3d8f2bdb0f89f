import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal

INF = float("inf")


def only(logits, kept):
    """These tokens with their logits, the others at -inf."""
    expected = torch.full_like(logits, -INF)
    expected[kept] = logits[kept]
    return expected


def adversarial():
    x = 3 * normal(6, 30)
    x[0, 3], x[0, 7], x[1, 5] = 1e4, 1e4 - 1, -1e4
    x[2, ::2] = -INF
    x[3, 1:] = -INF  # one candidate
    x[4] /= 100  # nearly uniform
    return x


@pytest.mark.parametrize(
    ("p", "kept"), [(0.4, [1]), (0.7, [1, 3]), (0.9, [1, 3, 0]), (0.99, [1, 3, 0, 2])]
)
def test_keeps_the_token_that_crosses_p(answer, p, kept):
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    expected = only(logits, kept)
    close(answer.top_p_filter(logits, p=p), expected, "vocab")


@pytest.mark.parametrize(("p", "count"), [(0.25, 1), (0.5, 2), (0.75, 3)])
def test_stops_where_the_sum_is_exactly_p(answer, p, count):
    logits = torch.tensor([2.0, 2.0, -INF, 2.0, 2.0])  # which of the four is kept is free
    expected = torch.tensor([2.0] * count + [-INF] * (5 - count))
    filtered = answer.top_p_filter(logits, p=p)
    close(filtered.sort(descending=True).values, expected, "rank")


def test_one_keeps_the_whole_tail(answer):
    logits = torch.tensor([-200.0, 0.0, -INF, -20.0, -1e4])
    expected = logits.clone()
    close(answer.top_p_filter(logits, p=1.0), expected, "vocab")


@pytest.mark.parametrize(
    ("min_keep", "kept"),
    [(1, [1]), (2, [1, 3]), (3, [1, 3, 0]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])],
)
def test_keeps_at_least_min_keep(answer, min_keep, kept):
    logits = torch.tensor([-300.0, 0.0, -400.0, -200.0])
    expected = only(logits, kept)
    close(answer.top_p_filter(logits, p=0.1, min_keep=min_keep), expected, "vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("p", "min_keep"), [(0.01, 1), (0.3, 4), (0.9, 1), (0.999, 2)])
def test_agrees_with_transformers(answer, device, p, min_keep):
    from transformers.generation.logits_process import TopPLogitsWarper

    logits = adversarial().to(device)
    expected = TopPLogitsWarper(p, min_tokens_to_keep=min_keep)(None, logits.clone())
    close(answer.top_p_filter(logits, p, min_keep), expected, "batch vocab", rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_counts_many_equal_tokens_exactly(answer, dtype):
    logits = torch.zeros(5000, dtype=dtype)
    expected = torch.tensor([0.0] * 2501 + [-INF] * 2499, dtype=dtype)
    filtered = answer.top_p_filter(logits, p=2500.5 / 5000)
    close(filtered.sort(descending=True).values, expected, "rank")


@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 3, 5), (3, 1), (0, 5)])
def test_any_leading_axes(answer, reference, shape):
    expected = reference.top_p_filter(normal(*shape), 0.8)
    close(answer.top_p_filter(normal(*shape), p=0.8), expected, "vocab")


@pytest.mark.parametrize(
    ("p", "min_keep"), [(0.0, 1), (-0.5, 1), (1.01, 1), (float("nan"), 1), (0.5, 0), (1.0, -1)]
)
def test_refuses_impossible_arguments(answer, p, min_keep):
    with raises(ValueError):
        answer.top_p_filter(normal(2, 5), p=p, min_keep=min_keep)


def test_input_is_not_modified(answer):
    logits = normal(2, 5)
    answer.top_p_filter(logits, p=0.6)
    close(logits, normal(2, 5), "batch vocab")


def test_stays_on_the_device_of_the_input(answer):
    filtered = answer.top_p_filter(normal(2, 5).to("meta"), p=0.6, min_keep=2)
    close(filtered, torch.empty(2, 5, device="meta"), "batch vocab")
