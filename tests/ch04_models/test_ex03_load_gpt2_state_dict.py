import math

import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal, randomise

SIZES = {"vocab_size": 11, "n_positions": 7, "n_embd": 12, "n_layer": 2, "n_head": 3}
OUTER = {"wte.weight": (11, 12), "wpe.weight": (7, 12), "ln_f.weight": (12,), "ln_f.bias": (12,)}
NORMS = {"ln_1.weight": (12,), "ln_1.bias": (12,), "ln_2.weight": (12,), "ln_2.bias": (12,)}
ATTN = {"attn.c_attn.weight": (12, 36), "attn.c_attn.bias": (36,)}
ATTN |= {"attn.c_proj.weight": (12, 12), "attn.c_proj.bias": (12,)}
MLP = {"mlp.c_fc.weight": (12, 48), "mlp.c_fc.bias": (48,)}
MLP |= {"mlp.c_proj.weight": (48, 12), "mlp.c_proj.bias": (12,)}
BLOCK = NORMS | ATTN | MLP
SHAPES = OUTER | {f"h.{layer}.{name}": BLOCK[name] for layer in range(2) for name in BLOCK}
PROJECTIONS = ["h.0.attn.c_attn", "h.1.attn.c_proj", "h.1.mlp.c_fc", "h.0.mlp.c_proj"]
OTHERS = ["wte.weight", "wpe.weight", "h.0.ln_1.weight", "h.1.attn.c_attn.bias", "ln_f.bias"]
MISSING = ["wte.weight", "h.1.attn.c_attn.bias", "ln_f.bias"]
UNEXPECTED = ["h.2.ln_1.bias", "h.0.mlp.bias", "score.weight"]
AXES = {1: "feature", 2: "row feature"}
MISFITS = {"wpe.weight": (8, 12), "h.0.ln_1.bias": (1,), "h.1.mlp.c_fc.weight": (48, 12)}
MASKS = {"h.0.attn.bias": (1, 1, 7, 7), "h.1.attn.masked_bias": ()}
SPOILED = {
    "a missing tensor": {"h.1.mlp.c_fc.bias": None},
    "an unexpected tensor": {"h.2.ln_1.bias": (12,)},
    "a wrong shape": {"wpe.weight": (8, 12)},
    "an untied head": {"lm_head.weight": (11, 12)},
}


def checkpoint(prefix="", **changes):
    """A random checkpoint in the layout of transformers; `changes` are other shapes, or None."""
    shapes = {name: shape for name, shape in (SHAPES | changes).items() if shape is not None}
    return {prefix + name: normal(*shapes[name], seed=i) for i, name in enumerate(shapes)}


def with_head(prefix=""):
    """The same with the tied weight at both of its places."""
    state = checkpoint(prefix)
    return state | {"lm_head.weight": state[prefix + "wte.weight"].clone()}


def new_model(answer):
    return answer.GPT2Model(answer.GPT2Config(**SIZES))


def loaded(answer, state):
    """The state dict of a model, after the learner's function ran."""
    model = new_model(answer)
    answer.load_gpt2_state_dict(model, state)
    return model.state_dict()


def values(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def changed(before, after):
    """The names of the tensors that are not what they were."""
    return [name for name in before if not torch.equal(before[name], after[name])]


@pytest.mark.parametrize("name", OTHERS)
def test_vectors_and_tables_come_as_they_are(answer, name):
    expected = checkpoint()[name]
    close(loaded(answer, checkpoint())[name], expected, AXES[expected.dim()])


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_come_transposed(answer, name):
    expected = checkpoint()[f"{name}.weight"].t()
    close(loaded(answer, checkpoint())[f"{name}.weight"], expected, "out in")


@pytest.mark.timeout(120)
def test_logits_equal_those_of_gpt2(answer):
    model, ids = new_model(answer).double().eval(), torch.arange(21).view(3, 7) % 11
    answer.load_gpt2_state_dict(model, checkpoint())
    from transformers import GPT2Config, GPT2LMHeadModel

    gpt2 = GPT2LMHeadModel(GPT2Config(**SIZES, bos_token_id=0, eos_token_id=0)).double().eval()
    gpt2.transformer.load_state_dict(checkpoint())
    close(model(ids), gpt2(ids).logits, "batch seq vocab")


@pytest.mark.parametrize("make", [checkpoint, with_head], ids=["no head", "head"])
@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_prefix_and_head_are_optional(answer, make, prefix):
    actual = loaded(answer, make(prefix))
    close(actual["h.1.mlp.c_fc.bias"], checkpoint()["h.1.mlp.c_fc.bias"], "out")


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_masks_of_old_checkpoints_are_ignored(answer, prefix):
    actual = loaded(answer, checkpoint(prefix, **MASKS))
    close(actual["h.0.attn.c_attn.bias"], checkpoint()["h.0.attn.c_attn.bias"], "out")


@pytest.mark.parametrize("name", MISSING)
def test_each_missing_tensor_is_named(answer, name):
    with raises(ValueError, match=name):
        loaded(answer, checkpoint(**dict.fromkeys(MISSING)))


@pytest.mark.parametrize("name", UNEXPECTED)
def test_each_unexpected_tensor_is_named(answer, name):
    with raises(ValueError, match=name):
        loaded(answer, checkpoint(**dict.fromkeys(UNEXPECTED, (12,))))


@pytest.mark.parametrize("name", MISFITS)
def test_each_wrong_shape_is_named(answer, name):
    with raises(ValueError, match=name):
        loaded(answer, checkpoint(**MISFITS))


def test_another_head_does_not_fit(answer):
    with raises(ValueError, match="lm_head.weight"):
        loaded(answer, checkpoint(**{"lm_head.weight": (11, 12)}))


@pytest.mark.parametrize("changes", SPOILED.values(), ids=SPOILED)
def test_after_an_error_the_model_is_unchanged(answer, changes):
    model = randomise(new_model(answer))
    before = values(model)
    with raises(ValueError):
        answer.load_gpt2_state_dict(model, checkpoint(**changes))
    assert changed(before, model.state_dict()) == [], "parameters with other values than before"


def test_head_stays_tied(answer):
    model = new_model(answer)
    answer.load_gpt2_state_dict(model, with_head())
    expected = sum(math.prod(shape) for shape in SHAPES.values())
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == expected, "the number of parameters"


def test_fills_the_parameters_that_are_there(answer):
    model = new_model(answer)
    held = dict(model.named_parameters())  # as an optimizer holds them
    answer.load_gpt2_state_dict(model, checkpoint())
    assert changed(held, model.state_dict()) == [], "parameters that the model no longer has"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_model_keeps_its_dtype_and_device(answer, device, dtype):
    model = new_model(answer).to(device, dtype)
    answer.load_gpt2_state_dict(model, checkpoint())
    expected = checkpoint()["h.0.mlp.c_fc.weight"].t().to(device, dtype)
    close(model.state_dict()["h.0.mlp.c_fc.weight"], expected, "out in")


@pytest.mark.filterwarnings("ignore:.*to a meta parameter")  # of load_state_dict
def test_model_without_values_stays_without(answer):
    with torch.device("meta"):
        model = new_model(answer)
    answer.load_gpt2_state_dict(model, checkpoint())
    close(model.state_dict()["wpe.weight"], torch.empty(7, 12, device="meta"), "position d_model")


def test_later_changes_of_the_checkpoint_do_not_matter(answer):
    model, state = new_model(answer), checkpoint()
    answer.load_gpt2_state_dict(model, state)
    before = values(model)
    [tensor.zero_() for tensor in state.values()]
    assert changed(before, model.state_dict()) == [], "parameters that share memory with it"


def test_checkpoint_is_not_modified(answer):
    state = with_head()
    loaded(answer, state)
    assert list(state) == list(with_head()), "the names in the checkpoint"
    assert changed(with_head(), state) == [], "tensors of the checkpoint with other values"
