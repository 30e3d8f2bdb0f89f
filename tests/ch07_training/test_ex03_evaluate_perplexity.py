import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kata.check import raises
from kata.tensors import generator, normal


class Probe(nn.Module):
    """A model that keeps how it was called, and raises a KeyError at the third call if asked."""

    def __init__(self, breaks=False):
        super().__init__()
        self.table, self.breaks, self.calls = nn.Parameter(normal(5, 5)), breaks, []

    def forward(self, x):
        self.calls.append({"training": self.training, "gradients": torch.is_grad_enabled()})
        if self.breaks and len(self.calls) == 3:
            raise KeyError("broken")
        return self.table[x]


def digits(value):
    """A float with 4 digits; anything else as it is."""
    return round(value, 4) if isinstance(value, float) else value


def some_batch(batch, seq, vocab=5):
    ids = torch.randint(vocab, (batch, seq + 1), generator=generator())
    return ids[:, :-1], ids[:, 1:].clone()


def perplexity(logits, targets):
    """The same from torch, of one batch."""
    return F.cross_entropy(logits.flatten(0, 1).double(), targets.flatten()).exp().item()


@pytest.mark.parametrize("vocab", [2, 7])
def test_hesitates_among_all_tokens(answer, vocab):
    batches = [some_batch(3, 4, vocab=2), some_batch(1, 6, vocab=2)]
    assert (
        digits(answer.evaluate_perplexity(lambda x: torch.zeros(*x.shape, vocab), batches)) == vocab
    )


def test_two_batches_by_hand(answer, device):
    table = torch.tensor([[0.5, 0.375, 0.125], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]).log()
    # Three targets of probability 1/2, and one of 1/8: the mean of -log2(p) is 6/4.
    batches = [([[0, 1, 2]], [[0, 1, 2]]), ([[0]], [[2]])]
    batches, table = [(torch.tensor(x), torch.tensor(y)) for x, y in batches], table.to(device)
    assert digits(answer.evaluate_perplexity(lambda x: table[x], batches, device)) == 2.8284


@pytest.mark.parametrize("sizes", [[6], [1, 5], [2, 2, 2], [3, 1, 2]], ids=str)
def test_batches_of_a_generator_are_added_up(answer, sizes):
    table, (x, y) = normal(5, 5), some_batch(6, 4)
    expected = digits(perplexity(table[x], y))
    batches = zip(x.split(sizes), y.split(sizes), strict=True)  # no length, and empty afterwards
    assert digits(answer.evaluate_perplexity(lambda x: table[x], batches)) == expected


def test_ignored_targets_do_not_count(answer):
    table, (x, y) = normal(5, 5), some_batch(6, 4)
    y[0] = y[2, 1:] = y[5, :3] = -100
    expected = digits(perplexity(table[x], y))
    batches = list(zip(x.split(1), y.split(1), strict=True))
    assert digits(answer.evaluate_perplexity(lambda x: table[x], batches)) == expected


@pytest.mark.parametrize("training", [True, False])
def test_model_is_in_eval_mode_meanwhile(answer, training):
    model = Probe().train(training)
    answer.evaluate_perplexity(model, [some_batch(2, 3)] * 2)
    assert [{"training": call["training"]} for call in model.calls] == [{"training": False}] * 2
    assert {"training": model.training} == {"training": training}


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_after_an_error(answer, training):
    model = Probe(breaks=True).train(training)
    with raises(KeyError, match="broken"):
        answer.evaluate_perplexity(model, [some_batch(2, 3)] * 4)
    assert {"training": model.training} == {"training": training}


def test_no_gradients_are_recorded(answer):
    model = Probe()
    answer.evaluate_perplexity(model, [some_batch(2, 3)] * 2)
    assert [{"gradients": call["gradients"]} for call in model.calls] == [{"gradients": False}] * 2


def test_device_is_obeyed(answer):
    def model(x):
        raise KeyError(f"x came on {x.device}")

    with raises(KeyError, match="x came on meta"):
        answer.evaluate_perplexity(model, [some_batch(2, 3)], device="meta")


def test_half_precision_is_raised(answer):
    table, (x, y) = normal(5, 5, dtype=torch.bfloat16), some_batch(6, 4)
    expected = digits(perplexity(table[x], y))
    assert digits(answer.evaluate_perplexity(lambda x: table[x], [(x, y)])) == expected


def test_huge_loss_is_infinite(answer):
    table, batch = torch.tensor([[0.0, 1e4], [1e4, 0.0]]), some_batch(6, 4, vocab=2)
    assert answer.evaluate_perplexity(lambda x: 1e4 - table[x], [batch, batch]) == math.inf


@pytest.mark.parametrize("batches", [[], [(torch.tensor([[1, 2]]), torch.tensor([[-100, -100]]))]])
def test_nothing_to_predict_is_refused(answer, batches):
    with raises(ValueError):
        answer.evaluate_perplexity(lambda x: torch.zeros(*x.shape, 5), batches)
