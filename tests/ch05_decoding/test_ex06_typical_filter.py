import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal

INF = float("inf")
# Surprises 1.90, 0.69, 2.30, 1.39 and entropy 1.21, so that the ranking is 3, 1, 0, 2.
PROBS = [0.15, 0.5, 0.1, 0.25]


def only(logits, kept):
    """The same row with -inf everywhere but at the ids `kept`."""
    removed = torch.ones_like(logits, dtype=torch.bool)
    removed[kept] = False
    return logits.masked_fill(removed, -INF)


def transformers_typical(logits, mass):
    from transformers.generation.logits_process import TypicalLogitsWarper

    rows = logits.reshape(-1, logits.shape[-1]).float()
    removed = TypicalLogitsWarper(mass)(None, rows) == -INF
    return logits.masked_fill(removed.reshape(logits.shape), -INF)


@pytest.mark.parametrize(
    ("mass", "kept"),
    [(0.2, [3]), (0.3, [1, 3]), (0.7, [1, 3]), (0.8, [0, 1, 3]), (0.95, [0, 1, 2, 3])],
)
def test_keeps_the_most_typical_tokens(answer, mass, kept):
    logits = torch.tensor(PROBS).log()
    expected = only(logits, kept)
    close(answer.typical_filter(logits, mass), expected, "vocab")


@pytest.mark.parametrize(
    ("row", "kept"), [([2.0, 2.0, 2.0, 2.0], [0, 1, 2, 3]), ([3.0, 3.0, 1.0, 3.0], [0, 1, 3])]
)
def test_equal_logits_share_their_fate(answer, row, kept):
    logits = torch.tensor(row)
    expected = only(logits, kept)
    close(answer.typical_filter(logits, 0.2), expected, "vocab", rtol=0, atol=0)


@pytest.mark.parametrize(("mass", "kept"), [(0.2, [5]), (0.7, [2, 5]), (0.8, [0, 2, 5])])
def test_minus_infinity_is_no_candidate(answer, mass, kept):
    logits = torch.tensor([0.15, 0.0, 0.5, 0.1, 0.0, 0.25]).log()  # PROBS and two zeros
    expected = only(logits, kept)
    close(answer.typical_filter(logits, mass), expected, "vocab")


def test_mass_of_one_keeps_everything(answer):
    logits = torch.tensor([[0.0, 0.0, -20.0, -30.0], [1e4, 0.0, -1e4, -INF]])
    expected = logits.clone()
    close(answer.typical_filter(logits, 1.0), expected, "batch vocab", rtol=0, atol=0)


@pytest.mark.parametrize(
    ("mass", "min_keep", "kept"),
    [(0.2, 2, [2, 5]), (0.2, 3, [0, 2, 5]), (0.8, 2, [0, 2, 5]), (0.2, 9, [0, 2, 3, 5])],
)
def test_keeps_at_least_min_keep_tokens(answer, mass, min_keep, kept):
    logits = torch.tensor([0.15, 0.0, 0.5, 0.1, 0.0, 0.25]).log()
    expected = only(logits, kept)
    close(answer.typical_filter(logits, mass, min_keep=min_keep), expected, "vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mass", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("shape", [(7,), (1, 40), (2, 3, 40)], ids=str)
def test_agrees_with_transformers(answer, device, shape, mass):
    logits = (3 * normal(*shape)).to(device)
    expected = transformers_typical(logits, mass)
    close(answer.typical_filter(logits, mass), expected, "vocab", rtol=0, atol=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mass", [0.05, 0.6, 0.99])
def test_rows_with_hard_values(answer, mass):
    rows = [[1e4, 9999, -1e4, 9990], [-INF, 2, -INF, 1], [3, 3, 1, 3], [-1e4, -1e4, -9999, -INF]]
    logits = torch.tensor(rows)
    expected = transformers_typical(logits, mass)
    close(answer.typical_filter(logits, mass), expected, "batch vocab", rtol=0, atol=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    logits = 2 * normal(3, 5000, dtype=dtype)  # a long tail of small probabilities
    expected = transformers_typical(logits, 0.5)
    close(answer.typical_filter(logits, 0.5), expected, "batch vocab", rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(3, 1), (0, 5)], ids=str)
def test_vocabulary_of_one_and_empty_batch(answer, shape):
    logits = normal(*shape)
    expected = logits.clone()
    close(answer.typical_filter(logits, 0.5), expected, "batch vocab")


def test_input_is_not_modified(answer):
    logits = normal(2, 9)
    before = logits.clone()
    answer.typical_filter(logits, 0.5, min_keep=2)
    close(logits, before, "batch vocab")


def test_stays_on_the_device_of_the_input(answer):
    expected = torch.empty(2, 9, device="meta")
    close(answer.typical_filter(expected.clone(), 0.5), expected, "batch vocab")


@pytest.mark.parametrize(
    ("mass", "min_keep", "name"),
    [(0.0, 1, "mass"), (-0.1, 1, "mass"), (1.5, 1, "mass"), (0.5, 0, "min_keep")],
)
def test_refuses_bad_arguments(answer, mass, min_keep, name):
    with raises(ValueError, match=name):
        answer.typical_filter(torch.tensor([1.0, 2.0]), mass, min_keep=min_keep)
