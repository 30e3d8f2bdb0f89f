import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal

INF = float("inf")


def only(logits, kept):
    """The same row with -inf everywhere but at the ids `kept`."""
    removed = torch.ones_like(logits, dtype=torch.bool)
    removed[kept] = False
    return logits.masked_fill(removed, -INF)


def transformers_min_p(logits, min_p):
    from transformers.generation.logits_process import MinPLogitsWarper

    rows = logits.reshape(-1, logits.shape[-1]).float()
    removed = MinPLogitsWarper(min_p)(None, rows) == -INF
    return logits.masked_fill(removed.reshape(logits.shape), -INF)


@pytest.mark.parametrize(
    ("min_p", "kept"),
    [(0.0, [0, 1, 2, 3]), (0.2, [0, 1, 3]), (0.4, [1, 3]), (0.7, [3]), (1.0, [3])],
)
def test_keeps_the_tokens_near_the_best(answer, min_p, kept):
    logits = torch.tensor([0.15, 0.3, 0.05, 0.5]).log()  # the bar is min_p x 0.5
    expected = only(logits, kept)
    close(answer.min_p_filter(logits, min_p), expected, "vocab")


@pytest.mark.parametrize(("row", "kept"), [([1.0, 2.5, 2.5], [1, 2]), ([-1e4] * 4, [0, 1, 2, 3])])
def test_a_token_at_the_bar_stays(answer, row, kept):
    logits = torch.tensor(row)  # min_p = 1: the bar is as high as the best
    expected = only(logits, kept)
    close(answer.min_p_filter(logits, 1.0), expected, "vocab", rtol=0, atol=0)


@pytest.mark.parametrize(
    ("row", "min_keep", "kept"),
    [
        ([1.0, 9.0, 2.0, 3.0], 2, [1, 3]),
        ([5.0, 9.0, 8.5, 8.0], 2, [1, 2, 3]),
        ([0.0, 1e4, -1e4, 1.0], 2, [1, 3]),
        ([9.0, -INF, 1.0, -INF], 3, [0, 2]),
        ([1.0, 9.0, 2.0, 3.0], 5, [0, 1, 2, 3]),
    ],
)
def test_keeps_at_least_min_keep_tokens(answer, row, min_keep, kept):
    logits = torch.tensor(row)
    expected = only(logits, kept)
    actual = answer.min_p_filter(logits, 0.3, min_keep=min_keep)
    close(actual, expected, "vocab", rtol=0, atol=0)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_temperature_acts_like_a_power_of_min_p(answer, temperature):
    # (p / best) ** (1 / temperature) >= min_p, exactly where p / best >= min_p ** temperature.
    logits = normal(3, 50) * 2
    expected = answer.min_p_filter(logits, 0.1**temperature) / temperature
    close(answer.min_p_filter(logits / temperature, 0.1), expected, "batch vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("min_p", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(7,), (1, 40), (2, 3, 40)], ids=str)
def test_agrees_with_transformers(answer, device, shape, min_p):
    logits = (3 * normal(*shape)).to(device)
    expected = transformers_min_p(logits, min_p)
    close(answer.min_p_filter(logits, min_p), expected, "vocab", rtol=0, atol=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("min_p", [0.05, 0.6, 1.0])
def test_rows_with_hard_values(answer, min_p):
    rows = [[1e4, 9999, -1e4, 9990], [-INF, 2, -INF, 1], [3, 3, 1, 3], [-1e4, -1e4, -9999, -INF]]
    logits = torch.tensor(rows)
    expected = transformers_min_p(logits, min_p)
    close(answer.min_p_filter(logits, min_p), expected, "batch vocab", rtol=0, atol=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    logits = normal(3, 5000, dtype=dtype)  # so many that some lie next to the bar
    expected = transformers_min_p(logits, 0.01)
    close(answer.min_p_filter(logits, 0.01), expected, "batch vocab", rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(3, 1), (0, 5)], ids=str)
def test_vocabulary_of_one_and_empty_batch(answer, shape):
    logits = normal(*shape)
    expected = logits.clone()
    close(answer.min_p_filter(logits, 0.5), expected, "batch vocab")


def test_input_is_not_modified(answer):
    logits = normal(2, 9)
    before = logits.clone()
    answer.min_p_filter(logits, 0.5, min_keep=2)
    close(logits, before, "batch vocab")


def test_stays_on_the_device_of_the_input(answer):
    expected = torch.empty(2, 9, device="meta")
    close(answer.min_p_filter(expected.clone(), 0.5), expected, "batch vocab")


@pytest.mark.parametrize(
    ("min_p", "min_keep", "name"),
    [(-0.1, 1, "min_p"), (1.5, 1, "min_p"), (0.5, 0, "min_keep")],
)
def test_refuses_bad_arguments(answer, min_p, min_keep, name):
    with raises(ValueError, match=name):
        answer.min_p_filter(torch.tensor([1.0, 2.0]), min_p, min_keep=min_keep)
