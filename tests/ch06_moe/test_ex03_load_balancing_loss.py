import pytest
import torch

from kata.check import close
from kata.tensors import gradients, normal


def choices(tokens, k, experts):
    """Random experts, `k` different ones for each token."""
    return normal(tokens, experts, seed=1).topk(k).indices


def test_two_tokens_by_hand(answer):
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.15, 0.5, 0.35]])  # means: 0.325, 0.4, 0.275
    idx = torch.tensor([[0, 1], [1, 2]])  # fractions: 1/4, 2/4, 1/4
    expected = torch.tensor(3 * (0.325 / 4 + 0.4 * 2 / 4 + 0.275 / 4))
    close(answer.load_balancing_loss(probs, idx, 3), expected)


@pytest.mark.parametrize(("k", "experts"), [(1, 4), (2, 4), (2, 6), (3, 3)])
def test_equal_fractions_cost_one(answer, k, experts):
    probs = normal(2 * experts, experts).softmax(-1)
    idx = torch.arange(2 * experts * k).reshape(-1, k) % experts
    close(answer.load_balancing_loss(probs, idx, experts), torch.tensor(1.0))


@pytest.mark.parametrize(("expert", "experts"), [(0, 4), (3, 4), (2, 7)])
def test_collapse_costs_the_number_of_experts(answer, expert, experts):
    idx = torch.full((5, 1), expert)
    probs = torch.eye(experts)[idx.flatten()]
    close(answer.load_balancing_loss(probs, idx, experts), torch.tensor(float(experts)))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_k_times_it_is_the_loss_of_transformers(answer, k):
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    logits = normal(9, 5)
    expected = load_balancing_loss_func((logits,), num_experts=5, top_k=k)
    close(k * answer.load_balancing_loss(logits.softmax(-1), logits.topk(k).indices, 5), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(9, 1, 4), (6, 2, 5), (1, 2, 7)], ids=str)
def test_agrees_with_the_reference(answer, reference, device, shape, dtype):
    tokens, experts = shape[0], shape[2]
    probs = normal(tokens, experts, dtype=dtype).softmax(-1).to(device)
    idx = choices(*shape).to(device)
    expected = reference.load_balancing_loss(probs, idx, experts)
    close(answer.load_balancing_loss(probs.clone(), idx.clone(), experts), expected)


def test_gradient_goes_to_the_probabilities_only(answer):
    probs, idx = normal(6, 5).softmax(-1), choices(6, 2, 5)
    fraction = torch.stack([(idx == i).double().mean().float() for i in range(5)])
    expected = gradients(lambda p: 5 * (fraction * p.mean(0)).sum(), probs)[0]
    close(gradients(answer.load_balancing_loss, probs, idx, 5)[0], expected, "token gradient")


def test_no_tokens_cost_nothing(answer):
    actual = answer.load_balancing_loss(torch.zeros(0, 5), torch.zeros(0, 2, dtype=torch.long), 5)
    close(actual, torch.tensor(0.0))
