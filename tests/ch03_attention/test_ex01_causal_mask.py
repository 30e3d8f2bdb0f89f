import pytest
import torch
import torch.nn.functional as F

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import normal


def mask_of(rows):
    return torch.tensor(rows, dtype=torch.bool)


def test_three_tokens_by_hand(answer):
    close(answer.causal_mask(3), mask_of([[1, 0, 0], [1, 1, 0], [1, 1, 1]]), "query key")


def test_two_tokens_after_a_cache_of_three(answer):
    close(answer.causal_mask(2, 5), mask_of([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]), "query key")


@pytest.mark.parametrize("t", [0, 1, 2, 7])
def test_square_mask_agrees_with_tril(answer, device, t):
    expected = torch.ones(t, t, dtype=torch.bool, device=device).tril()
    close(answer.causal_mask(t, device=device), expected, "query key")


@pytest.mark.parametrize(("t_q", "t_k"), [(1, 6), (3, 4), (4, 9)])
def test_queries_are_the_last_positions(answer, t_q, t_k):
    expected = torch.ones(t_k, t_k, dtype=torch.bool).tril()[-t_q:]
    close(answer.causal_mask(t_q, t_k), expected, "query key")


@pytest.mark.parametrize("offset", [0, 1, 4])
def test_offset_alone_puts_keys_before_the_queries(answer, offset):
    t = 3 + offset
    expected = torch.ones(t, t, dtype=torch.bool).tril()[offset:]
    close(answer.causal_mask(3, offset=offset), expected, "query key")


@given(t_q=st.integers(1, 5), t_k=st.integers(1, 5), offset=st.integers(-6, 6))
@example(t_q=2, t_k=5, offset=1)  # room for later keys
@example(t_q=2, t_k=5, offset=0)  # a position like any other
@example(t_q=4, t_k=2, offset=-2)  # two queries before the first key
def test_offset_is_the_position_of_the_first_query(answer, t_q, t_k, offset):
    expected = mask_of([[key <= offset + query for key in range(t_k)] for query in range(t_q)])
    close(answer.causal_mask(t_q, t_k, offset), expected, "query key")


def test_means_the_same_to_torch_as_is_causal(answer):
    q, k, v = (normal(2, 5, 4, seed=seed) for seed in range(3))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    actual = F.scaled_dot_product_attention(q, k, v, attn_mask=answer.causal_mask(5))
    close(actual, expected, "batch query d")


def test_is_made_on_the_device_asked_for(answer):
    expected = torch.empty(2, 5, dtype=torch.bool, device="meta")
    close(answer.causal_mask(2, 5, device="meta"), expected, "query key")


def test_more_queries_than_keys_are_refused(answer):
    with raises(ValueError):
        answer.causal_mask(3, 2)
