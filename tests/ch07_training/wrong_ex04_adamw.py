from typing import ClassVar

import torch

from kata.wrong import wrong
from solutions.ch07_training.ex04_adamw import AdamW


def each(optimizer, states=None):
    """Every parameter that has a gradient, with its group and its state, the step counted."""
    states = optimizer.state if states is None else states
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                state = states[p] if p in states else states.setdefault(p, {})
                if not state:
                    state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["step"] += 1
                yield p, group, state


def averages(g, state, group):
    """Both moving averages with `g` in them, and what to divide them by."""
    beta1, beta2 = group["betas"]
    m = state["m"].mul_(beta1).add_(g, alpha=1 - beta1)
    v = state["v"].mul_(beta2).add_(g * g, alpha=1 - beta2)
    return m, v, 1 - beta1 ** state["step"], 1 - beta2 ** state["step"]


def move(p, group, state):
    """The right step."""
    m, v, c1, c2 = averages(p.grad, state, group)
    p.mul_(1 - group["lr"] * group["weight_decay"])
    p.sub_(group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"]))


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__adds_the_decay_to_the_gradient(AdamW):
    """The decay was added to the gradient, as in Adam with L2. There it is divided by the size of
    the gradient. It belongs to the weights alone, after the averages."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            m, v, c1, c2 = averages(p.grad + group["weight_decay"] * p, state, group)
            p.sub_(group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"]))


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__forgets_the_decay(AdamW):
    """The weights do not decay: `weight_decay` has no effect."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            move(p, group | {"weight_decay": 0.0}, state)


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__decays_without_lr(AdamW):
    """The decay was not multiplied by `lr`, so that it is far too strong, and the same at the end
    of a schedule as at its top."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            p.mul_(1 - group["weight_decay"])
            move(p, group | {"weight_decay": 0.0}, state)


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__decays_after_the_step(AdamW):
    """The decay was taken from the parameter after it had moved. Both parts of the step start from
    the old one."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            move(p, group | {"weight_decay": 0.0}, state)
            p.mul_(1 - group["lr"] * group["weight_decay"])


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__forgets_the_bias_correction(AdamW):
    """The averages start at 0 and are too small at first, the two of them not equally so. Dividing
    by 1 - beta^t, which corrects that, is missing."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            m, v, _, _ = averages(p.grad, state, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * m / (v.sqrt() + group["eps"]))


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__corrects_the_first_average_only(AdamW):
    """Only the average of the gradients was corrected. The one of their squares starts at 0 too."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            m, v, c1, _ = averages(p.grad, state, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * (m / c1) / (v.sqrt() + group["eps"]))


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__counts_steps_from_0(AdamW):
    """The first step was counted as t = 0, where 1 - beta^t is 0. It begins with 1."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            m, v, c1, c2 = averages(p.grad, state | {"step": state["step"] - 1}, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"]))


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__puts_eps_inside_the_root(AdamW):
    """`eps` was added inside of the square root, where it counts as its root would outside: 1e-4
    instead of 1e-8."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            m, v, c1, c2 = averages(p.grad, state, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * (m / c1) / (v / c2 + group["eps"]).sqrt())


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__adds_eps_before_the_correction(AdamW):
    """`eps` was added to the root of v before the correction for t, so that it counts for more in
    the first steps. Correct v, take the root, add `eps`."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            m, v, c1, c2 = averages(p.grad, state, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * (m / c1) / ((v.sqrt() + group["eps"]) / c2**0.5))


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__forgets_the_root(AdamW):
    """The gradient was divided by the mean of its squares: the square root is missing."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            m, v, c1, c2 = averages(p.grad, state, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * (m / c1) / (v / c2 + group["eps"]))


@wrong(
    caught_by=[
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__takes_one_beta_for_both(AdamW):
    """Both averages use the first of `betas`. The squares have the second."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            move(p, group | {"betas": group["betas"][:1] * 2}, state)


@wrong(
    caught_by=[
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__has_fixed_betas(AdamW):
    """0.9 and 0.999 are written into the step. They are what `betas` is when nothing else is
    said."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            move(p, group | {"betas": (0.9, 0.999)}, state)


@wrong(
    caught_by=[
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "goes_on_from_a_state_dict",
    ]
)
class AdamW__keeps_its_first_options(AdamW):
    """The options of `__init__` were used in every step, for all groups. The group of a parameter
    holds its own, and they may change between two steps."""

    @torch.no_grad()
    def step(self):
        for p, _, state in each(self):
            move(p, self.defaults, state)


@wrong(
    caught_by=[
        "first_step_by_hand",
        "twenty_steps_agree_with_torch",
        "each_group_has_its_own_options",
        "options_may_change_between_steps",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
        "optimizers_do_not_share_anything",
        "keeps_the_dtype",
    ]
)
class AdamW__binds_the_name_anew(AdamW):
    """`p = p - ...` makes a new tensor, and the parameter stays as it was. Change it in place, with
    `p.sub_(...)`, `p -= ...` or `p.copy_(...)`."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            m, v, c1, c2 = averages(p.grad, state, group)
            p = p * (1 - group["lr"] * group["weight_decay"])
            p = p - group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"])


@wrong(caught_by=["gradients_are_not_modified"])
class AdamW__changes_the_gradient(AdamW):
    """The gradient itself was changed: `g = p.grad` is no copy, and `g.mul_(...)` or `g *= ...`
    writes into it."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            move(p, group, state)
            p.grad.mul_(1 - group["betas"][0])


@wrong(crashes=["a_parameter_without_gradient_is_left_out", "each_parameter_counts_its_own_steps"])
class AdamW__expects_a_gradient(AdamW):
    """A parameter that took no part in the loss, or is frozen, has no gradient: its `grad` is None.
    Leave it out."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.square()
        super().step()


@wrong(caught_by=["a_parameter_without_gradient_is_left_out"])
class AdamW__stops_at_a_missing_gradient(AdamW):
    """The first parameter without a gradient ended the loop (`break` or `return`), and those after
    it did not move. `continue` goes on with the next one."""

    @torch.no_grad()
    def step(self):
        moving = each(self)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    return
                move(*next(moving))


@wrong(
    caught_by=["a_parameter_without_gradient_is_left_out", "each_parameter_counts_its_own_steps"]
)
class AdamW__decays_without_a_gradient(AdamW):
    """Parameters without a gradient decayed: frozen ones as well. They stay as they are."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
        super().step()


@wrong(caught_by=["each_parameter_counts_its_own_steps", "goes_on_from_a_state_dict"])
class AdamW__counts_steps_for_all(AdamW):
    """There is one counter of steps for all parameters. One that gets its first gradient later
    counts from there: each has its own t."""

    @torch.no_grad()
    def step(self):
        self.t = getattr(self, "t", 0) + 1
        for p, group, state in each(self):
            m, v, c1, c2 = averages(p.grad, state | {"step": self.t}, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"]))


@wrong(
    caught_by=[
        "each_group_has_its_own_options",
        "a_parameter_without_gradient_is_left_out",
        "each_parameter_counts_its_own_steps",
        "goes_on_from_a_state_dict",
    ]
)
class AdamW__shares_its_averages(AdamW):
    """All parameters of one shape share m and v. Each parameter has its own: `self.state[p]`."""

    @torch.no_grad()
    def step(self):
        shared = {}
        for p, group, state in each(self):
            first = shared.setdefault(p.shape, state)
            move(p, group, first)


@wrong(caught_by=["optimizers_do_not_share_anything"])
class AdamW__shares_its_state_with_others(AdamW):
    """m and v are kept in a dict of the class, by the place of the parameter, and two optimizers
    share it. What belongs to one optimizer is made in it, or is in its `self.state`."""

    memory: ClassVar = {}

    @torch.no_grad()
    def step(self):
        for i, (p, group, _) in enumerate(each(self)):
            zeros = {"step": 0, "m": torch.zeros_like(p), "v": torch.zeros_like(p)}
            state = self.memory.setdefault((i, p.shape, p.dtype, p.device), zeros)
            state["step"] += 1
            move(p, group, state)


@wrong(caught_by=["goes_on_from_a_state_dict"])
class AdamW__keeps_its_state_elsewhere(AdamW):
    """What is kept is in an attribute of its own, which `state_dict()` does not know: after a
    checkpoint it begins again from nothing. Keep it in `self.state[p]`."""

    @torch.no_grad()
    def step(self):
        self.memory = getattr(self, "memory", {})
        for p, group, state in each(self, self.memory):
            move(p, group, state)


@wrong(crashes=["works_on_the_meta_device"])
class AdamW__makes_averages_on_the_cpu(AdamW):
    """m and v began as `torch.zeros(p.shape)`, which is float32 and on the CPU, whatever p is.
    `zeros_like` makes them like p."""

    @torch.no_grad()
    def step(self):
        for p, group, state in each(self):
            if state["step"] == 1:
                state["m"], state["v"] = torch.zeros(p.shape), torch.zeros(p.shape)
            beta1, beta2 = group["betas"]
            state["m"] = beta1 * state["m"] + (1 - beta1) * p.grad
            state["v"] = beta2 * state["v"] + (1 - beta2) * p.grad**2
            m, v = (
                state["m"] / (1 - beta1 ** state["step"]),
                state["v"] / (1 - beta2 ** state["step"]),
            )
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * m / (v.sqrt() + group["eps"]))


@wrong(caught_by=["impossible_options_are_refused"])
class AdamW__accepts_any_options(AdamW):
    """Impossible options (a negative `lr`, a beta of 1) were accepted instead of raising a
    ValueError."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        torch.optim.Optimizer.__init__(self, params, options)
