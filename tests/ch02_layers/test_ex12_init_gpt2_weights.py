import pytest
import torch
from torch import nn

from kata.check import close, raises
from kata.tensors import normal, randomise

# The function changes a model that the test made, and a changed model does not travel.
MATRICES = ["wte.weight", "wpe", "h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"]


class OwnLinear(nn.Module):
    """A layer that is no nn.Linear, as the learner's own."""

    def __init__(self, d_in, d_out):
        super().__init__()
        self.weight = nn.Parameter(normal(d_out, d_in))
        self.bias = nn.Parameter(normal(d_out))


def tiny_model():
    """Parts of a GPT-2 whose every parameter is random, norms too."""
    block = nn.ModuleDict(
        {
            "ln_1": nn.LayerNorm(64),
            "attn": nn.ModuleDict({"c_attn": nn.Linear(64, 192), "c_proj": nn.Linear(64, 80)}),
            "mlp": nn.ModuleDict({"c_fc": OwnLinear(64, 256), "c_proj": OwnLinear(256, 64)}),
            "norm_2": nn.RMSNorm(64),
        }
    )
    model = nn.ModuleDict({"wte": nn.Embedding(100, 64), "h": nn.ModuleList([block])})
    model.wpe = nn.Parameter(normal(90, 64))
    model.temperature = nn.Parameter(torch.tensor(3.0))
    return randomise(model)


def initialised(answer, model, **options):
    """The parameters by name, after the learner's function ran with a fixed seed."""
    torch.manual_seed(0)
    answer.init_gpt2_weights_(model, **options)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("options", [{}, {"std": 0.5}])
def test_matrices_and_embeddings_have_the_given_std(answer, name, options):
    weight = initialised(answer, tiny_model(), n_layer=3, **options)[name]
    std = options.get("std", 0.02)
    close(weight.std(), torch.tensor(std), rtol=0.05)  # five standard errors or more
    close(weight.mean(), torch.tensor(0.0), atol=0.06 * std)


@pytest.mark.parametrize("name", ["h.0.attn.c_proj.weight", "h.0.mlp.c_proj.weight"])
@pytest.mark.parametrize(("n_layer", "std"), [(3, 0.5), (1, 0.02), (48, 0.02)])
def test_residual_projections_start_smaller(answer, name, n_layer, std):
    weight = initialised(answer, tiny_model(), n_layer=n_layer, std=std)[name]
    close(weight.std(), torch.tensor(std * (2 * n_layer) ** -0.5), rtol=0.05, atol=0)
    close(weight.mean(), torch.tensor(0.0), atol=0.06 * std * (2 * n_layer) ** -0.5)


def test_a_lone_mlp_counts_too(answer, device):
    mlp = nn.ModuleDict({"c_fc": nn.Linear(64, 256), "c_proj": nn.Linear(256, 64)}).to(device)
    stds = [p.std() for p in initialised(answer, mlp, n_layer=8, std=0.4).values() if p.dim() == 2]
    close(torch.stack(stds), torch.tensor([0.4, 0.1], device=device), "layer", rtol=0.05)


@pytest.mark.parametrize("layer", ["ln_1", "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"])
def test_biases_are_zero(answer, layer):
    bias = initialised(answer, tiny_model(), n_layer=3)[f"h.0.{layer}.bias"]
    close(bias, torch.zeros(bias.shape), "unit")


@pytest.mark.parametrize("norm", ["ln_1", "norm_2"])
def test_norms_scale_by_one(answer, norm):
    weight = initialised(answer, tiny_model(), n_layer=3)[f"h.0.{norm}.weight"]
    close(weight, torch.ones(64), "unit")


def test_other_parameters_are_left_alone(answer):
    expected = tiny_model().temperature.detach()
    close(initialised(answer, tiny_model(), n_layer=3)["temperature"], expected)


def test_weights_are_normally_distributed(answer):
    weight = initialised(answer, nn.Embedding(1000, 50), n_layer=3, std=1.0)["weight"]
    within = [(weight.abs() < bound).float().mean() for bound in (0.5, 1.0, 2.0)]
    close(torch.stack(within), torch.tensor([0.3829, 0.6827, 0.9545]), "bound", atol=0.01)


def test_tied_weights_stay_tied(answer):
    model = nn.ModuleDict({"wte": nn.Embedding(30, 20), "lm_head": nn.Linear(20, 30, bias=False)})
    model.lm_head.weight = model.wte.weight
    initialised(answer, model, n_layer=3)
    close(model.lm_head.weight, model.wte.weight, "vocab d_model")


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_parameters_keep_device_and_dtype(answer, place):
    model = nn.Linear(3, 5, dtype=torch.bfloat16, device=place)
    initialised(answer, model, n_layer=3)
    close(model.weight * 0, torch.zeros(5, 3, dtype=torch.bfloat16, device=place), "out in")


def test_parameters_can_still_learn(answer):
    model = nn.ModuleDict({"wte": nn.Embedding(3, 4), "c_proj": nn.Linear(4, 6)})
    initialised(answer, model, n_layer=3)
    assert [p.requires_grad for p in model.parameters()] == [True, True, True]


@pytest.mark.parametrize("n_layer", [0, -2])
def test_a_model_without_layers_is_refused(answer, n_layer):
    with raises(ValueError, match="n_layer"):
        answer.init_gpt2_weights_(tiny_model(), n_layer=n_layer)
