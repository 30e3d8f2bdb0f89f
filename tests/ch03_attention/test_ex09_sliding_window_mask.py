import pytest
import torch
import torch.nn.functional as F

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import normal, randomise


def brute_force(t, window):
    rows = [[j <= i and i - j < window for j in range(t)] for i in range(t)]
    return torch.tensor(rows, dtype=torch.bool).view(t, t)


def test_window_of_two_by_hand(answer):
    rows = [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    close(answer.sliding_window_mask(5, 2), torch.tensor(rows, dtype=torch.bool), "query key")


@given(t=st.integers(0, 9), window=st.integers(1, 10))
@example(t=6, window=3)
@example(t=9, window=4)
def test_agrees_with_brute_force(answer, t, window):
    close(answer.sliding_window_mask(t, window), brute_force(t, window), "query key")


@pytest.mark.parametrize("t", [0, 1, 7])
def test_window_of_one_sees_only_itself(answer, device, t):
    expected = torch.eye(t, dtype=torch.bool, device=device)
    close(answer.sliding_window_mask(t, 1, device=device), expected, "query key")


@pytest.mark.parametrize("window", [5, 6, 100])
def test_wide_window_is_the_causal_mask(answer, device, window):
    expected = torch.ones(5, 5, dtype=torch.bool, device=device).tril()
    close(answer.sliding_window_mask(5, window, device=device), expected, "query key")


@pytest.mark.parametrize("i", [0, 2, 4])
def test_attention_sees_the_last_tokens_only(answer, i):
    q, k, v = (normal(2, 6, 4, seed=seed) for seed in range(3))
    seen = slice(max(0, i - 2), i + 1)
    expected = F.scaled_dot_product_attention(q[:, i : i + 1], k[:, seen], v[:, seen])
    actual = F.scaled_dot_product_attention(q, k, v, attn_mask=answer.sliding_window_mask(6, 3))
    close(actual[:, i : i + 1], expected, "batch query d")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("t", "window"), [(7, 3), (9, 1), (8, 5)])
def test_agrees_with_mistral(answer, t, window):
    from transformers.models.mistral.modeling_mistral import MistralConfig, MistralModel

    sizes = {"hidden_size": 16, "intermediate_size": 12, "vocab_size": 5, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    model = randomise(MistralModel(MistralConfig(sliding_window=window, **sizes, **heads))).eval()
    text, mask = {"inputs_embeds": normal(2, t, 16)}, answer.sliding_window_mask(t, window)
    expected, actual = model(**text), model(**text, attention_mask=mask[None, None])
    close(actual.last_hidden_state, expected.last_hidden_state, "batch query d_model")


def test_is_made_on_the_device_asked_for(answer):
    expected = torch.empty(5, 5, dtype=torch.bool, device="meta")
    close(answer.sliding_window_mask(5, 2, device="meta"), expected, "query key")


@pytest.mark.parametrize("window", [0, -3])
def test_empty_window_is_refused(answer, window):
    with raises(ValueError):
        answer.sliding_window_mask(4, window)
