import pytest
import torch

from kata.check import close, raises
from kata.tensors import gradients, normal, randomise


def agree(actual, expected, **tolerances):
    """Compare weights, experts and probabilities."""
    weights, idx, probs = actual
    close(probs, expected[2], "token expert_probability", **tolerances)
    close(idx, expected[1], "token idx")
    close(weights, expected[0], "token weight", **tolerances)


def test_two_tokens_by_hand(answer):
    # The columns of the weight are the logits of the two tokens.
    weight = torch.tensor([[5.0, 1.0], [1.0, 6.0], [4.0, 3.0]]).log()
    probs = torch.tensor([[0.5, 0.1, 0.4], [0.1, 0.6, 0.3]])
    weights = torch.tensor([[5 / 9, 4 / 9], [6 / 9, 3 / 9]])
    idx = torch.tensor([[0, 2], [1, 2]])
    agree(answer.topk_router(torch.eye(2), weight, k=2), (weights, idx, probs))


def test_each_token_chooses_for_itself(answer):
    x, weight = normal(6, 3), normal(5, 3, seed=1)
    alone = [answer.topk_router(x[i : i + 1], weight, k=2) for i in range(6)]
    expected = tuple(torch.cat(parts) for parts in zip(*alone, strict=True))
    agree(answer.topk_router(x, weight, k=2), expected)


@pytest.mark.parametrize("shape", [(7, 3, 5, 1), (7, 3, 5, 4), (4, 6, 3, 3), (0, 3, 5, 2)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_agrees_with_the_reference(answer, reference, device, dtype, shape):
    tokens, d_model, experts, k = shape
    x = normal(tokens, d_model, dtype=dtype).to(device)
    weight = normal(experts, d_model, seed=1, dtype=dtype).to(device)
    expected = reference.topk_router(x, weight, k)
    agree(answer.topk_router(x.clone(), weight.clone(), k), expected)


def test_bfloat16_has_probabilities_in_float32(answer, reference, device):
    x = normal(7, 3, dtype=torch.bfloat16).to(device)
    weight = normal(5, 3, seed=1, dtype=torch.bfloat16).to(device)
    expected = reference.topk_router(x, weight, 3)  # the logits may be rounded to bfloat16 or not
    agree(answer.topk_router(x.clone(), weight.clone(), 3), expected, rtol=1.6e-2, atol=1e-2)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("k", [1, 3])
def test_agrees_with_mixtral(answer, k):
    from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralTopKRouter

    config = MixtralConfig(hidden_size=6, num_local_experts=4, num_experts_per_tok=k)
    mixtral, x = randomise(MixtralTopKRouter(config)), normal(9, 6)
    logits, weights, idx = mixtral(x)
    agree(answer.topk_router(x, mixtral.weight, k), (weights, idx, logits.softmax(-1)))


def test_equal_logits_share_equally(answer):
    weights, idx, _ = answer.topk_router(torch.zeros(2, 3), normal(5, 3), k=4)
    close(weights, torch.full((2, 4), 0.25), "token weight")
    assert [len(set(row)) for row in idx.tolist()] == [4, 4], "different experts of each token"


def test_huge_logits_stay_finite(answer):
    x, weight = torch.tensor([[1e4], [-1e4]]), torch.tensor([[1.0], [0.5], [-1.0]])
    weights, _, probs = answer.topk_router(x, weight, k=2)
    close(probs, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), "token expert_probability")
    close(weights, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), "token weight")


@pytest.mark.parametrize("part", [0, 2], ids=["weights", "probs"])
def test_gradients_agree_with_the_reference(answer, reference, part):
    x, weight = normal(7, 3), normal(5, 3, seed=1)
    expected = gradients(lambda *inputs: reference.topk_router(*inputs, 2)[part], x, weight)
    actual = gradients(lambda *inputs: answer.topk_router(*inputs, 2)[part], x, weight)
    close(actual[0], expected[0], "token gradient_of_x")
    close(actual[1], expected[1], "expert gradient_of_weight")


def test_stays_on_the_device_of_its_input(answer):
    x, weight = normal(7, 3).to("meta"), normal(5, 3).to("meta")
    shapes = [(7, 2), (7, 2), (7, 5)]
    dtypes = [torch.float32, torch.int64, torch.float32]
    expected = [
        torch.empty(*s, dtype=d, device="meta") for s, d in zip(shapes, dtypes, strict=True)
    ]
    agree(answer.topk_router(x, weight, 2), expected)


@pytest.mark.parametrize("k", [0, 6])
def test_impossible_k_is_refused(answer, k):
    with raises(ValueError):
        answer.topk_router(normal(7, 3), normal(5, 3), k)
