import pytest
import torch
from torch import nn

from kata.check import raises

GPT2_SMALL = {
    "embedding": 38_597_376,
    "positions": 786_432,
    "attention": 28_348_416,
    "mlp": 56_669_184,
    "norm": 38_400,
    "head": 0,
    "total": 124_439_808,
}


def tiny():
    """A model of which every count can be seen at once."""
    block = {"ln_1": nn.LayerNorm(3), "attn": nn.Linear(3, 9), "mlp": nn.Linear(3, 12)}
    return nn.ModuleDict(
        {
            "wte": nn.Embedding(5, 3),
            "wpe": nn.Embedding(7, 3),
            "h": nn.ModuleList([nn.ModuleDict(block)]),
            "ln_f": nn.LayerNorm(3),
            "lm_head": nn.Linear(3, 5, bias=False),
        }
    )


TINY = {"embedding": 15, "positions": 21, "attention": 36, "mlp": 48, "norm": 12, "head": 15}


def nested(path):
    """Six parameters and two biases in a model where their layer has this dotted name."""
    model = nn.Linear(3, 2)
    for part in reversed(path.split(".")):
        model = nn.ModuleDict({part: model})
    return model


def on_meta(family, head, **sizes):
    """A model of transformers that takes no memory."""
    import transformers

    transformers.logging.set_verbosity_error()
    config = getattr(transformers, f"{family}Config")(**sizes)
    with torch.device("meta"):
        return getattr(transformers, family + head)(config)


@pytest.mark.parametrize("place", ["device", "meta"])
def test_counts_by_hand(answer, device, place):
    model = tiny().to(device if place == "device" else place)
    assert answer.count_parameters(model) == TINY | {"total": 147}


def test_tied_head_counts_once(answer):
    model = tiny()
    model.lm_head.weight = model.wte.weight
    assert answer.count_parameters(model) == TINY | {"head": 0, "total": 132}


def test_equal_values_are_still_two_parameters(answer):
    model = tiny()
    model.lm_head.weight.data = model.wte.weight.data.clone()
    assert answer.count_parameters(model) == TINY | {"total": 147}


def test_frozen_parameters_count(answer):
    model = tiny()
    model.wpe.requires_grad_(False)
    assert answer.count_parameters(model) == TINY | {"total": 147}


def test_buffers_do_not_count(answer):
    model = tiny()
    model.h[0].attn.register_buffer("mask", torch.ones(7, 7))
    assert answer.count_parameters(model) == TINY | {"total": 147}


@pytest.mark.parametrize(
    ("path", "component"),
    [
        ("transformer.h.0.crossattention.c_attn", "attention"),
        ("transformer.h.0.ln_cross_attn", "norm"),
        ("model.layers.1.self_attn.q_proj", "attention"),
        ("model.layers.1.post_attention_layernorm", "norm"),
        ("encoder.layers.0.self_attn_layer_norm", "norm"),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias", "positions"),
        ("encoder.block.0.layer.1.DenseReluDense.wi", "mlp"),
        ("shared", "embedding"),
    ],
)
def test_last_listed_part_of_the_name_decides(answer, path, component):
    zeros = dict.fromkeys(GPT2_SMALL, 0)
    assert answer.count_parameters(nested(path)) == zeros | {component: 8, "total": 8}


@pytest.mark.parametrize("path", ["h.0.router", "normal", "attention.lm"])
def test_unknown_part_is_refused(answer, path):
    with raises(ValueError, match=f"{path}.weight"):
        answer.count_parameters(nested(path))


def test_formula_by_hand(answer):
    counts = {"embedding": 55, "positions": 35, "attention": 240, "mlp": 450, "norm": 50, "head": 0}
    actual = answer.gpt2_parameters(vocab_size=11, n_positions=7, n_embd=5, n_layer=2)
    assert actual == counts | {"total": 830}


@pytest.mark.parametrize(
    ("n_embd", "n_layer", "total"),
    [
        (768, 12, 124_439_808),
        (1024, 24, 354_823_168),
        (1280, 36, 774_030_080),
        (1600, 48, 1_557_611_200),
    ],
    ids=["small", "medium", "large", "xl"],
)
def test_formula_gives_the_published_sizes(answer, n_embd, n_layer, total):
    assert answer.gpt2_parameters(50257, 1024, n_embd, n_layer)["total"] == total


@pytest.mark.timeout(120)
def test_counts_gpt2_small(answer):
    model = on_meta("GPT2", "LMHeadModel")
    assert answer.count_parameters(model) == GPT2_SMALL


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("family", "head", "sizes"),
    [
        ("GPT2", "LMHeadModel", {"n_layer": 2, "add_cross_attention": True}),
        ("Llama", "ForCausalLM", {"num_hidden_layers": 2, "num_key_value_heads": 4}),
        ("Bart", "ForConditionalGeneration", {"encoder_layers": 2, "decoder_layers": 3}),
        ("T5", "ForConditionalGeneration", {"num_layers": 2, "d_kv": 40}),
    ],
)
def test_total_is_that_of_all_parameters(answer, family, head, sizes):
    model = on_meta(family, head, **sizes)
    counts = answer.count_parameters(model)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert [counts.pop("total"), sum(counts.values())] == [total, total]
