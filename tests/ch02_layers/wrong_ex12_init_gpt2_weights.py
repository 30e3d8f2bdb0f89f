import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex12_init_gpt2_weights import init_gpt2_weights_


def residual_weights(model):
    return [p for name, p in model.named_parameters() if f".{name}".endswith(".c_proj.weight")]


@wrong(caught_by=["residual_projections_start_smaller", "a_lone_mlp_counts_too"])
def init_gpt2_weights___forgets_the_residual_scale(model, n_layer, std=0.02):
    """The weights of `c_proj` were drawn like all others: they start smaller by sqrt(2 n_layer)."""
    init_gpt2_weights_(model, n_layer, std)
    for parameter in residual_weights(model):
        nn.init.normal_(parameter, std=std)


@wrong(caught_by=["residual_projections_start_smaller", "a_lone_mlp_counts_too"])
def init_gpt2_weights___counts_one_residual_per_block(model, n_layer, std=0.02):
    """The factor is sqrt(2 n_layer), not sqrt(n_layer): a block has two residual layers."""
    init_gpt2_weights_(model, n_layer, std)
    for parameter in residual_weights(model):
        nn.init.normal_(parameter, std=std / n_layer**0.5)


@wrong(
    caught_by=[
        "matrices_and_embeddings_have_the_given_std",
        "residual_projections_start_smaller",
        "a_lone_mlp_counts_too",
        "weights_are_normally_distributed",
    ]
)
def init_gpt2_weights___ignores_std(model, n_layer, std=0.02):
    """The standard deviation was always 0.02, whatever `std` says."""
    init_gpt2_weights_(model, n_layer)


@wrong(
    caught_by=[
        "matrices_and_embeddings_have_the_given_std",
        "residual_projections_start_smaller",
        "a_lone_mlp_counts_too",
    ]
)
def init_gpt2_weights___takes_std_for_the_variance(model, n_layer, std=0.02):
    """`std` is the standard deviation, not the variance: do not take its square root."""
    init_gpt2_weights_(model, n_layer, std**0.5)


@wrong(caught_by=["weights_are_normally_distributed"])
def init_gpt2_weights___draws_uniformly(model, n_layer, std=0.02):
    """The weights are uniformly distributed. GPT-2 draws them from a normal distribution."""
    with torch.no_grad():
        init_gpt2_weights_(model, n_layer, std)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                bound = parameter.std() * 3**0.5
                parameter.uniform_(-1, 1).mul_(bound)


@wrong(caught_by=["a_lone_mlp_counts_too"])
def init_gpt2_weights___wants_a_dot_before_c_proj(model, n_layer, std=0.02):
    """A `c_proj` at the top of the model was missed: `c_proj.weight` has no dot in front of it."""
    init_gpt2_weights_(model, n_layer, std)
    if hasattr(model, "c_proj"):
        nn.init.normal_(model.c_proj.weight, std=std)


@wrong(
    caught_by=[
        "matrices_and_embeddings_have_the_given_std",
        "residual_projections_start_smaller",
        "biases_are_zero",
    ]
)
def init_gpt2_weights___knows_only_torchs_layers(model, n_layer, std=0.02):
    """Layers were told by their class: layers of your own and bare parameters were missed."""
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    init_gpt2_weights_(model, n_layer, std)
    known = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.RMSNorm)
    for name, parameter in model.named_parameters():
        if not isinstance(model.get_submodule(name.rpartition(".")[0]), known):
            parameter.data.copy_(before[name])


@wrong(caught_by=["matrices_and_embeddings_have_the_given_std"])
def init_gpt2_weights___skips_embeddings(model, n_layer, std=0.02):
    """The embeddings were left as they were. They are matrices like the others."""
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    init_gpt2_weights_(model, n_layer, std)
    for name, parameter in model.named_parameters():
        if isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Embedding):
            parameter.data.copy_(before[name])


@wrong(caught_by=["norms_scale_by_one"])
def init_gpt2_weights___draws_norms_too(model, n_layer, std=0.02):
    """The scale of a norm was drawn at random. It has one axis and starts at 1."""
    init_gpt2_weights_(model, n_layer, std)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and name.endswith("weight"):
            nn.init.normal_(parameter, std=std)


@wrong(caught_by=["biases_are_zero"])
def init_gpt2_weights___leaves_biases(model, n_layer, std=0.02):
    """The biases kept their old values. They start at 0, those of the norms too."""
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    init_gpt2_weights_(model, n_layer, std)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.copy_(before[name])


@wrong(caught_by=["other_parameters_are_left_alone"])
def init_gpt2_weights___fills_what_it_does_not_know(model, n_layer, std=0.02):
    """A parameter that is no weight and no bias was overwritten. It stays as it is."""
    init_gpt2_weights_(model, n_layer, std)
    for parameter in model.parameters():
        if parameter.dim() == 0:
            nn.init.zeros_(parameter)


@wrong(caught_by=["tied_weights_stay_tied"])
def init_gpt2_weights___makes_new_parameters(model, n_layer, std=0.02):
    """New parameters replaced the old: tied weights are tied no more. Change them in place."""
    init_gpt2_weights_(model, n_layer, std)
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            new = torch.randn_like(old) * old.detach().std() if old.dim() > 1 else old.detach()
            setattr(module, name, nn.Parameter(new))


@wrong(caught_by=["parameters_keep_device_and_dtype"])
def init_gpt2_weights___draws_on_the_cpu(model, n_layer, std=0.02):
    """`p.data = ...` puts a new tensor there, here a float32 one on the CPU. Change it in place."""
    init_gpt2_weights_(model, n_layer, std)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            scale = std / (2 * n_layer) ** 0.5 if "c_proj.weight" in name else std
            parameter.data = torch.randn(parameter.shape) * scale


@wrong(caught_by=["parameters_can_still_learn"])
def init_gpt2_weights___freezes_the_model(model, n_layer, std=0.02):
    """The parameters do not want gradients any more: the model cannot learn."""
    init_gpt2_weights_(model.requires_grad_(False), n_layer, std)


@wrong(caught_by=["a_model_without_layers_is_refused"])
def init_gpt2_weights___takes_any_n_layer(model, n_layer, std=0.02):
    """An `n_layer` below 1 was accepted instead of raising ValueError."""
    init_gpt2_weights_(model, max(n_layer, 1), std)
