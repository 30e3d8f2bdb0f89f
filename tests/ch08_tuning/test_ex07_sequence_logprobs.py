import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical

from kata.check import close, raises
from kata.tensors import generator, gradients, normal


def some_ids(*shape, vocab):
    return torch.randint(vocab, shape, generator=generator())


def some_mask(*shape):
    return torch.rand(shape, generator=generator(1)) < 0.6


def saying(logits):
    """A model that says this to everything."""
    return lambda ids: logits


def summed(logits, ids, mask):
    """The same by torch's own distribution."""
    logprobs = Categorical(logits=logits[:, :-1]).log_prob(ids[:, 1:])
    return torch.where(mask[:, 1:], logprobs, 0.0).sum(-1)


def test_two_rows_by_hand(answer):
    says = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]).log()
    ids = torch.tensor([[2, 1, 0], [1, 1, 2]])
    mask = torch.tensor([[False, False, True], [False, True, True]])
    expected = torch.tensor([math.log(0.6), math.log(0.3 * 0.1)])
    close(answer.sequence_logprobs(saying(says.repeat(2, 1, 1)), ids, mask), expected, "batch")


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 2, 9), (1, 6, 4), (4, 7, 3)], ids=str)
def test_agrees_with_torch(answer, device, shape):
    logits, ids = normal(*shape).to(device), some_ids(*shape[:2], vocab=shape[2]).to(device)
    mask = some_mask(*shape[:2]).to(device)
    expected = summed(logits, ids, mask)
    close(answer.sequence_logprobs(saying(logits), ids, mask), expected, "batch")


def test_first_token_never_counts(answer):
    ids, mask = some_ids(3, 5, vocab=7), torch.zeros(3, 5, dtype=torch.bool)
    mask[:, 0] = mask[1, 3] = True
    expected = summed(normal(3, 5, 7), ids, mask)
    close(answer.sequence_logprobs(saying(normal(3, 5, 7)), ids, mask), expected, "batch")


def test_mask_may_hold_integers(answer):
    logits, ids, mask = normal(3, 5, 7), some_ids(3, 5, vocab=7), some_mask(3, 5)
    expected = summed(logits, ids, mask)
    close(answer.sequence_logprobs(saying(logits), ids, mask.long()), expected, "batch")


def test_unlikely_tokens_have_finite_sums(answer):
    logits = torch.tensor([0.0, 1e3, 1e4]).repeat(2, 3, 1)
    ids, mask = torch.tensor([[2, 0, 1], [2, 1, 2]]), torch.ones(2, 3, dtype=torch.bool)
    actual = answer.sequence_logprobs(saying(logits), ids, mask)
    close(actual, torch.tensor([-19e3, -9e3]), "batch")


def test_impossible_tokens_outside_have_no_influence(answer):
    logits, ids, mask = normal(3, 5, 7), some_ids(3, 5, vocab=7), some_mask(3, 5)
    outside = nn.functional.one_hot(ids[:, 1:], 7).bool() & ~mask[:, 1:, None]
    logits[:, :-1][outside] = -torch.inf
    expected = summed(logits, ids, mask)
    close(answer.sequence_logprobs(saying(logits), ids, mask), expected, "batch")


def test_gradient_of_the_logits_agrees_with_torch(answer):
    logits, ids, mask = normal(3, 5, 7), some_ids(3, 5, vocab=7), some_mask(3, 5)
    expected = gradients(summed, logits, ids, mask)[0]
    actual = gradients(lambda x: answer.sequence_logprobs(saying(x), ids, mask), logits)[0]
    close(actual, expected, "batch seq vocab")


def test_model_reads_the_ids_once(answer):
    table, ids, mask, read = normal(7, 7), some_ids(3, 5, vocab=7), some_mask(3, 5), []
    expected = summed(table[ids], ids, mask)
    actual = answer.sequence_logprobs(lambda x: read.append(x.tolist()) or table[x], ids, mask)
    close(actual, expected, "batch")
    assert read == [some_ids(3, 5, vocab=7).tolist()]


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
    ids=str,
)
def test_keeps_float64_and_raises_half_precision(answer, dtype, result):
    logits, ids, mask = normal(3, 5, 7, dtype=dtype), some_ids(3, 5, vocab=7), some_mask(3, 5)
    expected = summed(logits.to(result), ids, mask)
    close(answer.sequence_logprobs(saying(logits), ids, mask), expected, "batch")


def test_runs_on_the_meta_device(answer):
    logits, ids, mask = normal(3, 5, 7), some_ids(3, 5, vocab=7), some_mask(3, 5)
    actual = answer.sequence_logprobs(saying(logits.to("meta")), ids.to("meta"), mask.to("meta"))
    close(actual, torch.empty(3, device="meta"), "batch")


def test_ids_and_mask_are_not_modified(answer):
    ids, mask = some_ids(3, 5, vocab=7), some_mask(3, 5)
    answer.sequence_logprobs(saying(normal(3, 5, 7)), ids, mask)
    assert ids.tolist() == some_ids(3, 5, vocab=7).tolist()
    assert mask.tolist() == some_mask(3, 5).tolist()


@pytest.mark.parametrize("shape", [(1, 5), (3, 1), (3, 4)], ids=str)
def test_mask_of_another_shape_is_refused(answer, shape):
    with raises(ValueError):
        answer.sequence_logprobs(
            saying(normal(3, 5, 7)), some_ids(3, 5, vocab=7), some_mask(*shape)
        )
