import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import normal, randomise

SIZES = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
SEQ2SEQ = {"d_model": 12, "d_kv": 5, "encoder_layers": 2, "decoder_layers": 2, "num_layers": 2}
SEQ2SEQ |= {"num_heads": 3, "encoder_attention_heads": 3, "decoder_attention_heads": 2}


# ------------------------------------------------------ models that anybody can see through


def mixed(weights):
    """Output i is the sum of all tokens j, times the numbers weights[i][j]."""
    return lambda x: torch.einsum("ij,bjd->bid", torch.tensor(weights).to(x), x)


def cumulative_mean(x):
    return x.cumsum(dim=1) / torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]


def mean(x):
    return x.mean(dim=1, keepdim=True).expand_as(x)


def mean_of_the_rest(x):
    """Causal from the other end."""
    return cumulative_mean(x.flip(1)).flip(1)


def token_before(x):
    return F.pad(x[:, :-1], (0, 0, 1, 0))


def with_a_prefix(x):
    """The first two tokens see each other, everything else is causal."""
    return torch.cat([mean(x[:, :2]), cumulative_mean(x)[:, 2:]], dim=1)


def position_wise(x):
    return F.gelu(2 * x + 1)


def batch_mean(x):
    return x + x.mean(dim=0, keepdim=True)


def normed(x):
    """A layer norm, and then something causal: no constant and no factor gets through."""
    return cumulative_mean(F.layer_norm(x, x.shape[-1:]))


def second_text_only(x):
    return torch.cat([x[:1], cumulative_mean(x[1:])])


def last_feature_only(x):
    return torch.cat([x[..., :-1], cumulative_mean(x)[..., -1:]], dim=-1)


def weak(x):
    return x + 1e-3 * cumulative_mean(x)


def with_rounding(x):
    """Position-wise on paper; in floating point some bits of the sum stay."""
    total = x.sum(dim=1, keepdim=True)
    return (x + total) - total


def last_of_the_source(x, source):
    return F.layer_norm(source[:, -1:, : x.shape[-1]], x.shape[-1:]) + x


def first_output_reads(x, source):
    return torch.cat([x[:, :1] + source[:, :1, : x.shape[-1]], x[:, 1:]], dim=1)


def ignores_the_source(x, source):
    return cumulative_mean(x) + 0 * source.sum()


KINDS = {
    cumulative_mean: "causal",
    token_before: "causal",
    mean: "bidirectional",
    with_a_prefix: "bidirectional",
    mean_of_the_rest: "anti-causal",
    position_wise: "none",
}


class Noisy(nn.Module):
    """Position-wise, with two kinds of dropout."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Dropout(0.5)
        self.outside = nn.Sequential(nn.Dropout(0.5), nn.Tanh())

    def forward(self, x):
        return self.outside(self.inside(x))


# --------------------------------------------------------------------- models of transformers


def make(name, **options):
    """A tiny model in which every parameter is random, in eval mode."""
    import transformers

    transformers.logging.set_verbosity_error()
    model = getattr(transformers, f"{name}Model")
    return randomise(model(model.config_class(vocab_size=300, **options))).eval()


def gpt2():
    model = make("GPT2", n_embd=12, n_layer=2, n_head=3)
    return lambda x: model(inputs_embeds=x)[0]


def bert():
    model = make("Bert", **SIZES)
    return lambda x: model(inputs_embeds=x)[0]


def encoder_of(name):
    encoder = make(name, **SEQ2SEQ).get_encoder()
    return lambda x: encoder(inputs_embeds=x)[0]


def decoder_of(name):
    model = make(name, **SEQ2SEQ)
    return lambda x, source: model(inputs_embeds=source, decoder_inputs_embeds=x)[0]


MODELS = {
    "GPT-2": (gpt2, "causal"),
    "BERT": (bert, "bidirectional"),
    "encoder of BART": (lambda: encoder_of("Bart"), "bidirectional"),
    "encoder of T5": (lambda: encoder_of("T5"), "bidirectional"),
}


# -------------------------------------------------------------------------------- influence


def test_influence_by_hand(answer, device):
    # Output 0 sees tokens 0 and 2, output 1 sees nothing, output 2 sees token 1.
    expected = [[True, False, True], [False, False, False], [False, True, False]]
    forward = mixed([[1.0, 0.0, -2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    actual = answer.influence(forward, normal(4, 3, 5).to(device))
    close(actual, torch.tensor(expected, device=device), "output token")


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=4))
@example([[True, False, False, False, False], [True, True, False, False, True]])
def test_influence_is_what_was_mixed(answer, links):
    forward = mixed([[float(link) for link in row] for row in links])
    close(answer.influence(forward, normal(2, 5, 3)), torch.tensor(links), "output token")


@pytest.mark.parametrize("which", [0, 1])
def test_only_the_chosen_input_is_changed(answer, which):
    x, source = normal(2, 3, 6), normal(2, 4, 6)
    links = [torch.eye(3) == 1, torch.tensor([[False, False, False, True]] * 3)]
    actual = answer.influence(last_of_the_source, x, source, which=which)
    close(actual, links[which], "output token")


@pytest.mark.parametrize("filled", [normal, torch.zeros, torch.ones])
@pytest.mark.parametrize("forward", [normed, second_text_only, last_feature_only, weak])
def test_finds_a_hidden_dependence(answer, forward, filled):
    expected = torch.ones(5, 5).tril() == 1
    close(answer.influence(forward, filled(2, 5, 3)), expected, "output token")


@pytest.mark.parametrize("forward", [batch_mean, with_rounding])
def test_neighbours_and_rounding_are_no_dependence(answer, forward):
    expected = torch.eye(5) == 1
    close(answer.influence(forward, normal(2, 5, 3)), expected, "output token")


def test_inputs_are_not_modified(answer):
    x, source = normal(2, 3, 6), normal(2, 4, 6, seed=1)
    answer.influence(last_of_the_source, x, source, which=1)
    close(x, normal(2, 3, 6), "batch seq d_model")
    close(source, normal(2, 4, 6, seed=1), "batch seq d_model")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_noise_has_the_dtype_of_the_input(answer, dtype):
    weight, x = normal(3, 3, dtype=dtype), normal(2, 5, 3, dtype=dtype)
    expected = torch.ones(5, 5).tril() == 1
    close(answer.influence(lambda x: (x @ weight).cumsum(1), x), expected, "output token")


def test_random_outputs_are_refused(answer):
    torch.manual_seed(0)
    with raises(ValueError):
        answer.influence(lambda x: F.dropout(x, 0.1), normal(2, 5, 3))


def test_module_runs_without_dropout(answer):
    expected = torch.eye(5) == 1
    close(answer.influence(Noisy().train(), normal(2, 5, 3)), expected, "output token")


@pytest.mark.parametrize("training", [True, False])
def test_every_module_keeps_its_mode(answer, training):
    model = Noisy().train(training)
    model.outside.train(not training)
    before = {name: module.training for name, module in model.named_modules()}
    answer.influence(model, normal(2, 5, 3))
    after = {name: module.training for name, module in model.named_modules()}
    others = [name or "the model" for name in after if after[name] != before[name]]
    assert others == [], "modules in another mode (`training`) than before"


# ------------------------------------------------------------------------------------ kinds


@pytest.mark.parametrize("forward", KINDS)
def test_kind_by_hand(answer, forward):
    assert answer.attention_kind(forward, normal(2, 5, 3)) == KINDS[forward]


def test_one_token_looks_at_no_other(answer):
    assert answer.attention_kind(mean, normal(2, 1, 3)) == "none"


def test_kind_needs_one_output_per_token(answer):
    with raises(ValueError):
        answer.attention_kind(lambda x: x[:, 1:], normal(2, 5, 3))


@pytest.mark.parametrize(
    ("forward", "expected"),
    [(last_of_the_source, True), (first_output_reads, True), (ignores_the_source, False)],
)
def test_cross_attention_by_hand(answer, forward, expected):
    x, source = normal(2, 3, 4), normal(2, 5, 6)
    assert answer.has_cross_attention(forward, x, source) == expected


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", MODELS)
def test_kinds_of_real_models(answer, name):
    make_forward, expected = MODELS[name]
    assert answer.attention_kind(make_forward(), normal(2, 5, 12)) == expected


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["Bart", "T5"])
def test_decoders_are_causal_and_read_the_source(answer, name):
    forward, x, source = decoder_of(name), normal(2, 4, 12), normal(2, 6, 12, seed=1)
    kind = answer.attention_kind(forward, x, source)
    assert (kind, answer.has_cross_attention(forward, x, source)) == ("causal", True)
