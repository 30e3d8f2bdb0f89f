import pytest
import torch

from kata.check import close, raises
from kata.tensors import generator, gradients, normal, parameter_gradients, project, randomise
from solutions.ch06_moe.ex01_topk_router import topk_router
from solutions.ch06_moe.ex02_moe_layer import MoELayer

SCALES = [torch.neg, lambda x: 3 * x, lambda x: 10 * x, torch.zeros_like]


def choices(tokens, n_experts, k, seed=0):
    """`k` different experts for each token."""
    return torch.rand(tokens, n_experts, generator=generator(seed)).argsort(-1)[:, :k]


def loop(x, idx, weights, experts):
    """One token and one choice after the other."""
    rows = [
        sum(w * experts[i](row[None])[0] for i, w in zip(chosen.tolist(), weight, strict=True))
        for row, chosen, weight in zip(x, idx, weights, strict=True)
    ]
    return torch.stack(rows)


def watched(n_experts):
    """Experts that write down who was called with which rows, told by their first number."""
    calls = []
    return calls, [
        lambda x, i=i: (calls.append((i, sorted(x[:, 0].tolist()))), x)[1] for i in range(n_experts)
    ]


def test_three_tokens_by_hand(answer):
    x, idx = (
        torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        torch.tensor([[2, 0], [0, 4], [4, 2]]),
    )
    weights = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.875, 0.125]])
    experts = [*SCALES, torch.square]
    # 7.5 - 0.25, 15 - 0.5; -1.5 + 4.5, -2 + 8; 21.875 + 6.25, 31.5 + 7.5
    expected = torch.tensor([[7.25, 14.5], [3.0, 6.0], [28.125, 39.0]])
    close(answer.grouped_dispatch(x, idx, weights, experts), expected, "token d_model")


def test_weights_are_used_as_they_are(answer):
    x, idx = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[2, 1], [1, 0]])
    weights = torch.tensor([[0.5, 2.0], [0.25, 1.0]])
    expected = torch.tensor([[11.0, 22.0], [-0.75, -1.0]])
    close(answer.grouped_dispatch(x, idx, weights, SCALES), expected, "token d_model")


@pytest.mark.parametrize(("tokens", "k"), [(37, 2), (5, 1), (1, 3), (11, 4)])
def test_agrees_with_the_layer(answer, device, tokens, k):
    layer, x = randomise(MoELayer(6, 5, n_experts=4, k=k)).to(device), normal(tokens, 6).to(device)
    expected = layer(x).detach()
    weights, idx, _ = topk_router(x, layer.gate.weight, k)
    actual = answer.grouped_dispatch(x, idx, weights, list(layer.experts))
    close(actual, expected, "token d_model")


def test_each_expert_is_called_once_with_its_tokens(answer):
    calls, experts = watched(3)
    x, idx = torch.arange(40.0).view(20, 2), choices(20, 3, k=2)
    expected = [(i, x[(idx == i).any(-1), 0].tolist()) for i in range(3)]
    answer.grouped_dispatch(x, idx, normal(20, 2), experts)
    assert sorted(calls) == expected, "the calls: expert, and the first numbers of its rows"


def test_unchosen_expert_is_not_called(answer):
    calls, experts = watched(5)
    x, idx = torch.arange(4.0).view(2, 2), torch.tensor([[3, 1], [1, 3]])
    answer.grouped_dispatch(x, idx, torch.ones(2, 2), experts)
    assert sorted({expert for expert, _ in calls}) == [1, 3], "the experts that were called"


def test_no_tokens_call_no_expert(answer):
    calls, experts = watched(3)
    x, idx = torch.empty(0, 4), torch.empty(0, 2, dtype=torch.long)
    close(answer.grouped_dispatch(x, idx, torch.empty(0, 2), experts), x.clone(), "token d_model")
    assert calls == [], "the calls: expert, and the first numbers of its rows"


@pytest.mark.parametrize("leaf", [0, 1], ids=["of x", "of weights"])
def test_gradients_agree_with_a_loop(answer, leaf):
    experts, inputs = (
        list(randomise(MoELayer(4, 3, 5, k=3)).experts),
        (normal(9, 4), choices(9, 5, 3)),
    )
    expected = gradients(loop, *inputs, normal(9, 3, seed=2), experts)[leaf]
    actual = gradients(answer.grouped_dispatch, *inputs, normal(9, 3, seed=2), experts)[leaf]
    close(actual, expected, "token gradient")


@pytest.mark.parametrize("name", ["gate.weight", "experts.0.w1.weight", "experts.2.w2.weight"])
def test_everything_learns_as_in_the_layer(answer, name):
    layer, x = randomise(MoELayer(6, 5, n_experts=3, k=2)), normal(13, 6)
    expected = parameter_gradients(layer, x)[name].clone()
    layer.zero_grad()
    weights, idx, _ = topk_router(x, layer.gate.weight, k=2)
    project(answer.grouped_dispatch(x, idx, weights, list(layer.experts))).backward()
    close(layer.get_parameter(name).grad, expected, "out gradient")


@pytest.mark.parametrize(
    ("dtype", "of_weights"),
    [
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.bfloat16),
        (torch.bfloat16, torch.float32),
    ],
    ids=str,
)
def test_keeps_the_dtype_of_the_tokens(answer, dtype, of_weights):
    x, idx, weights = normal(7, 3, dtype=dtype), choices(7, 4, 2), normal(7, 2, dtype=of_weights)
    expected = loop(x.double(), idx, weights.double(), SCALES).to(dtype)
    close(answer.grouped_dispatch(x, idx, weights, SCALES), expected, "token d_model")


def test_inputs_are_not_modified(answer):
    x, idx, weights = normal(7, 3), choices(7, 4, 2), normal(7, 2)
    answer.grouped_dispatch(x, idx, weights, SCALES)
    close(x, normal(7, 3), "token d_model")
    close(idx, choices(7, 4, 2), "token choice")
    close(weights, normal(7, 2), "token choice")


@pytest.mark.parametrize("number", [4, -1])
def test_unknown_expert_is_refused(answer, number):
    x, idx = normal(3, 2), torch.tensor([[0, 1], [number, 2], [2, 3]])
    with raises(ValueError, match="idx"):
        answer.grouped_dispatch(x, idx, torch.ones(3, 2), SCALES)
