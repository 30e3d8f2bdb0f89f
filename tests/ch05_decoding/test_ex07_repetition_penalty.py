from collections import Counter

import pytest
import torch

from kata.check import close, raises
from kata.tensors import generator, normal

INF = float("inf")
SHAPES = [(), (1,), (4,), (2, 3)]


def some_ids(*shape, below=11):
    """Random ids; of ten among eleven some repeat, and some do not occur."""
    return torch.randint(below, shape, generator=generator(1))


def transformers_repetition(logits, ids, penalty):
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    rows = logits.reshape(-1, logits.shape[-1]).clone()
    seen = ids.reshape(len(rows), ids.shape[-1])
    return RepetitionPenaltyLogitsProcessor(penalty)(seen, rows).reshape(logits.shape)


def counted(logits, ids, frequency, presence):
    """OpenAI's formula, one token after the other, in float64."""
    vocab = logits.shape[-1]
    result = logits.double().reshape(-1, vocab).clone()
    for row, seen in zip(result, ids.reshape(len(result), -1).tolist(), strict=True):
        for token, count in Counter(seen).items():
            row[token] -= count * frequency + presence
    return result.reshape(logits.shape).to(logits.dtype)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [(2.0, [1.0, -4.0, 6.0, -1.0]), (0.5, [4.0, -1.0, 6.0, -1.0]), (1.0, [2.0, -2.0, 6.0, -1.0])],
)
def test_lowers_positive_and_negative_logits(answer, penalty, expected):
    logits, ids = torch.tensor([2.0, -2.0, 6.0, -1.0]), torch.tensor([0, 1])
    close(answer.repetition_penalty(logits, ids, penalty), torch.tensor(expected), "vocab")


def test_a_repeated_token_is_penalised_once(answer):
    logits, ids = torch.tensor([8.0, -1.0, 4.0]), torch.tensor([1, 0, 0, 1, 0])
    expected = torch.tensor([4.0, -2.0, 4.0])
    close(answer.repetition_penalty(logits, ids, 2.0), expected, "vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("penalty", [0.7, 1.3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_repetition_agrees_with_transformers(answer, device, shape, penalty):
    logits, ids = normal(*shape, 11).to(device), some_ids(*shape, 10).to(device)
    expected = transformers_repetition(logits, ids, penalty)
    close(answer.repetition_penalty(logits, ids, penalty), expected, "vocab")


@pytest.mark.timeout(120)
def test_zero_and_huge_and_removed_logits(answer):
    logits = torch.tensor([[1e4, -1e4, 0.0, -INF], [-INF, 2.0, -INF, -0.0]])
    ids = torch.tensor([[0, 1, 2, 3], [0, 1, 1, 3]])
    expected = transformers_repetition(logits, ids, 1.5)
    close(answer.repetition_penalty(logits, ids, 1.5), expected, "batch vocab")


@pytest.mark.parametrize(
    ("frequency", "presence", "expected"),
    [
        (0.5, 0.0, [0.5, -2.5, 6.0, -1.0]),
        (0.0, 0.75, [1.25, -2.75, 6.0, -1.0]),
        (0.5, 0.25, [0.25, -2.75, 6.0, -1.0]),
        (-0.5, 0.0, [3.5, -1.5, 6.0, -1.0]),
    ],
)
def test_subtracts_per_occurrence_and_once(answer, frequency, presence, expected):
    logits, ids = torch.tensor([2.0, -2.0, 6.0, -1.0]), torch.tensor([0, 1, 0, 0])
    actual = answer.frequency_presence_penalty(logits, ids, frequency, presence)
    close(actual, torch.tensor(expected), "vocab")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_frequency_and_presence_agree_with_counting(answer, device, shape):
    logits, ids = normal(*shape, 11), some_ids(*shape, 10)
    expected = counted(logits, ids, 0.3, 0.7).to(device)
    actual = answer.frequency_presence_penalty(logits.to(device), ids.to(device), 0.3, 0.7)
    close(actual, expected, "vocab")


@pytest.mark.parametrize("name", ["repetition_penalty", "frequency_presence_penalty"])
@pytest.mark.parametrize("shape", [(2, 7, 0), (0, 7, 5)], ids=["no ids", "empty batch"])
def test_nothing_to_penalise(answer, name, shape):
    batch, vocab, seq = shape
    expected = normal(batch, vocab)
    actual = getattr(answer, name)(expected.clone(), some_ids(batch, seq, below=vocab), 1.5)
    close(actual, expected, "batch vocab")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_repetition_keeps_the_dtype(answer, dtype):
    logits, ids = 5 * normal(2, 11, dtype=dtype), some_ids(2, 10)
    expected = transformers_repetition(logits, ids, 1.3)
    close(answer.repetition_penalty(logits, ids, 1.3), expected, "batch vocab")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_counts_are_not_rounded(answer, dtype):
    logits, ids = normal(2, 3, dtype=dtype), some_ids(2, 9000, below=3)
    expected = counted(logits, ids, 0.001, 0.5)
    actual = answer.frequency_presence_penalty(logits, ids, 0.001, 0.5)
    close(actual, expected, "batch vocab")


@pytest.mark.parametrize("name", ["repetition_penalty", "frequency_presence_penalty"])
def test_inputs_are_not_modified(answer, name):
    logits, ids = normal(2, 11), some_ids(2, 10)
    getattr(answer, name)(logits, ids, 1.5)
    close(logits, normal(2, 11), "batch vocab")
    close(ids, some_ids(2, 10), "batch seq")


@pytest.mark.parametrize("name", ["repetition_penalty", "frequency_presence_penalty"])
def test_stays_on_the_device_of_the_input(answer, name):
    logits, ids = normal(2, 11).to("meta"), some_ids(2, 10).to("meta")
    expected = torch.empty(2, 11, device="meta")
    close(getattr(answer, name)(logits, ids, 1.5), expected, "batch vocab")


@pytest.mark.parametrize("penalty", [0.0, -1.2])
def test_refuses_a_penalty_of_zero_or_less(answer, penalty):
    with raises(ValueError, match="penalty"):
        answer.repetition_penalty(torch.tensor([1.0, 2.0]), torch.tensor([0]), penalty)
