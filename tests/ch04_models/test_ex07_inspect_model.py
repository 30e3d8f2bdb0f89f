import pytest
import torch
from torch import nn

from kata.tensors import randomise

pytestmark = pytest.mark.timeout(120)  # the first one imports transformers
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
NO_WORDS = {"bos_token_id": None, "eos_token_id": None}
# The tables of positions are longer than that of the tokens, and no two sizes are equal.
GPT2 = {"vocab_size": 11, "n_positions": 14, "n_embd": 12, "n_layer": 2, "n_head": 3, **NO_WORDS}
BERT = {
    "vocab_size": 13,
    "hidden_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "intermediate_size": 24,
    "max_position_embeddings": 17,
    "type_vocab_size": 4,
}
BART = {
    "vocab_size": 11,
    "d_model": 12,
    "encoder_layers": 3,
    "decoder_layers": 1,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 22,
    "max_position_embeddings": 14,
    **IDS,
}
T5 = {
    "vocab_size": 11,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 20,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
LLAMA = {
    "vocab_size": 11,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 4,
}


def make(family, head, **options):
    """A tiny model of transformers in which every parameter is random, in eval mode."""
    import transformers

    transformers.logging.set_verbosity_error()
    sizes = {"GPT2": GPT2, "Bert": BERT, "Bart": BART, "T5": T5, "Llama": LLAMA}[family]
    config = getattr(transformers, f"{family}Config")(**sizes | options)
    return randomise(getattr(transformers, family + head)(config)).eval()


HEADS = {
    "GPT2": "LMHeadModel",
    "Bert": "ForMaskedLM",
    "Bart": "ForConditionalGeneration",
    "T5": "ForConditionalGeneration",
    "Llama": "ForCausalLM",
}
KEYS = ["kind", "n_layer", "n_head", "d_model", "norm", "has_cross", "tied"]
KEYS += ["positions", "n_positions"]
EXPECTED = {
    "GPT2": ["decoder", [2], [3], 12, "layer_norm", False, True, "learned", 14],
    "Bert": ["encoder", [3], [5], 20, "layer_norm", False, True, "learned", 17],
    "Bart": ["encoder-decoder", [3, 1], [3, 2], 12, "layer_norm", True, True, "learned", 14],
    "T5": ["encoder-decoder", [2, 3], [4, 4], 12, "rms_norm", True, True, "relative", None],
    "Llama": ["decoder", [2], [6], 12, "rms_norm", False, False, "rotary", None],
}
LIES = {
    "model_type": "bart",
    "architectures": ["BertModel"],
    "is_encoder_decoder": True,
    "add_cross_attention": True,
    "tie_word_embeddings": False,
    **dict.fromkeys(["num_hidden_layers", "encoder_layers", "num_decoder_layers"], 9),
    **dict.fromkeys(["hidden_size", "num_attention_heads", "max_position_embeddings"], 99),
}


class BertDecoder(nn.Module):
    """A wrapper whose names say nothing true."""

    def __init__(self, model):
        super().__init__()
        self.encoder = model

    def forward(self, *args, **kwargs):
        return self.encoder(*args, **kwargs)


def disguised(model):
    """The model in a wrapper, with classes of other names, and configurations that are wrong."""
    for config in {
        id(m.config): m.config for m in model.modules() if hasattr(m, "config")
    }.values():
        for name, lie in LIES.items():
            setattr(config, name, lie)
    for module in model.modules():
        module.__class__ = type("BartAttention", (type(module),), {})
    return BertDecoder(model)


def decoder_first(model):
    """The model, in which the encoder is now registered after the decoder."""
    parent = getattr(model, "model", model)
    encoder = parent.encoder
    del parent.encoder
    parent.encoder = encoder
    return model


def described(family):
    return dict(zip(KEYS, EXPECTED[family], strict=True))


@pytest.mark.parametrize("family", HEADS)
def test_describes_each_family(answer, device, family):
    model = make(family, HEADS[family]).to(device)
    assert answer.inspect_model(model) == described(family)


@pytest.mark.parametrize("family", HEADS)
def test_names_and_configuration_prove_nothing(answer, family):
    model = disguised(make(family, HEADS[family]))
    assert answer.inspect_model(model) == described(family)


@pytest.mark.parametrize(
    ("family", "head", "options", "kind"),
    [
        ("Bert", "LMHeadModel", {"is_decoder": True}, "decoder"),
        ("Bart", "ForCausalLM", {}, "decoder"),
        ("GPT2", "LMHeadModel", {"add_cross_attention": True}, "decoder"),
        ("T5", "EncoderModel", {}, "encoder"),
    ],
)
def test_kind_is_what_a_model_does(answer, family, head, options, kind):
    assert answer.inspect_model(make(family, head, **options))["kind"] == kind, "kind"


@pytest.mark.parametrize("has_cross", [True, False])
def test_lone_stack_can_have_cross_attention(answer, has_cross):
    model = make("GPT2", "LMHeadModel", add_cross_attention=has_cross)
    assert answer.inspect_model(model)["has_cross"] == has_cross, "has_cross"


def test_counts_the_blocks_that_are_left(answer):
    model = make("Bart", "ForConditionalGeneration")
    del model.model.encoder.layers[2]
    assert answer.inspect_model(model)["n_layer"] == [2, 1], "n_layer"


@pytest.mark.parametrize("family", ["Bart", "T5"])
def test_order_of_registration_means_nothing(answer, family):
    model = decoder_first(make(family, "ForConditionalGeneration"))
    assert answer.inspect_model(model) == described(family)


@pytest.mark.parametrize(
    ("family", "head", "tied"),
    [("GPT2", "LMHeadModel", True), ("GPT2", "Model", False), ("T5", "EncoderModel", False)],
)
def test_only_a_head_can_be_tied(answer, family, head, tied):
    assert answer.inspect_model(make(family, head))["tied"] == tied, "tied"


@pytest.mark.parametrize("family", ["GPT2", "T5"])
def test_head_with_equal_values_is_not_tied(answer, family):
    model = make(family, HEADS[family])
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    assert answer.inspect_model(model) == described(family) | {"tied": False}


def test_biases_of_other_layers_make_no_layer_norm(answer):
    model = make("Llama", "ForCausalLM", attention_bias=True, mlp_bias=True)
    assert answer.inspect_model(model)["norm"] == "rms_norm", "norm"


def test_dropout_does_not_matter(answer):
    dropout = dict.fromkeys(["resid_pdrop", "embd_pdrop", "attn_pdrop"], 0.5)
    torch.manual_seed(0)
    model = make("GPT2", "LMHeadModel", **dropout).train()
    assert answer.inspect_model(model) == described("GPT2")


@pytest.mark.parametrize("training", [True, False])
def test_every_module_keeps_its_mode(answer, training):
    model = make("GPT2", "LMHeadModel").train(training)
    model.transformer.h[1].train(not training)
    before = {name: module.training for name, module in model.named_modules()}
    answer.inspect_model(model)
    after = {name: module.training for name, module in model.named_modules()}
    others = [name or "the model" for name in after if after[name] != before[name]]
    assert others == [], "modules in another mode (`training`) than before"
