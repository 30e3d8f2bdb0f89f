from typing import ClassVar

import torch

from kata.wrong import wrong
from solutions.ch07_training.ex15_muon import COEFFICIENTS, Muon, newton_schulz


def iterate(X, steps, a, b, c):
    """The steps alone, without the norm and the transpose."""
    for _ in range(steps):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X


@wrong(
    caught_by=[
        "singular_values_by_hand",
        "singular_values_come_near_to_1",
        "agrees_with_the_polynomial_of_singular_values",
        "keeps_the_dtype",
        "works_with_the_smaller_of_both_products",
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "a_model_learns_faster_than_with_adamw_alone",
    ]
)
@torch.no_grad()
def newton_schulz__forgets_the_norm(G, steps=5):
    """`G` was not divided by its norm. From singular values above 1 or so the steps lead away, to
    infinity."""
    return iterate(G.T, steps, *COEFFICIENTS).T


@wrong(
    caught_by=[
        "singular_values_by_hand",
        "singular_values_come_near_to_1",
        "agrees_with_the_polynomial_of_singular_values",
        "keeps_the_dtype",
        "works_with_the_smaller_of_both_products",
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "a_model_learns_faster_than_with_adamw_alone",
    ]
)
@torch.no_grad()
def newton_schulz__divides_by_the_largest_entry(G, steps=5):
    """`G` was divided by its largest entry, and its singular values may still be far above 1. Those
    are limited by the norm of all entries."""
    return iterate((G / (G.abs().max() + 1e-7)).T, steps, *COEFFICIENTS).T


@wrong(caught_by=["a_matrix_of_zeros_stays_one"])
@torch.no_grad()
def newton_schulz__divides_zeros_by_zero(G, steps=5):
    """The norm of a matrix of zeros is 0, and 0 / 0 is NaN. Add 1e-7 to the norm."""
    return newton_schulz(G / G.norm(), steps)


@wrong(
    caught_by=[
        "singular_values_by_hand",
        "singular_values_come_near_to_1",
        "agrees_with_the_polynomial_of_singular_values",
        "keeps_the_dtype",
        "works_with_the_smaller_of_both_products",
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "a_model_learns_faster_than_with_adamw_alone",
    ]
)
@torch.no_grad()
def newton_schulz__drops_the_fifth_power(G, steps=5):
    """The last term, c (X X^T)^2 X, is missing, or has only one X X^T."""
    a, b, _ = COEFFICIENTS
    return iterate((G / (G.norm() + 1e-7)).T, steps, a, b, 0.0).T


@wrong(
    caught_by=[
        "singular_values_by_hand",
        "singular_values_come_near_to_1",
        "agrees_with_the_polynomial_of_singular_values",
        "keeps_the_dtype",
        "works_with_the_smaller_of_both_products",
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
@torch.no_grad()
def newton_schulz__takes_other_coefficients(G, steps=5):
    """The coefficients are those of the classical iteration, 1.5 and -0.5: after five steps small
    singular values are still small. Use COEFFICIENTS."""
    return iterate((G / (G.norm() + 1e-7)).T, steps, 1.5, -0.5, 0.0).T


@wrong(
    caught_by=[
        "singular_values_come_near_to_1",
        "agrees_with_the_polynomial_of_singular_values",
        "keeps_the_dtype",
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "a_model_learns_faster_than_with_adamw_alone",
    ]
)
@torch.no_grad()
def newton_schulz__squares_the_entries(G, steps=5):
    """`A * A` and `A**2` square each entry. The square of a matrix is `A @ A`."""
    a, b, c = COEFFICIENTS
    X = G / (G.norm() + 1e-7)
    for _ in range(steps):
        A = X @ X.T
        X = a * X + (b * A + c * A * A) @ X
    return X


@wrong(caught_by=["singular_values_by_hand", "agrees_with_the_polynomial_of_singular_values"])
@torch.no_grad()
def newton_schulz__always_takes_five_steps(G, steps=5):
    """There were five steps, whatever `steps` says."""
    return newton_schulz(G)


@wrong(
    caught_by=["agrees_with_the_polynomial_of_singular_values", "keeps_the_dtype"],
    crashes=[
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "gradients_are_not_modified",
        "steps_on_the_meta_device",
        "a_model_learns_faster_than_with_adamw_alone",
    ],
)
@torch.no_grad()
def newton_schulz__leaves_tall_ones_transposed(G, steps=5):
    """A tall matrix was transposed, and not back at the end."""
    result = newton_schulz(G, steps)
    return result.T if G.shape[0] > G.shape[1] else result


@wrong(caught_by=["works_with_the_smaller_of_both_products"])
@torch.no_grad()
def newton_schulz__never_transposes(G, steps=5):
    """For a tall matrix X X^T has as many rows as X, the longer of the two sides. The result is
    right, but takes far more products than with the transpose."""
    return iterate(G / (G.norm() + 1e-7), steps, *COEFFICIENTS)


@wrong(
    caught_by=[
        "its_input_is_not_modified",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
    ]
)
@torch.no_grad()
def newton_schulz__divides_in_place(G, steps=5):
    """`G` itself was changed: `G /= ...` and `G.div_(...)` write into the caller's tensor, and so
    do they into its transpose."""
    X = G.T if G.shape[0] > G.shape[1] else G
    X.div_(X.norm() + 1e-7)
    return newton_schulz(G, steps)


@wrong(
    caught_by=[
        "singular_values_by_hand",
        "agrees_with_the_polynomial_of_singular_values",
        "keeps_the_dtype",
        "first_step_by_hand",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
@torch.no_grad()
def newton_schulz__computes_in_bfloat16(G, steps=5):
    """It was computed in bfloat16, which is fast on a GPU, but here the dtype is the one of `G`."""
    return newton_schulz(G.bfloat16(), steps).to(G.dtype)


def each(optimizer, states=None):
    """Every parameter that has a gradient, with its group and its momentum so far."""
    states = optimizer.state if states is None else states
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                state = states[p] if p in states else states.setdefault(p, {})
                yield p, group, state.setdefault("m", torch.zeros_like(p))


def direction(g, m, group):
    """Move the momentum `m`, and return what is made orthogonal."""
    mu = group["momentum"]
    m.mul_(mu).add_(g, alpha=1 - mu)
    return mu * m + (1 - mu) * g if group["nesterov"] else m


def move(p, update, group):
    """The decay and the step along an update that is orthogonal already."""
    p.mul_(1 - group["lr"] * group["weight_decay"])
    p.sub_(group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5 * update)


@wrong(
    caught_by=[
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "a_model_learns_faster_than_with_adamw_alone",
    ]
)
class Muon__makes_gradients_orthogonal_first(Muon):
    """Each gradient was made orthogonal, and the momentum is an average of those. The average comes
    first: what is made orthogonal is the momentum."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            move(p, direction(newton_schulz(p.grad), m, group), group)


@wrong(
    caught_by=[
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "a_model_learns_faster_than_with_adamw_alone",
    ]
)
class Muon__forgets_to_make_it_orthogonal(Muon):
    """The step goes along the momentum itself: `newton_schulz` is missing."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            move(p, direction(p.grad, m, group), group)


@wrong(
    caught_by=[
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
class Muon__forgets_the_momentum(Muon):
    """The gradient of this step alone was made orthogonal, without the average of the earlier
    ones."""

    @torch.no_grad()
    def step(self):
        for p, group, _ in each(self):
            move(p, newton_schulz(p.grad), group)


@wrong(
    caught_by=[
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
class Muon__never_looks_ahead(Muon):
    """`nesterov` has no effect: the momentum was used as it is. With `nesterov` it is mixed with
    the gradient once more."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            move(p, newton_schulz(direction(p.grad, m, group | {"nesterov": False})), group)


@wrong(caught_by=["ten_steps_agree_with_torch", "ten_steps_agree_with_the_reference"])
class Muon__always_looks_ahead(Muon):
    """`nesterov=False` has no effect: the gradient was mixed in although it was switched off."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            move(p, newton_schulz(direction(p.grad, m, group | {"nesterov": True})), group)


@wrong(
    caught_by=[
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
class Muon__adds_the_whole_gradient(Muon):
    """The look ahead took the whole gradient, g + mu m. That belongs to a momentum that is a sum;
    this one is an average, and g counts only 1 - mu."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            u = direction(p.grad, m, group)
            u = p.grad + group["momentum"] * m if group["nesterov"] else u
            move(p, newton_schulz(u), group)


@wrong(
    caught_by=[
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
class Muon__forgets_the_shape(Muon):
    """The step was not multiplied by sqrt(max(1, rows / cols)), and tall matrices move too
    little."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * newton_schulz(direction(p.grad, m, group)))


@wrong(caught_by=["ten_steps_agree_with_torch", "ten_steps_agree_with_the_reference"])
class Muon__shrinks_the_step_of_wide_ones(Muon):
    """The step was multiplied by sqrt(rows / cols), which is below 1 for wide matrices. The factor
    is at least 1."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            factor = (p.shape[0] / p.shape[1]) ** 0.5
            p.sub_(group["lr"] * factor * newton_schulz(direction(p.grad, m, group)))


@wrong(
    caught_by=[
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
class Muon__swaps_rows_and_columns(Muon):
    """The factor has cols / rows instead of rows / cols. The weight of a layer is (out, in): it is
    tall when the layer has more outputs than inputs."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            factor = max(1, p.shape[1] / p.shape[0]) ** 0.5
            p.sub_(group["lr"] * factor * newton_schulz(direction(p.grad, m, group)))


@wrong(
    caught_by=[
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
class Muon__adds_the_decay_to_the_gradient(Muon):
    """The decay was added to the gradient, and made orthogonal with it. It belongs to the weights
    alone."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            u = direction(p.grad + group["weight_decay"] * p, m, group)
            move(p, newton_schulz(u), group | {"weight_decay": 0.0})


@wrong(
    caught_by=[
        "first_step_by_hand",
        "ten_steps_agree_with_torch",
        "ten_steps_agree_with_the_reference",
        "options_are_those_of_the_group",
        "a_parameter_without_gradient_is_left_out",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
    ]
)
class Muon__scales_the_decay_too(Muon):
    """The decay was multiplied by sqrt(max(1, rows / cols)) as well. It is lr weight_decay p for
    every shape."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            lr = group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5
            p.mul_(1 - lr * group["weight_decay"])
            p.sub_(lr * newton_schulz(direction(p.grad, m, group)))


@wrong(caught_by=["options_are_those_of_the_group", "goes_on_from_a_state_dict"])
class Muon__keeps_its_first_options(Muon):
    """The options of `__init__` were used in every step, for all groups. The group of a parameter
    holds its own, and they may change between two steps."""

    @torch.no_grad()
    def step(self):
        for p, _, m in each(self):
            move(p, newton_schulz(direction(p.grad, m, self.defaults)), self.defaults)


@wrong(crashes=["a_parameter_without_gradient_is_left_out"])
class Muon__expects_a_gradient(Muon):
    """A parameter that took no part in the loss has no gradient: its `grad` is None. Leave it
    out."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.square()
        super().step()


@wrong(caught_by=["a_parameter_without_gradient_is_left_out"])
class Muon__decays_without_a_gradient(Muon):
    """Parameters without a gradient decayed: frozen ones as well. They stay as they are."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
        super().step()


@wrong(caught_by=["gradients_are_not_modified"])
class Muon__changes_the_gradient(Muon):
    """The gradient itself was changed: `g = p.grad` is no copy, and `g.mul_(...)` or `g.lerp_(...)`
    writes into it."""

    @torch.no_grad()
    def step(self):
        for p, group, m in each(self):
            move(p, newton_schulz(p.grad.copy_(direction(p.grad, m, group))), group)


@wrong(caught_by=["optimizers_do_not_share_anything"])
class Muon__shares_its_momentum(Muon):
    """The momentum is kept in a dict of the class, by the place of the parameter, and two
    optimizers share it. Keep it in `self.state[p]`."""

    memory: ClassVar = {}

    @torch.no_grad()
    def step(self):
        for i, (p, group, zeros) in enumerate(each(self)):
            m = self.memory.setdefault((i, p.shape, p.dtype, p.device), zeros)
            move(p, newton_schulz(direction(p.grad, m, group)), group)


@wrong(caught_by=["goes_on_from_a_state_dict"])
class Muon__keeps_its_momentum_elsewhere(Muon):
    """The momentum is in an attribute of its own, which `state_dict()` does not know: after a
    checkpoint it begins again from nothing. Keep it in `self.state[p]`."""

    @torch.no_grad()
    def step(self):
        self.memory = getattr(self, "memory", {})
        for p, group, m in each(self, self.memory):
            move(p, newton_schulz(direction(p.grad, m, group)), group)


@wrong(crashes=["steps_on_the_meta_device"])
class Muon__makes_the_momentum_on_the_cpu(Muon):
    """The momentum began as `torch.zeros(p.shape)`, which is float32 and on the CPU, whatever p is.
    `zeros_like` makes it like p."""

    @torch.no_grad()
    def step(self):
        for p, group, _ in each(self):
            mu, m = group["momentum"], self.state[p].get("momentum", torch.zeros(p.shape))
            m = self.state[p]["momentum"] = mu * m + (1 - mu) * p.grad
            u = mu * m + (1 - mu) * p.grad if group["nesterov"] else m
            move(p, newton_schulz(u), group)


@wrong(caught_by=["parameters_that_are_no_matrices_are_refused"])
class Muon__accepts_any_shape(Muon):
    """A parameter that is no matrix was accepted. Only two axes have rows and columns: a bias or a
    norm is for AdamW."""

    def __init__(self, params, lr=0.02, momentum=0.95, nesterov=True, weight_decay=0.0):
        Muon([torch.zeros(1, 1)], lr, momentum, nesterov, weight_decay)
        options = {"lr": lr, "momentum": momentum, "nesterov": nesterov}
        options["weight_decay"] = weight_decay
        torch.optim.Optimizer.__init__(self, params, options)


@wrong(caught_by=["impossible_options_are_refused"])
class Muon__accepts_any_options(Muon):
    """Impossible options (a negative `lr`, a momentum of 1) were accepted instead of raising a
    ValueError."""

    def __init__(self, params, lr=0.02, momentum=0.95, nesterov=True, weight_decay=0.0):
        options = {"lr": lr, "momentum": momentum, "nesterov": nesterov}
        options["weight_decay"] = weight_decay
        torch.optim.Optimizer.__init__(self, params, options)
        if any(p.dim() != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon is for matrices")


def in_block(name):
    """Whether a parameter of this name is in an element of a list."""
    return any(part.isdigit() for part in name.split("."))


def split(model, is_hidden, **options):
    """Two lists, by a rule of name and parameter, without the frozen ones."""
    found = [(n, p) for n, p in model.named_parameters(**options) if p.requires_grad]
    hidden = [p for n, p in found if is_hidden(n, p)]
    return hidden, [p for n, p in found if not is_hidden(n, p)]


@wrong(caught_by=["matrices_in_blocks_are_for_muon", "tied_parameters_are_listed_once"])
def split_for_muon__takes_every_matrix(model):
    """Embeddings and the head went to Muon too, since they have two axes. Only matrices inside of a
    block are hidden."""
    return split(model, lambda name, p: p.dim() == 2)


@wrong(caught_by=["matrices_in_blocks_are_for_muon"])
def split_for_muon__knows_only_nn_embedding(model):
    """Embeddings were told by their class, `nn.Embedding`. That leaves the head among the hidden
    matrices, and every embedding of another class. Ask whether it is inside of a block."""
    kinds = [m for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    tables = {id(p) for m in kinds for p in m.parameters()}
    return split(model, lambda name, p: p.dim() == 2 and id(p) not in tables)


@wrong(
    caught_by=[
        "matrices_in_blocks_are_for_muon",
        "stacks_of_matrices_are_for_adamw",
        "frozen_parameters_are_in_neither_list",
    ],
    crashes=["a_model_learns_faster_than_with_adamw_alone"],
)
def split_for_muon__takes_whole_blocks(model):
    """Everything in a block went to Muon, its norms and biases too. Muon is for parameters with two
    axes."""
    return split(model, lambda name, p: in_block(name))


@wrong(caught_by=["stacks_of_matrices_are_for_adamw"])
def split_for_muon__takes_stacks_of_matrices(model):
    """A parameter with three axes went to Muon. Exactly two are for Muon."""
    return split(model, lambda name, p: p.dim() >= 2 and in_block(name))


@wrong(
    caught_by=[
        "matrices_in_blocks_are_for_muon",
        "tied_parameters_are_listed_once",
        "a_model_learns_faster_than_with_adamw_alone",
    ]
)
def split_for_muon__loses_the_embeddings(model):
    """Matrices outside of blocks are in neither list, and would never learn. What is not for Muon
    is for AdamW."""
    hidden, others = split(model, lambda name, p: p.dim() == 2 and in_block(name))
    return hidden, [p for p in others if p.dim() != 2]


@wrong(caught_by=["tied_parameters_are_listed_once"])
def split_for_muon__lists_tied_ones_twice(model):
    """A tied parameter is in the list twice, and would take two steps at once. Each belongs there
    once."""
    return split(model, lambda name, p: p.dim() == 2 and in_block(name), remove_duplicate=False)


@wrong(caught_by=["frozen_parameters_are_in_neither_list"])
def split_for_muon__keeps_frozen_ones(model):
    """Parameters that need no gradient are in the lists. They belong to neither."""
    found = list(model.named_parameters())
    hidden = [p for name, p in found if p.dim() == 2 and in_block(name)]
    return hidden, [p for name, p in found if not (p.dim() == 2 and in_block(name))]
