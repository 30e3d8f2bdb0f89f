import pytest
import torch

from kata.check import close, raises
from kata.tensors import generator, parameter_gradients, randomise

SIZES = {
    "vocab_size": 11,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "rms_norm_eps": 0.02,
    "rope_theta": 50.0,
    "max_position_embeddings": 8,
}
OTHER = {"rms_norm_eps": 0.5, "rope_theta": 5e5, "num_key_value_heads": 3}
AXES = {1: "out", 2: "out in"}  # of a norm, of a weight or a table (token, d_model)
NAMES = ["plain", "other theta, eps and kv heads", "tied head"]
BLOCK = {
    "input_layernorm.weight": (24,),
    "self_attn.q_proj.weight": (24, 24),
    "self_attn.k_proj.weight": (8, 24),
    "self_attn.v_proj.weight": (8, 24),
    "self_attn.o_proj.weight": (24, 24),
    "post_attention_layernorm.weight": (24,),
    "mlp.w1.weight": (20, 24),
    "mlp.w2.weight": (24, 20),
    "mlp.w3.weight": (20, 24),
}
SHAPES = {f"layers.{i}.{name}": shape for i in range(2) for name, shape in BLOCK.items()}
SHAPES |= {"embed_tokens.weight": (11, 24), "norm.weight": (24,), "lm_head.weight": (11, 24)}


def make(module, **changes):
    """A model with random weights, the same for the same names and shapes."""
    return randomise(module.LlamaModel(module.LlamaConfig(**SIZES | changes)))


def random_ids(*shape, seed=0):
    return torch.randint(11, shape, generator=generator(seed))


def transformers_llama(**changes):
    """Hugging Face's model with random weights, and these under the course's names."""
    from transformers.models.llama.modeling_llama import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**SIZES | changes, attn_implementation="sdpa")
    model = randomise(LlamaForCausalLM(config)).eval()
    state = {name.removeprefix("model."): weight for name, weight in model.state_dict().items()}
    for theirs, ours in {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}.items():
        state = {name.replace(theirs, ours): weight for name, weight in state.items()}
    return model, state


def test_has_the_parameters_of_llama(answer):
    state = make(answer).state_dict()
    assert {name: tuple(weight.shape) for name, weight in state.items()} == SHAPES


@pytest.mark.parametrize(("tied", "count"), [(False, 6600), (True, 6600 - 11 * 24)])
def test_only_a_tied_head_is_the_table(answer, tied, count):
    model = make(answer, tie_word_embeddings=tied)
    actual = sum(parameter.numel() for parameter in model.parameters())
    assert actual == count, "the number of parameters"


def test_block_of_one_token_by_hand(answer):
    small = {"hidden_size": 2, "num_attention_heads": 1, "num_key_value_heads": 1}
    block = answer.LlamaBlock(answer.LlamaConfig(**SIZES | small | {"rms_norm_eps": 0.0}))
    eye, silent = torch.eye(2), torch.zeros(2, 20)
    weights = {"self_attn.v_proj.weight": eye, "self_attn.o_proj.weight": eye}
    block.load_state_dict(block.state_dict() | weights | {"mlp.w2.weight": silent})
    # The root mean square of (1, 7) is 5. A single token attends to itself alone.
    x, expected = torch.tensor([[[1.0, 7.0]]]), torch.tensor([[[1.2, 8.4]]])
    close(block(x), expected, "batch seq d_model")


def test_later_tokens_have_no_influence(answer):
    model, ids, other = make(answer), random_ids(3, 7), random_ids(3, 7, seed=1)
    other[:, :4] = ids[:, :4]
    close(model(other)[:, :4], model(ids)[:, :4], "batch seq vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("changes", [{}, OTHER, {"tie_word_embeddings": True}], ids=NAMES)
def test_agrees_with_transformers(answer, changes):
    model, ids = make(answer, **changes), random_ids(3, 7)
    theirs, state = transformers_llama(**changes)
    model.load_state_dict(state)
    close(model(ids), theirs(ids).logits, "batch seq vocab", rtol=0)


@pytest.mark.parametrize("shape", [(3, 7), (2, 1)], ids=str)
def test_agrees_with_the_reference(answer, reference, device, shape):
    model, oracle, ids = make(answer).to(device), make(reference).to(device), random_ids(*shape)
    close(model(ids.to(device)), oracle(ids.to(device)), "batch seq vocab")


def test_pieces_give_the_logits_of_the_whole(answer, device):
    model, ids = make(answer, num_hidden_layers=3).to(device), random_ids(2, 8).to(device)
    caches = model.new_caches(8)
    with torch.no_grad():
        whole, pieces = model(ids), [model(piece, caches) for piece in ids.split([3, 1, 4], dim=1)]
    close(torch.cat(pieces, dim=1), whole, "batch seq vocab")


def test_new_caches_know_nothing_of_old_texts(answer):
    model, ids = make(answer), random_ids(2, 4)
    expected = model(ids)
    model(random_ids(2, 3, seed=1), model.new_caches(8))
    close(model(ids, model.new_caches(8)), expected, "batch seq vocab")


def test_new_caches_have_room_for_max_len(answer):
    model = make(answer)
    caches = model.new_caches(5)
    model(random_ids(2, 4), caches)
    with raises(ValueError):
        model(random_ids(2, 2), caches)


def test_padding_on_the_left_changes_nothing(answer):
    model, ids = make(answer), random_ids(2, 6)
    real = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]).bool()  # (batch, seq)
    padded = model(ids, mask=real[:, None, None, :])
    close(padded[:1, 2:], model(ids[:1, 2:]), "batch seq vocab")
    close(padded[1:], model(ids[1:]), "batch seq vocab")


@pytest.mark.parametrize("name", [name for name in SHAPES if "layers.1" not in name])
def test_gradient_of_each_parameter_agrees(answer, reference, name):
    oracle, model = (make(module, num_hidden_layers=1) for module in (reference, answer))
    expected = parameter_gradients(oracle, random_ids(3, 7))[name]
    actual = parameter_gradients(model, random_ids(3, 7))[name]
    close(actual, expected, AXES[expected.dim()])


def test_too_long_a_text_is_refused(answer):
    model = make(answer)
    with raises(ValueError):
        model(random_ids(2, 9))


def test_the_past_counts_towards_the_longest_text(answer):
    model = make(answer)
    caches = model.new_caches(20)
    model(random_ids(2, 3), caches)
    with raises(ValueError):
        model(random_ids(2, 6), caches)
    model(random_ids(2, 5), caches)
    assert caches[1].length == 8, "length of the cache of the second layer"


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-5), (torch.bfloat16, 0.1)], ids=str)
def test_keeps_the_dtype(answer, reference, dtype, atol):
    oracle = make(reference, num_hidden_layers=1).to(dtype).double()
    expected = oracle(random_ids(3, 7)).to(dtype)
    model = make(answer, num_hidden_layers=1).to(dtype)
    close(model(random_ids(3, 7)), expected, "batch seq vocab", atol=atol)


def test_stays_on_the_device_of_its_input(answer):
    model, ids = make(answer).to("meta"), random_ids(3, 7).to("meta")
    close(model(ids), torch.empty(3, 7, 11, device="meta"), "batch seq vocab")
