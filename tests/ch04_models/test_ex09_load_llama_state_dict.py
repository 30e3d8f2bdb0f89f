import json

import pytest
import torch
import torch.nn.functional as F

from kata.check import close, raises
from kata.tensors import normal, randomise

SIZES = {
    "vocab_size": 11,
    "hidden_size": 32,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 0.02,
    "rope_theta": 50.0,
    "max_position_embeddings": 8,
}
BLOCK = {
    "input_layernorm": (32,),
    "self_attn.q_proj": (32, 32),
    "self_attn.k_proj": (16, 32),
    "self_attn.v_proj": (16, 32),
    "self_attn.o_proj": (32, 32),
    "post_attention_layernorm": (32,),
    "mlp.gate_proj": (20, 32),
    "mlp.up_proj": (20, 32),
    "mlp.down_proj": (32, 20),
}
SHAPES = {f"model.layers.{i}.{name}.weight": BLOCK[name] for i in range(2) for name in BLOCK}
SHAPES |= {"model.embed_tokens.weight": (11, 32), "model.norm.weight": (32,)}
HEAD = {"lm_head.weight": (11, 32)}
OWN_NAMES = {
    "embed_tokens": "model.embed_tokens",
    "layers.0.input_layernorm": "model.layers.0.input_layernorm",
    "layers.1.self_attn.q_proj": "model.layers.1.self_attn.q_proj",
    "layers.0.mlp.w1": "model.layers.0.mlp.gate_proj",
    "layers.0.mlp.w2": "model.layers.0.mlp.down_proj",
    "layers.1.mlp.w3": "model.layers.1.mlp.up_proj",
    "lm_head": "lm_head",
}
MISSING = ["model.norm.weight", "model.layers.1.mlp.up_proj.weight", "lm_head.weight"]
UNEXPECTED = ["model.layers.2.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.bias"]
MISFITS = {"model.layers.1.self_attn.k_proj.weight": (32, 32), "model.norm.weight": (1,)}
SPOILED = {
    "a missing tensor": {"model.norm.weight": None},
    "an unexpected tensor": {"model.layers.2.mlp.up_proj.weight": (20, 32)},
    "other key and value heads": {"model.layers.1.self_attn.k_proj.weight": (32, 32)},
}


def checkpoint(**changes):
    """A random checkpoint with Hugging Face's names; `changes` are other shapes, or None."""
    shapes = {name: shape for name, shape in (SHAPES | changes).items() if shape is not None}
    return {name: normal(*shapes[name], seed=i) for i, name in enumerate(shapes)}


def with_tied_head():
    """The same with the table of embeddings at both of its places."""
    return checkpoint() | {"lm_head.weight": checkpoint()["model.embed_tokens.weight"]}


def new_model(answer, tied=False):
    return answer.LlamaModel(answer.LlamaConfig(**SIZES, tie_word_embeddings=tied))


def loaded(answer, state, tied=False, **options):
    """The state dict of a model, after the learner's function ran."""
    model = new_model(answer, tied)
    answer.load_llama_state_dict(model, state, **options)
    return model.state_dict()


def values(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def changed(before, after):
    """The names of the tensors that are not what they were."""
    return [name for name in before if not torch.equal(before[name], after[name])]


def interleaved_rows(state, name, n_heads):
    """The checkpoint with the rows of one projection as in Meta's own files."""
    halves = state[name].unflatten(0, (n_heads, 2, -1))
    return {name: torch.stack([halves[:, 0], halves[:, 1]], dim=2).flatten(0, 2)}


def next_is_the_sum(ids):
    """A model that predicts the sum of all tokens so far, modulo 7."""
    return F.one_hot(ids.cumsum(-1) % 7, num_classes=7).float()


def test_rows_by_hand(answer):
    weight = torch.arange(24.0).view(12, 2)  # 2 heads with 6 rows each
    expected = weight[[0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]]
    close(answer.half_rotated_rows(weight, 2), expected, "out in")


@pytest.mark.parametrize("n_heads", [1, 3])
def test_each_pair_is_turned_by_the_same_angle(answer, n_heads):
    weight, turn = normal(24, 5), torch.polar(torch.ones(()), torch.tensor(0.7))
    rows = weight.clone().unflatten(0, (n_heads, -1, 2)).movedim(2, -1).contiguous()
    expected = torch.view_as_real(torch.view_as_complex(rows) * turn)  # (head, pair, in, 2)
    a, b = answer.half_rotated_rows(weight, n_heads).unflatten(0, (n_heads, 2, -1)).unbind(1)
    close(a * turn.real - b * turn.imag, expected[..., 0], "head pair in")
    close(a * turn.imag + b * turn.real, expected[..., 1], "head pair in")


@pytest.mark.parametrize("name", OWN_NAMES)
def test_each_weight_finds_its_place(answer, name):
    expected = checkpoint(**HEAD)[f"{OWN_NAMES[name]}.weight"]
    axes = " ".join(["out", "in"][: expected.dim()])
    close(loaded(answer, checkpoint(**HEAD))[f"{name}.weight"], expected, axes)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("tied", [False, True])
def test_logits_equal_those_of_transformers(answer, tied):
    model, ids = new_model(answer, tied).double(), torch.arange(21).view(3, 7) % 11
    from transformers.models.llama.modeling_llama import LlamaConfig, LlamaForCausalLM

    llama = randomise(LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied))).double()
    answer.load_llama_state_dict(model, llama.state_dict())
    close(model(ids), llama.eval()(ids).logits, "batch seq vocab")


def test_interleaved_queries_become_half_rotated(answer):
    name, state = "layers.1.self_attn.q_proj.weight", checkpoint(**HEAD)
    expected = state[f"model.{name}"].clone()
    state |= interleaved_rows(state, f"model.{name}", n_heads=4)
    close(loaded(answer, state, interleaved=True)[name], expected, "out in")


def test_interleaved_keys_become_half_rotated(answer):
    name, state = "layers.1.self_attn.k_proj.weight", checkpoint(**HEAD)
    expected = state[f"model.{name}"].clone()
    state |= interleaved_rows(state, f"model.{name}", n_heads=2)
    close(loaded(answer, state, interleaved=True)[name], expected, "out in")


@pytest.mark.parametrize("name", ["layers.1.self_attn.v_proj", "layers.0.self_attn.o_proj"])
def test_only_queries_and_keys_are_reordered(answer, name):
    expected = checkpoint(**HEAD)[f"model.{name}.weight"]
    actual = loaded(answer, checkpoint(**HEAD), interleaved=True)
    close(actual[f"{name}.weight"], expected, "out in")


@pytest.mark.parametrize("make", [checkpoint, with_tied_head], ids=["no head", "head"])
def test_tied_head_is_optional_and_stays_tied(answer, make):
    model = new_model(answer, tied=True)
    count = sum(parameter.numel() for parameter in model.parameters())
    answer.load_llama_state_dict(model, make())
    expected = checkpoint()["model.embed_tokens.weight"]
    close(model.state_dict()["lm_head.weight"], expected, "token d_model")
    after = sum(parameter.numel() for parameter in model.parameters())
    assert after == count, "the number of parameters"


def test_frequencies_of_old_checkpoints_are_ignored(answer):
    state = checkpoint(**HEAD, **{"model.layers.0.self_attn.rotary_emb.inv_freq": (4,)})
    close(loaded(answer, state)["norm.weight"], checkpoint()["model.norm.weight"], "d_model")


@pytest.mark.parametrize("name", MISSING)
def test_each_missing_tensor_is_named(answer, name):
    with raises(ValueError, match=name):
        loaded(answer, checkpoint(**dict.fromkeys(MISSING)))


@pytest.mark.parametrize("name", UNEXPECTED)
def test_each_unexpected_tensor_is_named(answer, name):
    with raises(ValueError, match=name):
        loaded(answer, checkpoint(**HEAD, **dict.fromkeys(UNEXPECTED, (32,))))


@pytest.mark.parametrize("name", MISFITS)
def test_each_wrong_shape_is_named(answer, name):
    with raises(ValueError, match=name):
        loaded(answer, checkpoint(**HEAD, **MISFITS))


def test_another_head_does_not_fit_a_tied_model(answer):
    with raises(ValueError, match="lm_head.weight"):
        loaded(answer, checkpoint(**HEAD), tied=True)


@pytest.mark.parametrize("changes", SPOILED.values(), ids=SPOILED)
def test_after_an_error_the_model_is_unchanged(answer, changes):
    model = randomise(new_model(answer))
    before = values(model)
    with raises(ValueError):
        answer.load_llama_state_dict(model, checkpoint(**HEAD, **changes))
    assert changed(before, model.state_dict()) == [], "parameters with other values than before"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_model_keeps_its_dtype_and_device(answer, device, dtype):
    model, state = new_model(answer).to(device, dtype), checkpoint(**HEAD)
    answer.load_llama_state_dict(model, state)
    expected = state["model.layers.0.mlp.gate_proj.weight"].to(device, dtype)
    close(model.state_dict()["layers.0.mlp.w1.weight"], expected, "out in")


def test_fills_the_parameters_that_are_there(answer):
    model, state = new_model(answer), checkpoint(**HEAD)
    held = dict(model.named_parameters())  # as an optimizer holds them
    answer.load_llama_state_dict(model, state)
    loaded_values = values(model)
    [tensor.zero_() for tensor in state.values()]  # no memory is shared
    assert changed(held, loaded_values) == [], "parameters that the checkpoint has not filled"


def test_checkpoint_is_not_modified(answer):
    state = with_tied_head()
    loaded(answer, state, tied=True, interleaved=True)
    assert list(state) == list(with_tied_head()), "the names in the checkpoint"
    assert changed(with_tied_head(), state) == [], "tensors of the checkpoint with other values"


@pytest.mark.parametrize(("count", "new"), [(4, [5, 3, 6, 5]), (1, [5]), (0, [])])
def test_story_goes_on_from_the_whole_text(answer, device, count, new):
    actual = answer.greedy_story(next_is_the_sum, torch.tensor([6, 2, 4], device=device), count)
    close(actual, torch.tensor(new, dtype=torch.int64, device=device), "new")


def test_the_most_likely_token_is_taken(answer):
    logits = torch.tensor([1.0, 1.2, 1.1])
    actual = answer.greedy_story(lambda ids: logits.expand(*ids.shape, 3), torch.tensor([0]), 30)
    close(actual, torch.ones(30, dtype=torch.int64), "new")


@pytest.mark.real
def test_tells_the_published_story(answer, real):
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    from kata.show.weights import PROMPT, PUBLISHED

    folder = real.path("stories260K")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    values = json.loads((folder / "config.json").read_text("utf-8"))
    sizes = {name: values[name] for name in [*SIZES, "tie_word_embeddings"] if name in values}
    model = answer.LlamaModel(answer.LlamaConfig(**sizes))
    answer.load_llama_state_dict(model, load_file(folder / "model.safetensors"))
    ids = tokenizer.encode(PROMPT).ids  # the first one is 1, <s>: the model was trained with it
    new = answer.greedy_story(model, torch.tensor(ids), 127).tolist()
    assert tokenizer.decode(ids + new) == PROMPT + PUBLISHED
