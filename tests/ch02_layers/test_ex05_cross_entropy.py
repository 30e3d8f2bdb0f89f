import math

import pytest
import torch
from torch.nn import functional as F

from kata.check import close, raises
from kata.tensors import generator, gradients, normal


def some_targets(n, vocab):
    return torch.randint(vocab, (n,), generator=generator())


def test_two_rows_by_hand(answer):
    logits = torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 2.0]]).log()
    # The targets have the probabilities 1/2 and 1/4.
    expected = torch.tensor((math.log(2) + math.log(4)) / 2)
    close(answer.cross_entropy(logits, torch.tensor([0, 1])), expected)


@pytest.mark.parametrize(("n", "vocab"), [(7, 5), (4, 9), (1, 3)])
def test_agrees_with_torch(answer, device, n, vocab):
    logits, targets = normal(n, vocab).to(device), some_targets(n, vocab).to(device)
    expected = F.cross_entropy(logits, targets)
    close(answer.cross_entropy(logits, targets), expected)


@pytest.mark.parametrize("ignore_index", [-100, 2, -1])
def test_ignored_rows_do_not_count(answer, ignore_index):
    logits, targets = normal(6, 5), torch.tensor([4, 2, 0, 2, 1, 3])
    targets[targets == 2] = ignore_index
    expected = F.cross_entropy(logits, targets, ignore_index=ignore_index)
    close(answer.cross_entropy(logits, targets, ignore_index=ignore_index), expected)


@pytest.mark.parametrize("anything", [torch.nan, torch.inf, -torch.inf])
def test_ignored_rows_may_hold_anything(answer, anything):
    logits, targets = normal(3, 5), torch.tensor([4, -100, 0])
    expected = F.cross_entropy(logits[[0, 2]], targets[[0, 2]])
    logits[1] = anything
    close(answer.cross_entropy(logits, targets), expected)


@pytest.mark.parametrize("n", [0, 3])
def test_nothing_left_gives_nan(answer, n):
    close(answer.cross_entropy(normal(n, 5), torch.full((n,), -100)), torch.tensor(torch.nan))


def test_large_logits_stay_finite(answer):
    logits, targets = 1000 * normal(7, 5), some_targets(7, 5)
    expected = F.cross_entropy(logits, targets)
    close(answer.cross_entropy(logits, targets), expected)


@pytest.mark.parametrize("outside", [-1, -5, 5])
def test_target_outside_the_vocabulary_raises(answer, outside):
    with raises(IndexError):
        answer.cross_entropy(normal(3, 5), torch.tensor([4, -100, outside]))


def test_gradient_agrees_with_torch(answer):
    logits, targets = normal(4, 5), torch.tensor([4, -100, 0, 1])
    expected = gradients(F.cross_entropy, logits, targets)[0]
    close(gradients(answer.cross_entropy, logits, targets)[0], expected, "n vocab")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    logits, targets = normal(7, 5, dtype=dtype), some_targets(7, 5)
    expected = F.cross_entropy(logits, targets)
    close(answer.cross_entropy(logits, targets), expected)


def test_inputs_are_not_modified(answer):
    logits, targets = normal(3, 5), torch.tensor([4, -100, 0])
    answer.cross_entropy(logits, targets)
    assert targets.tolist() == [4, -100, 0]
    close(logits, normal(3, 5), "n vocab")
