import pytest
import torch

from kata.check import raises

SMALL = {
    "vocab_size": 50,
    "hidden_size": 24,
    "intermediate_size": 10,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "num_local_experts": 5,
    "num_experts_per_tok": 3,
}
MIXTRAL = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}


def accounts(answer, **sizes):
    return answer.moe_accounting(answer.MoEConfig(**sizes))


def mixtral(**sizes):
    """The model of transformers that has these sizes."""
    from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralForCausalLM

    return MixtralForCausalLM(MixtralConfig(**sizes, experts_implementation="eager"))


def test_counts_a_small_model_by_hand(answer):
    # attention 2*24*24 + 2*24*8 = 1536, router 120, an expert 720; 7 norms of 24; table 1200
    expected = {
        "total": 3 * (1536 + 120 + 5 * 720) + 168 + 2 * 1200,
        "active": 3 * (1536 + 120 + 3 * 720) + 168 + 2 * 1200,
        "flops_per_token": 2 * (3 * (1536 + 120 + 3 * 720) + 1200),
    }
    assert accounts(answer, **SMALL) == expected


@pytest.mark.parametrize(
    ("key", "count"), [("total", 46_702_792_704), ("active", 12_879_925_248)], ids=str
)
def test_mixtral_has_its_published_sizes(answer, key, count):
    assert accounts(answer, **MIXTRAL)[key] == count


def test_tied_head_is_multiplied_but_not_stored(answer):
    expected = {"total": 17_136, "active": 12_816, "flops_per_token": 25_296}
    assert accounts(answer, **SMALL, tie_word_embeddings=True) == expected


@pytest.mark.parametrize("experts", [1, 4])
def test_every_expert_used_leaves_none_over(answer, experts):
    both = {"num_local_experts": experts, "num_experts_per_tok": experts}
    blocks = 3 * (1536 + experts * (24 + 720))
    expected = {"total": blocks + 168 + 2400, "active": blocks + 168 + 2400}
    actual = accounts(answer, **SMALL | both)
    assert actual == expected | {"flops_per_token": 2 * (blocks + 1200)}


@pytest.mark.parametrize("chosen", [0, 6])
def test_impossible_choices_are_refused(answer, chosen):
    config = answer.MoEConfig(**SMALL | {"num_experts_per_tok": chosen})
    with raises(ValueError, match="num_experts_per_tok"):
        answer.moe_accounting(config)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("tied", [False, True])
def test_total_is_that_of_transformers(answer, tied):
    sizes = SMALL | {"hidden_size": 40, "num_attention_heads": 4, "num_local_experts": 7}
    with torch.device("meta"):
        model = mixtral(**sizes, tie_word_embeddings=tied)
    expected = sum(parameter.numel() for parameter in model.parameters())
    assert accounts(answer, **sizes, tie_word_embeddings=tied)["total"] == expected


@pytest.mark.timeout(120)
@pytest.mark.parametrize("tied", [False, True])
def test_flops_are_what_torch_counts(answer, tied):
    from torch.utils.flop_counter import FlopCounterMode

    sizes = SMALL | {"num_hidden_layers": 2, "num_experts_per_tok": 2, "tie_word_embeddings": tied}
    with FlopCounterMode(display=False) as counter:
        mixtral(**sizes)(torch.tensor([[7]]))
    # Matrix products only: a single token makes no others, but for the angles of RoPE.
    expected = counter.get_flop_counts()["Global"][torch.ops.aten.mm]
    assert accounts(answer, **sizes)["flops_per_token"] == expected
