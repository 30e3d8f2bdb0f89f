import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kata.check import raises

TINY = {"vocab_size": 7, "n_positions": 8, "n_embd": 6, "n_layer": 1, "n_head": 2}
SMALL = {"vocab_size": 50, "n_positions": 9, "n_embd": 12, "n_layer": 3, "n_head": 4}


def flops(answer, seq, **sizes):
    return answer.forward_flops(answer.GPT2Config(**sizes), seq)


@pytest.mark.parametrize(
    ("n_params", "n_tokens", "expected"),
    [(7, 10, 420), (124_439_808, 1000, 746_638_848_000), (1e9, 2e10, 1.2e20), (3, 0, 0)],
)
def test_training_by_hand(answer, n_params, n_tokens, expected):
    assert answer.train_flops(n_params, n_tokens) == expected


@pytest.mark.parametrize(("n_params", "n_tokens"), [(-1, 5), (5, -1), (-2, -3), (-1, 0)])
def test_negative_sizes_are_refused(answer, n_params, n_tokens):
    with raises(ValueError):
        answer.train_flops(n_params, n_tokens)


def test_six_nd_is_what_torch_counts(answer):
    model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.Linear(6, 5, bias=False)).to("meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(7, 4, device="meta", requires_grad=True)).sum().backward()
    assert answer.train_flops(4 * 6 + 6 * 5, 7) == counter.get_total_flops()


def test_tiny_model_by_hand(answer):
    # For each of 5 tokens: queries, keys, values and output 4 * 6*6, the MLP 2 * 6*24, head 6*7.
    # For each of 5 * 5 pairs: the score 6, and the weighted sum 6.
    expected = 2 * (5 * (4 * 6 * 6 + 2 * 6 * 24 + 6 * 7) + 5 * 5 * (6 + 6))
    assert flops(answer, 5, **TINY) == expected


def test_gpt2_small_has_its_published_count(answer):
    assert flops(answer, 1024) == 291_648_307_200


@pytest.mark.parametrize("n_head", [1, 2, 6])
@pytest.mark.parametrize("seq", [2, 4])
def test_only_attention_grows_with_the_square(answer, n_head, seq):
    sizes = SMALL | {"n_positions": 2 * seq, "n_head": n_head}
    # Two texts have two squares of seq * seq pairs, one text of twice the length has four.
    expected = 3 * 2 * seq * seq * 2 * (12 + 12)
    assert flops(answer, 2 * seq, **sizes) - 2 * flops(answer, seq, **sizes) == expected


@pytest.mark.parametrize("seq", [-1, 0, 10])
def test_impossible_lengths_are_refused(answer, seq):
    config = answer.GPT2Config(**SMALL)
    with raises(ValueError):
        answer.forward_flops(config, seq)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seq", [1, 7, 9])
def test_flops_are_what_torch_counts(answer, seq):
    from transformers.models.gpt2.modeling_gpt2 import GPT2Config, GPT2LMHeadModel

    tokens = {"bos_token_id": 0, "eos_token_id": 0}
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = GPT2LMHeadModel(GPT2Config(**SMALL, **tokens, attn_implementation="eager"))
        model(torch.zeros(1, seq, dtype=torch.long))
    assert flops(answer, seq, **SMALL) == counter.get_total_flops()
