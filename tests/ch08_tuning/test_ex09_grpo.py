import math
import statistics

import pytest
import torch

from kata.check import close, raises
from kata.tensors import generator, gradients, normal


def some_tokens(batch=4, seq=6, dtype=torch.float32):
    """Log-probabilities new and old, advantages, and a mask with rows of unequal lengths."""
    logprobs = normal(batch, seq) - 4
    old_logprobs = logprobs + 0.4 * normal(batch, seq, seed=1)
    mask = torch.rand(batch, seq, generator=generator(2)) < 0.6
    return [x.to(dtype) for x in (logprobs, old_logprobs, normal(batch, seed=3))] + [mask]


def loss(answer, logprobs, old_logprobs, advantages, mask, eps=0.2):
    """The learner's loss, with the mask and `eps` in another order."""
    return answer.clipped_policy_loss(logprobs, old_logprobs, advantages, eps, mask)


def loss_by_cases(logprobs, old_logprobs, advantages, mask, eps=0.2):
    """The same token by token: too far in the right direction it is flat, otherwise a product."""
    objectives = []
    for i, j in mask.nonzero().tolist():
        ratio, gain = (logprobs[i, j] - old_logprobs[i, j].detach()).exp(), advantages[i].detach()
        limit = 1 + eps if gain > 0 else 1 - eps
        too_far = ratio > limit if gain > 0 else ratio < limit
        objectives.append(limit * gain if too_far else ratio * gain)
    return -torch.stack(objectives).mean()


def advantages_by_hand(rewards, eps=1e-4):
    """Of one group, with the standard library."""
    mean, std = statistics.fmean(rewards), statistics.stdev(rewards)
    return [(reward - mean) / (std + eps) for reward in rewards]


# ---------------------------------------------------------------------------------- the advantages


def test_advantages_of_two_groups_by_hand(answer):
    # Means 3 and 0.5; the squares sum to 8 and 1, which is divided by 2.
    rewards = torch.tensor([[1.0, 3.0, 5.0], [1.0, 0.0, 0.5]])
    expected = torch.tensor([[-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
    close(answer.group_advantages(rewards), expected, "prompt response", rtol=3e-4)


@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_each_group_is_standardised_by_itself(answer, device, eps):
    rewards = (normal(3, 5) * torch.tensor([[1.0], [10.0], [0.1]]) + 2).to(device)
    expected = torch.tensor([advantages_by_hand(row, eps) for row in rewards.tolist()])
    close(answer.group_advantages(rewards, eps), expected.to(device), "prompt response")


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4)], ids=str)
def test_last_axis_is_the_group(answer, shape):
    rows = normal(*shape).reshape(-1, 4).tolist()
    expected = torch.tensor([advantages_by_hand(row) for row in rows]).reshape(shape)
    close(answer.group_advantages(normal(*shape)), expected)


def test_equal_rewards_give_no_advantage(answer):
    rewards = torch.tensor([[2.0, 2.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    expected = torch.tensor([advantages_by_hand(row) for row in rewards.tolist()])
    close(answer.group_advantages(rewards), expected, "prompt response")


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
        (torch.int64, torch.float32),
    ],
    ids=str,
)
def test_rewards_become_float32_at_least(answer, dtype, result):
    rewards = (normal(3, 5) * 4).to(dtype)
    expected = torch.tensor([advantages_by_hand(row) for row in rewards.tolist()], dtype=result)
    close(answer.group_advantages(rewards), expected, "prompt response")


def test_rewards_are_not_modified(answer):
    rewards = normal(3, 5)
    answer.group_advantages(rewards)
    close(rewards, normal(3, 5), "prompt response")


@pytest.mark.parametrize("size", [0, 1])
def test_group_of_one_is_refused(answer, size):
    with raises(ValueError):
        answer.group_advantages(normal(3, size))


# ---------------------------------------------------------------------------------------- the loss


def test_four_tokens_by_hand(answer):
    now, old = torch.tensor([[0.6, 0.2], [0.6, 0.2]]), torch.tensor([[0.4, 0.4], [0.4, 0.4]])
    advantages, mask = torch.tensor([2.0, -3.0]), torch.ones(2, 2, dtype=torch.bool)
    # The ratios are 1.5 and 0.5. The gain ends at 1.2 above, and at 0.8 below.
    expected = torch.tensor(-(1.2 * 2 + 0.5 * 2 - 1.5 * 3 - 0.8 * 3) / 4)
    close(loss(answer, now.log(), old.log(), advantages, mask), expected)


@pytest.mark.parametrize("eps", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("shape", [(4, 6), (1, 5), (7, 3)], ids=str)
def test_loss_agrees_with_a_loop(answer, device, shape, eps):
    given = [x.to(device) for x in some_tokens(*shape)]
    expected = loss_by_cases(*given, eps)
    close(loss(answer, *given, eps), expected)


@pytest.mark.parametrize("eps", [0.1, 0.3])
def test_gradient_agrees_with_a_loop(answer, eps):
    *given, mask = some_tokens()
    expected = gradients(loss_by_cases, *given, mask, eps=eps)
    actual = gradients(lambda *x: loss(answer, *x), *given, mask, eps)
    close(actual[0], expected[0], "batch seq")


def test_gradient_flows_to_the_new_model_only(answer):
    actual = gradients(lambda *x: loss(answer, *x), *some_tokens())
    close(actual[1], torch.zeros(4, 6), "batch seq")
    close(actual[2], torch.zeros(4), "batch")


def test_first_step_follows_the_advantages(answer):
    logprobs, _, advantages, mask = some_tokens()
    new = logprobs.clone().requires_grad_()
    loss(answer, new, logprobs, advantages, mask).backward()
    close(new.grad, -advantages[:, None] * mask / mask.sum(), "batch seq")


@pytest.mark.parametrize("outside", [math.inf, -math.inf, math.nan, 1e4])
def test_tokens_outside_have_no_influence(answer, outside):
    logprobs, old_logprobs, advantages, mask = some_tokens()
    expected = loss_by_cases(logprobs, old_logprobs, advantages, mask)
    logprobs[~mask] = outside
    close(loss(answer, logprobs, old_logprobs, advantages, mask), expected)


@pytest.mark.parametrize("outside", [math.inf, math.nan, 1e4])
def test_tokens_outside_get_no_gradient(answer, outside):
    logprobs, old_logprobs, advantages, mask = some_tokens()
    expected = gradients(loss_by_cases, logprobs, old_logprobs, advantages, mask)[0]
    logprobs[~mask] = outside
    actual = gradients(lambda x: loss(answer, x, old_logprobs, advantages, mask), logprobs)[0]
    close(actual, expected, "batch seq")


def test_mask_may_hold_integers(answer):
    *given, mask = some_tokens()
    expected = loss_by_cases(*given, mask)
    close(loss(answer, *given, mask.long()), expected)


def test_nothing_left_gives_nan(answer):
    *given, mask = some_tokens()
    close(loss(answer, *given, torch.zeros_like(mask)), torch.tensor(torch.nan))


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
    ids=str,
)
def test_log_probabilities_become_float32_at_least(answer, dtype, result):
    *given, mask = some_tokens(dtype=dtype)
    expected = loss_by_cases(*(x.to(result) for x in given), mask)
    close(loss(answer, *given, mask), expected)


def test_loss_runs_on_the_meta_device(answer):
    given = [x.to("meta") for x in some_tokens()]
    close(loss(answer, *given), torch.empty((), device="meta"))


def test_tensors_are_not_modified(answer):
    given, copies = some_tokens(), some_tokens()
    loss(answer, *given)
    assert [x.tolist() for x in given] == [x.tolist() for x in copies]


@pytest.mark.parametrize(("position", "shape"), [(0, (1, 6)), (1, (6,)), (2, (4, 1)), (3, (4, 1))])
def test_unequal_shapes_are_refused(answer, position, shape):
    given = some_tokens()
    given[position] = torch.ones(shape, dtype=given[position].dtype)
    with raises(ValueError):
        loss(answer, *given)


@pytest.mark.parametrize("eps", [-0.1, 0.0, 1.0])
def test_impossible_eps_is_refused(answer, eps):
    with raises(ValueError):
        loss(answer, *some_tokens(), eps=eps)
