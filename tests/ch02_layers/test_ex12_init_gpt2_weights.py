import math

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
    ratio = weight.std().item() / std
    assert round(ratio, 1) == 1.0, f"standard deviation of {name} / std"  # five standard errors
    close(weight.mean(), torch.tensor(0.0), atol=0.06 * std)


@pytest.mark.parametrize("name", ["h.0.attn.c_proj.weight", "h.0.mlp.c_proj.weight"])
@pytest.mark.parametrize(("n_layer", "std"), [(3, 0.5), (1, 0.02), (48, 0.02)])
def test_residual_projections_start_smaller(answer, name, n_layer, std):
    weight = initialised(answer, tiny_model(), n_layer=n_layer, std=std)[name]
    ratio = weight.std().item() / std * math.sqrt(2 * n_layer)
    assert round(ratio, 1) == 1.0, f"standard deviation of {name} / std * sqrt(2 n_layer)"
    close(weight.mean(), torch.tensor(0.0), atol=0.06 * std * (2 * n_layer) ** -0.5)


def test_a_lone_mlp_counts_too(answer, device):
    mlp = nn.ModuleDict({"c_fc": nn.Linear(64, 256), "c_proj": nn.Linear(256, 64)}).to(device)
    start = initialised(answer, mlp, n_layer=2, std=0.4)
    found = {n: round(p.std().item() / 0.4, 1) for n, p in start.items() if p.dim() == 2}
    assert found == {"c_fc.weight": 1.0, "c_proj.weight": 0.5}, "standard deviation / std"


@pytest.mark.parametrize("layer", ["ln_1", "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"])
def test_biases_are_zero(answer, layer):
    bias = initialised(answer, tiny_model(), n_layer=3)[f"h.0.{layer}.bias"]
    assert {layer: bias.abs().max().item()} == {layer: 0.0}, "the largest bias"


@pytest.mark.parametrize("norm", ["ln_1", "norm_2"])
def test_norms_scale_by_one(answer, norm):
    weight = initialised(answer, tiny_model(), n_layer=3)[f"h.0.{norm}.weight"]
    found = {norm: [weight.min().item(), weight.max().item()]}
    assert found == {norm: [1.0, 1.0]}, "the smallest and the largest weight"


def test_other_parameters_are_left_alone(answer):
    expected = tiny_model().temperature.item()
    found = initialised(answer, tiny_model(), n_layer=3)["temperature"].item()
    assert {"temperature": found} == {"temperature": expected}


def test_weights_are_normally_distributed(answer):
    weight = initialised(answer, nn.Embedding(1000, 50), n_layer=3, std=1.0)["weight"]
    parts = {b: (weight.abs() < b).float().mean().item() for b in (0.5244, 1.0364, 2.0537)}
    found = {bound: round(50 * part) / 50 for bound, part in parts.items()}  # within 0.01
    assert found == {0.5244: 0.4, 1.0364: 0.7, 2.0537: 0.96}, "part of the weights below a bound"


def test_tied_weights_stay_tied(answer):
    model = nn.ModuleDict({"wte": nn.Embedding(30, 20), "lm_head": nn.Linear(20, 30, bias=False)})
    model.lm_head.weight = model.wte.weight
    initialised(answer, model, n_layer=3)
    found = {"lm_head.weight is wte.weight": model.lm_head.weight is model.wte.weight}
    assert found == {"lm_head.weight is wte.weight": True}


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_parameters_keep_device_and_dtype(answer, place):
    model = nn.Linear(3, 5, dtype=torch.bfloat16, device=place)
    initialised(answer, model, n_layer=3)
    close(model.weight * 0, torch.zeros(5, 3, dtype=torch.bfloat16, device=place), "out in")


def test_parameters_can_still_learn(answer):
    model = nn.ModuleDict({"wte": nn.Embedding(3, 4), "c_proj": nn.Linear(4, 6)})
    initialised(answer, model, n_layer=3)
    found = {name: p.requires_grad for name, p in model.named_parameters()}
    assert found == dict.fromkeys(found, True), "requires_grad"


@pytest.mark.parametrize("n_layer", [0, -2])
def test_a_model_without_layers_is_refused(answer, n_layer):
    with raises(ValueError, match="n_layer"):
        answer.init_gpt2_weights_(tiny_model(), n_layer=n_layer)
