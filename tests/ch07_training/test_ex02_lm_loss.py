import math

import pytest
import torch
from torch.nn import functional as F

from kata.check import close
from kata.tensors import generator, gradients, normal


def some_ids(*shape, vocab):
    return torch.randint(vocab, shape, generator=generator())


def some_ignored():
    """Rows of 5, 2 and 4 tokens to be predicted, the first token of one of them ignored."""
    ids = some_ids(3, 6, vocab=7)
    ids[1, 2:5] = ids[2, 0] = ids[2, 5] = -100
    return ids


def loss_of_transformers(logits, ids):
    """What a model of transformers returns as its loss when it is called with `labels=ids`."""
    from transformers.loss.loss_utils import ForCausalLMLoss

    return ForCausalLMLoss(logits, ids, vocab_size=logits.shape[-1])


def test_two_rows_by_hand(answer):
    probs = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    # The first row finds 1 and 0 with 0.3 and 0.6, the second one 1 and 2 with 0.3 and 0.1.
    expected = torch.tensor(-math.log(0.3 * 0.6 * 0.3 * 0.1) / 4)
    logits, ids = probs.log().repeat(2, 1, 1), torch.tensor([[2, 1, 0], [1, 1, 2]])
    close(answer.lm_loss(logits, ids), expected)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 2, 9), (1, 6, 4), (4, 7, 3)], ids=str)
def test_agrees_with_transformers(answer, device, shape):
    logits, ids = normal(*shape).to(device), some_ids(*shape[:2], vocab=shape[2]).to(device)
    expected = loss_of_transformers(logits, ids.clone())
    close(answer.lm_loss(logits, ids), expected)


@pytest.mark.timeout(120)
def test_ignored_tokens_do_not_count(answer):
    logits, ids = normal(3, 6, 7, seed=2), some_ignored()
    expected = loss_of_transformers(logits, ids.clone())
    close(answer.lm_loss(logits, ids), expected)


@pytest.mark.timeout(120)
def test_gradient_agrees_with_transformers(answer):
    logits, ids = normal(3, 6, 7, seed=2), some_ignored()
    expected = gradients(loss_of_transformers, logits, ids)[0]
    close(gradients(answer.lm_loss, logits, ids)[0], expected, "batch seq vocab")


@pytest.mark.parametrize("ids", [[[3], [1]], [[2, -100, -100], [0, -100, -100]]], ids=str)
def test_nothing_left_gives_nan(answer, ids):
    ids = torch.tensor(ids)
    close(answer.lm_loss(normal(*ids.shape, 5), ids), torch.tensor(torch.nan))


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
    logits, ids = normal(3, 5, 7, dtype=dtype), some_ids(3, 5, vocab=7)
    expected = F.cross_entropy(logits.to(result)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    close(answer.lm_loss(logits, ids), expected)


def test_runs_on_the_meta_device(answer):
    logits, ids = normal(3, 5, 7).to("meta"), some_ids(3, 5, vocab=7).to("meta")
    close(answer.lm_loss(logits, ids), torch.empty((), device="meta"))


def test_ids_are_not_modified(answer):
    ids = some_ignored()
    answer.lm_loss(normal(3, 6, 7), ids)
    assert ids.tolist() == some_ignored().tolist()
