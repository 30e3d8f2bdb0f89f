import pytest
import torch

from kata.check import close, raises
from kata.tensors import gradients, normal

# tokens, k, n_experts, capacity
SIZES = [(9, 1, 4, 2), (9, 3, 4, 5), (8, 2, 5, 20), (6, 2, 3, 0), (0, 2, 3, 4)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


def choices(tokens, k, n_experts):
    """Random experts, `k` different ones for each token, that prefer the last ones."""
    return (normal(tokens, n_experts) + torch.arange(n_experts) / 2).topk(k).indices


def served(idx, n_experts, capacity):
    """Serve one choice after the other: (keep, slot)."""
    counts, slot = [0] * n_experts, torch.zeros_like(idx)
    for choice, column in enumerate(idx.T.tolist()):
        for token, expert in enumerate(column):
            slot[token, choice] = counts[expert]
            counts[expert] += 1
    return slot < capacity, slot


def arguments(tokens, k, n_experts, capacity, device="cpu"):
    """The experts, and where the choices go: (idx, keep, slot)."""
    idx = choices(tokens, k, n_experts)
    return tuple(x.to(device) for x in (idx, *served(idx, n_experts, capacity)))


def copied(x, idx, keep, slot, n_experts, capacity):
    """Copy one token after the other."""
    buffers = x.new_zeros(n_experts, capacity, x.shape[-1])
    for token, choice in keep.nonzero().tolist():
        buffers[idx[token, choice], slot[token, choice]] = x[token]
    return buffers


def combined(buffers, idx, keep, slot, weights):
    """Add up one kept choice after the other."""
    y = buffers.new_zeros(len(idx), buffers.shape[-1])
    for token, choice in keep.nonzero().tolist():
        y[token] += weights[token, choice] * buffers[idx[token, choice], slot[token, choice]]
    return y


@pytest.mark.parametrize(
    ("n_tokens", "n_experts", "k", "capacity_factor", "expected"),
    [
        (8, 4, 1, 1.0, 2),
        (10, 4, 1, 1.25, 4),
        (9, 4, 2, 1.5, 7),
        (9, 4, 1, 0.5, 2),
        (0, 4, 2, 1.0, 0),
    ],
)
def test_capacity_is_a_share_rounded_up(answer, n_tokens, n_experts, k, capacity_factor, expected):
    assert answer.expert_capacity(n_tokens, n_experts, k, capacity_factor) == expected


def test_capacity_is_an_int(answer):
    capacity = answer.expert_capacity(9, 4, 1, 1.5)
    assert (type(capacity), capacity) == (int, 4), "its type and value"


@pytest.mark.parametrize("capacity_factor", [0, -1.5])
def test_factor_must_be_positive(answer, capacity_factor):
    with raises(ValueError):
        answer.expert_capacity(8, 4, 1, capacity_factor)


def test_first_choices_are_served_first(answer):
    idx = torch.tensor([[0, 1], [1, 0], [2, 1], [1, 2]])
    keep, slot = answer.capacity_dispatch(idx, n_experts=3, capacity=2)
    assert slot.tolist() == [[0, 2], [0, 1], [0, 3], [1, 1]], "slot"
    assert keep.tolist() == [[True, False], [True, True], [True, False], [True, True]], "keep"


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_slots_agree_with_serving_one_by_one(answer, device, sizes):
    idx, *expected = arguments(*sizes, device)
    keep, slot = answer.capacity_dispatch(idx.clone(), *sizes[2:])
    close(slot, expected[1], "token slot")
    close(keep, expected[0], "token keep")


def test_slots_stay_on_the_device_of_the_choices(answer):
    keep, slot = answer.capacity_dispatch(choices(9, 3, 4).to("meta"), 4, 5)
    close(slot, torch.empty(9, 3, dtype=torch.long, device="meta"), "token slot")
    close(keep, torch.empty(9, 3, dtype=torch.bool, device="meta"), "token keep")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_dispatch_copies_tokens_into_their_slots(answer, device, sizes, dtype):
    x, places = normal(sizes[0], 3, dtype=dtype).to(device), arguments(*sizes, device)
    expected = copied(x, *places, *sizes[2:])
    close(answer.dispatch(x.clone(), *places, *sizes[2:]), expected, "expert slot d_model")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_combine_adds_up_the_kept_choices(answer, device, sizes, dtype):
    places, buffers = arguments(*sizes, device), normal(*sizes[2:], 3, dtype=dtype).to(device)
    weights = normal(*sizes[:2], seed=1).softmax(-1).to(device, dtype)
    expected = combined(buffers, *places, weights)
    close(answer.combine(buffers, *places, weights), expected, "token d_model")


def test_dropped_tokens_keep_their_residual(answer):
    x, idx, weights = normal(5, 3), torch.zeros(5, 1, dtype=torch.long), torch.full((5, 1), 0.5)
    places = (idx, *served(idx, 2, 3))
    buffers = answer.dispatch(x, *places, n_experts=2, capacity=3)
    expected = x * torch.tensor([3.0, 3.0, 3.0, 1.0, 1.0])[:, None]
    close(x + answer.combine(4 * buffers, *places, weights), expected, "token d_model")


def test_gradient_of_dispatch_agrees(answer):
    x, places = normal(9, 3), arguments(9, 3, 4, 5)
    expected = gradients(copied, x, *places, 4, 5)[0]
    close(gradients(answer.dispatch, x, *places, 4, 5)[0], expected, "token gradient_of_x")


def test_gradients_of_combine_agree(answer):
    inputs = (normal(4, 5, 3), *arguments(9, 3, 4, 5), normal(9, 3, seed=1).softmax(-1))
    expected, actual = gradients(combined, *inputs), gradients(answer.combine, *inputs)
    close(actual[0], expected[0], "expert slot gradient_of_buffers")
    close(actual[1], expected[1], "token gradient_of_weights")
