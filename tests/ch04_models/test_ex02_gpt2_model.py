import pytest
import torch

from kata.check import close, raises
from kata.tensors import Watch, generator, parameter_gradients, randomise

SIZES = {"vocab_size": 11, "n_positions": 7, "n_embd": 12, "n_layer": 2, "n_head": 3}
BLOCK = {
    "ln_1.weight": (12,),
    "ln_1.bias": (12,),
    "attn.c_attn.weight": (36, 12),
    "attn.c_attn.bias": (36,),
    "attn.c_proj.weight": (12, 12),
    "attn.c_proj.bias": (12,),
    "ln_2.weight": (12,),
    "ln_2.bias": (12,),
    "mlp.c_fc.weight": (48, 12),
    "mlp.c_fc.bias": (48,),
    "mlp.c_proj.weight": (12, 48),
    "mlp.c_proj.bias": (12,),
}
TABLES = {"wte.weight": (11, 12), "wpe.weight": (7, 12)}
SHAPES = TABLES | {"ln_f.weight": (12,), "ln_f.bias": (12,)}
SHAPES |= {f"h.{layer}.{name}": shape for layer in range(2) for name, shape in BLOCK.items()}
START = [
    ("wte.weight", 0.02),
    ("wpe.weight", 0.02),
    ("h.0.mlp.c_fc.weight", 0.02),
    ("h.1.mlp.c_proj.weight", 0.01),  # 0.02 / sqrt(2 * n_layer)
    ("h.0.attn.c_attn.bias", 0.0),
]
AXES = {1: "out", 2: "out in"}  # of a bias or a norm, of a weight or a table (token, d_model)
SOME = ["wte.weight", "wpe.weight", "h.0.attn.c_attn.weight", "h.1.ln_2.bias", "ln_f.weight"]


def tokens(*shape):
    return torch.randint(11, shape, generator=generator())


def new_model(module, **options):
    return module.GPT2Model(module.GPT2Config(**SIZES | options))


def same_as(answer, oracle, **options):
    """The learner's model with the parameters of another, whose head is tied."""
    model = new_model(answer, **options)
    # A head that is a product with `wte.weight` has no entry; another name is for the first test.
    model.load_state_dict(oracle.state_dict(), strict=False)
    return model


def transposed(state):
    """A checkpoint of transformers in the (out, in) layout and without its prefix."""
    conv1d = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    state = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
    return {name: t.t() if name.endswith(conv1d) else t for name, t in state.items()}


def test_has_the_parameters_of_gpt2(answer):
    state = new_model(answer, dropout=0.5).state_dict()
    state.pop("lm_head.weight", None)
    assert {name: tuple(parameter.shape) for name, parameter in state.items()} == SHAPES


def test_gpt2_small_has_124_million_parameters(answer):
    with torch.device("meta"):
        model = answer.GPT2Model(answer.GPT2Config())
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == 124_439_808, "the number of parameters"


def test_three_words_by_hand(answer):
    sizes = {"vocab_size": 3, "n_positions": 2, "n_embd": 2, "n_layer": 1, "n_head": 1}
    model = answer.GPT2Model(answer.GPT2Config(**sizes, layer_norm_epsilon=1e-9))
    zeros = {name: torch.zeros_like(p) for name, p in model.state_dict().items()}  # a silent block
    wte, wpe = torch.tensor([[4.0, 0.0], [0.0, 1.0], [5.0, 5.0]]), torch.tensor([[0.0, 1], [3, 0]])
    ln_f = {"ln_f.weight": torch.tensor([2.0, 1.0]), "ln_f.bias": torch.tensor([0.0, 3.0])}
    tables = {"wte.weight": wte, "lm_head.weight": wte, "wpe.weight": wpe}
    model.load_state_dict(zeros | tables | ln_f, strict=False)
    # Sums: (4, 1), (3, 1); (5, 6), (8, 5). Normalised: (2, 2), (2, 2); (-2, 4), (2, 2).
    expected = torch.tensor([[[8.0, 2, 20], [8, 2, 20]], [[-8, 4, 10], [8, 2, 20]]])
    close(model(torch.tensor([[0, 1], [2, 2]])), expected, "batch seq vocab")


def test_later_tokens_do_not_change_earlier_logits(answer):
    model, ids = randomise(new_model(answer)).eval(), tokens(2, 5)
    expected = model(ids)[:, :3]
    changed = torch.cat([ids[:, :3], (ids[:, 3:] + 1) % 11], 1)
    close(model(changed)[:, :3], expected, "batch seq vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seq", [1, 5, 7])
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_agrees_with_gpt2(answer, seq, eps):
    model = new_model(answer, layer_norm_epsilon=eps).double().eval()
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(**SIZES, layer_norm_epsilon=eps, bos_token_id=0, eos_token_id=0)
    gpt2 = randomise(GPT2LMHeadModel(config).double()).eval()
    model.load_state_dict(transposed(gpt2.state_dict()), strict=False)
    close(model(tokens(3, seq)), gpt2(tokens(3, seq)).logits, "batch seq vocab", rtol=0)


@pytest.mark.parametrize("shape", [(2, 5), (3, 1), (0, 4)], ids=str)
def test_agrees_with_the_reference(answer, reference, device, shape):
    oracle, ids = randomise(new_model(reference)).to(device), tokens(*shape).to(device)
    model = same_as(answer, oracle).to(device)
    close(model(ids), oracle(ids), "batch seq vocab")


@pytest.mark.parametrize("name", SOME)
def test_gradient_of_each_parameter_agrees(answer, reference, name):
    oracle, ids = randomise(new_model(reference)), tokens(2, 5)
    expected, model = parameter_gradients(oracle, ids)[name], same_as(answer, oracle)
    parameter_gradients(model, ids)
    actual = model.get_parameter(name).grad  # a tied weight has two names
    close(actual, expected, AXES[expected.dim()])


@pytest.mark.parametrize("seq", [8, 20])
def test_more_tokens_than_positions_are_refused(answer, seq):
    model = new_model(answer)
    with raises(ValueError):
        model(tokens(2, seq))


def test_dropping_everything_leaves_the_last_bias(answer):
    model = randomise(new_model(answer, dropout=1.0)).train()
    state = model.state_dict()
    expected = (state["wte.weight"] @ state["ln_f.bias"]).expand(2, 5, 11)
    close(model(tokens(2, 5)), expected, "batch seq vocab")


def test_evaluation_mode_has_no_dropout(answer, reference):
    oracle = randomise(new_model(reference))
    model = same_as(answer, oracle, dropout=0.5).eval()
    torch.manual_seed(0)
    close(model(tokens(2, 5)), oracle(tokens(2, 5)), "batch seq vocab")


@pytest.mark.parametrize(("name", "std"), START)
def test_starts_with_the_weights_of_gpt2(answer, name, std):
    torch.manual_seed(0)
    model = new_model(answer, vocab_size=200, n_positions=100, n_embd=48)
    close(model.state_dict()[name].std(), torch.tensor(std), rtol=0.1, atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.bfloat16, 5e-2)])
def test_keeps_the_dtype(answer, reference, dtype, tolerance):
    oracle = randomise(new_model(reference)).to(dtype)
    model = same_as(answer, oracle).to(dtype)
    expected = oracle.double()(tokens(2, 5)).to(dtype)
    close(model(tokens(2, 5)), expected, "batch seq vocab", rtol=tolerance, atol=tolerance)


def test_stays_on_the_device_of_the_ids(answer):
    model, ids = new_model(answer, dropout=0.5).to("meta"), tokens(2, 5).to("meta")
    close(model.train()(ids), torch.empty(2, 5, 11, device="meta"), "batch seq vocab")


def test_positions_are_made_where_the_ids_are(answer):
    model, ids = new_model(answer).to("meta"), tokens(2, 5).to("meta")
    with Watch() as watch:
        model(ids)
    assert watch.devices == {"meta"}, "where the tensors are that were made"
