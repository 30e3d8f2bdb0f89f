from torch import nn

from kata.wrong import wrong


def groups(decay, no_decay, weight_decay):
    """The two groups."""
    return [
        {"params": list(decay), "weight_decay": weight_decay},
        {"params": list(no_decay), "weight_decay": 0.0},
    ]


def split(named, weight_decay, decays):
    """The groups of those for which `decays(name, parameter)` is true, and of the others."""
    named = [(name, p) for name, p in named if p.requires_grad]
    return groups(
        [p for name, p in named if decays(name, p)],
        [p for name, p in named if not decays(name, p)],
        weight_decay,
    )


def is_matrix(name, parameter):
    """The right rule."""
    return parameter.dim() >= 2


@wrong(
    caught_by=[
        "matrices_decay_and_vectors_do_not",
        "number_of_axes_decides",
        "tied_parameters_are_there_once",
        "frozen_parameters_are_left_out",
        "buffers_are_left_out",
        "every_parameter_is_there_once",
        "an_optimizer_decays_the_model",
    ]
)
def param_groups__lets_everything_decay(model, weight_decay):
    """All parameters decay, biases and norms too. Only those with two or more axes do."""
    return split(model.named_parameters(), weight_decay, lambda name, p: True)


@wrong(
    caught_by=[
        "matrices_decay_and_vectors_do_not",
        "number_of_axes_decides",
        "tied_parameters_are_there_once",
        "buffers_are_left_out",
        "every_parameter_is_there_once",
    ]
)
def param_groups__spares_biases_only(model, weight_decay):
    """Everything but the biases decays. The scale of a norm is called `weight` and should not
    decay: go by the number of axes, not by the name."""
    return split(model.named_parameters(), weight_decay, lambda name, p: "bias" not in name)


@wrong(
    caught_by=[
        "matrices_decay_and_vectors_do_not",
        "number_of_axes_decides",
        "tied_parameters_are_there_once",
        "buffers_are_left_out",
        "every_parameter_is_there_once",
    ]
)
def param_groups__spares_what_is_called_bias(model, weight_decay):
    """Everything decays that is not called `bias`: the scale of a norm, and a bias of another name
    such as `in_proj_bias`. Go by the number of axes, not by the name."""
    named = model.named_parameters()
    return split(named, weight_decay, lambda name, p: name.rpartition(".")[2] != "bias")


@wrong(
    caught_by=[
        "matrices_decay_and_vectors_do_not",
        "number_of_axes_decides",
        "tied_parameters_are_there_once",
    ]
)
def param_groups__knows_the_norms_of_torch_only(model, weight_decay):
    """Norms were recognised by their class, so that those of other classes decay (and your own of
    chapter 2 are such). Go by the number of axes."""
    norms = (nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d)
    spared = {p for m in model.modules() if isinstance(m, norms) for p in m.parameters()}
    named = model.named_parameters()
    return split(named, weight_decay, lambda name, p: "bias" not in name and p not in spared)


@wrong(caught_by=["matrices_decay_and_vectors_do_not", "tied_parameters_are_there_once"])
def param_groups__spares_the_embeddings(model, weight_decay):
    """Embedding tables do not decay here. That is done, too, but the rule of this exercise is the
    number of axes alone."""
    spared = {p for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    named = model.named_parameters()
    return split(named, weight_decay, lambda name, p: is_matrix(name, p) and p not in spared)


@wrong(caught_by=["number_of_axes_decides"])
def param_groups__wants_exactly_two_axes(model, weight_decay):
    """Parameters with three axes or more do not decay. Experts are stacked to three, for example:
    two axes *or more*."""
    return split(model.named_parameters(), weight_decay, lambda name, p: p.dim() == 2)


@wrong(
    caught_by=[
        "matrices_decay_and_vectors_do_not",
        "number_of_axes_decides",
        "tied_parameters_are_there_once",
        "frozen_parameters_are_left_out",
        "buffers_are_left_out",
        "every_parameter_is_there_once",
        "second_group_does_not_decay",
    ]
)
def param_groups__swaps_the_groups(model, weight_decay):
    """The group that does not decay is the first one. The one that decays comes first."""
    return split(model.named_parameters(), weight_decay, is_matrix)[::-1]


@wrong(caught_by=["tied_parameters_are_there_once"])
def param_groups__lists_tied_parameters_twice(model, weight_decay):
    """A tied parameter is in its group once for each place where it is used, and optimizers refuse
    that. `model.parameters()` names each once."""
    return split(model.named_parameters(remove_duplicate=False), weight_decay, is_matrix)


@wrong(caught_by=["frozen_parameters_are_left_out"])
def param_groups__takes_frozen_parameters(model, weight_decay):
    """Frozen parameters are in the groups. They have no gradient and are not to be changed: leave
    out those whose `requires_grad` is False."""
    parameters = list(model.parameters())
    matrices = [p for p in parameters if p.dim() >= 2]
    return groups(matrices, [p for p in parameters if p.dim() < 2], weight_decay)


@wrong(
    caught_by=[
        "tied_parameters_are_there_once",
        "buffers_are_left_out",
    ]
)
def param_groups__takes_the_state_dict(model, weight_decay):
    """The state dict was gone through. It holds buffers, which nobody trains, and tied parameters
    several times: `model.parameters()` has what is wanted."""
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    frozen = {id(p) for p in model.parameters()} - trained
    state = [p for p in model.state_dict(keep_vars=True).values() if id(p) not in frozen]
    matrices = [p for p in state if p.dim() >= 2]
    return groups(matrices, [p for p in state if p.dim() < 2], weight_decay)


@wrong(caught_by=["second_group_does_not_decay", "an_optimizer_decays_the_model"])
def param_groups__leaves_the_second_decay_open(model, weight_decay):
    """The second group has no `weight_decay`, so that it gets that of the optimizer, which is
    rarely 0. Write 0.0 into it."""
    decay, no_decay = split(model.named_parameters(), weight_decay, is_matrix)
    return [decay, {"params": no_decay["params"]}]


@wrong(caught_by=["second_group_does_not_decay", "an_optimizer_decays_the_model"])
def param_groups__fixes_the_decay(model, weight_decay):
    """The first group decays by 0.1 whatever the argument `weight_decay` is."""
    return split(model.named_parameters(), 0.1, is_matrix)


@wrong(
    caught_by=[
        "matrices_decay_and_vectors_do_not",
        "buffers_are_left_out",
        "every_parameter_is_there_once",
    ]
)
def param_groups__sorts_by_name(model, weight_decay):
    """The parameters were sorted by their names. Optimizers number them: keep the order of
    `model.parameters()`."""
    return split(sorted(model.named_parameters()), weight_decay, is_matrix)


@wrong(caught_by=["an_optimizer_decays_the_model"])
def param_groups__copies_the_parameters(model, weight_decay):
    """The groups hold copies (`.detach().clone()`, `deepcopy`): an optimizer would train them, and
    the model would stay as it is."""
    decay, no_decay = split(model.named_parameters(), weight_decay, is_matrix)
    decay["params"] = [p.detach().clone() for p in decay["params"]]
    no_decay["params"] = [p.detach().clone() for p in no_decay["params"]]
    return [decay, no_decay]
