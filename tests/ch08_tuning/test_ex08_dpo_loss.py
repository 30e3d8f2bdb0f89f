import math

import pytest
import torch
from torch.nn import functional as F

from kata.check import close, raises
from kata.tensors import gradients, normal


def logprobs(pairs=5, dtype=torch.float32):
    """Log-probabilities of whole responses: policy chosen and rejected, reference the same."""
    return [(normal(pairs, seed=seed) * 3 - 200).to(dtype) for seed in range(4)]


def loss_of_classifier(pc, pr, rc, rr, beta):
    """The same as a classifier that should always find the first one to be better."""
    margins = beta * ((pc - rc.detach()) - (pr - rr.detach()))
    return F.binary_cross_entropy_with_logits(margins, torch.ones_like(margins))


def test_two_pairs_by_hand(answer):
    chosen, rejected = torch.tensor([0.4, 0.2]).log(), torch.tensor([0.1, 0.1]).log()
    ref_chosen, ref_rejected = torch.tensor([0.2, 0.4]).log(), torch.tensor([0.3, 0.1]).log()
    # The chosen ones became 2 and 1/2 times as likely, the rejected ones 1/3 and 1 times: that is 6
    # and 1/2 times to one. beta = 2 squares it: 36 to 1, and 1 to 4.
    expected = torch.tensor(-(math.log(36 / 37) + math.log(1 / 5)) / 2)
    close(answer.dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=2.0), expected)


@pytest.mark.parametrize("beta", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("pairs", [1, 7])
def test_agrees_with_a_classifier(answer, device, beta, pairs):
    given = [x.to(device) for x in logprobs(pairs)]
    expected = loss_of_classifier(*given, beta)
    close(answer.dpo_loss(*given, beta), expected)


def test_starts_at_log_two(answer):
    pc, pr, _, _ = logprobs()
    close(answer.dpo_loss(pc, pr, pc.clone(), pr.clone(), beta=0.3), torch.tensor(math.log(2)))


@pytest.mark.parametrize(("margin", "expected"), [(500.0, 0.0), (-500.0, 500.0), (-1e4, 1e4)])
def test_extreme_pairs_have_finite_losses(answer, margin, expected):
    given = [torch.full((3,), value) for value in (margin, 0.0, -margin, 0.0)]
    close(answer.dpo_loss(*given, beta=0.5), torch.tensor(expected))


@pytest.mark.parametrize("scale", [1.0, 500.0])
def test_gradients_agree_with_a_classifier(answer, scale):
    given = [scale * x for x in logprobs()]
    expected = torch.stack(gradients(loss_of_classifier, *given, beta=0.5))
    close(torch.stack(gradients(answer.dpo_loss, *given, beta=0.5)), expected, "input pair")


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
    given = logprobs(dtype=dtype)
    expected = loss_of_classifier(*(x.to(result) for x in given), 0.3)
    close(answer.dpo_loss(*given, beta=0.3), expected)


def test_runs_on_the_meta_device(answer):
    given = [x.to("meta") for x in logprobs()]
    close(answer.dpo_loss(*given, beta=0.5), torch.empty((), device="meta"))


def test_inputs_are_not_modified(answer):
    given = logprobs()
    answer.dpo_loss(*given, beta=0.5)
    close(torch.stack(given), torch.stack(logprobs()), "input pair")


@pytest.mark.parametrize("position", range(4))
def test_unequal_shapes_are_refused(answer, position):
    given = logprobs()
    given[position] = given[position][:, None]
    with raises(ValueError):
        answer.dpo_loss(*given, beta=0.5)


@pytest.mark.parametrize("beta", [0.0, -0.1])
def test_impossible_beta_is_refused(answer, beta):
    with raises(ValueError):
        answer.dpo_loss(*logprobs(), beta=beta)
