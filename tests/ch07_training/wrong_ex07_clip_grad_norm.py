import torch

from kata.wrong import wrong
from solutions.ch07_training.ex07_clip_grad_norm import clip_grad_norm


def found(parameters, max_norm):
    """The gradients that there are, and their norm."""
    if max_norm < 0:
        raise ValueError(f"max_norm must not be negative, got {max_norm}")
    grads = [p.grad for p in parameters if p.grad is not None]
    norms = [grad.norm() for grad in grads] or [torch.tensor(0.0)]
    return grads, torch.stack(norms).norm()


def scale(grads, factor):
    """Multiply all of them by it, but never by more than 1."""
    for grad in grads:
        grad.mul_(factor.clamp(max=1.0))


@wrong(
    caught_by=[
        "two_gradients_by_hand",
        "long_gradients_are_clipped_as_by_torch",
        "takes_an_iterator",
        "changes_the_gradients_in_place",
        "keeps_the_dtype",
    ]
)
def clip_grad_norm__clips_each_parameter(parameters, max_norm):
    """Every gradient was clipped by its own norm. That changes the direction of the step: it is one
    norm, of all of them together, and one factor."""
    grads, norm = found(parameters, max_norm)
    for grad in grads:
        scale([grad], max_norm / (grad.norm() + 1e-6))
    return norm


@wrong(
    caught_by=[
        "two_gradients_by_hand",
        "long_gradients_are_clipped_as_by_torch",
        "takes_an_iterator",
        "changes_the_gradients_in_place",
        "keeps_the_dtype",
    ]
)
def clip_grad_norm__clips_each_number(parameters, max_norm):
    """Every number of the gradients was limited. That changes the direction of the step, and the
    norm of all together may still be above the limit."""
    grads, norm = found(parameters, max_norm)
    for grad in grads:
        grad.clamp_(-max_norm, max_norm)
    return norm


@wrong(caught_by=["short_gradients_stay_as_they_are"])
def clip_grad_norm__always_rescales(parameters, max_norm):
    """Gradients below the limit were made longer, up to `max_norm`. They stay as they are: the
    factor is never above 1."""
    grads, norm = found(parameters, max_norm)
    for grad in grads:
        grad.mul_(max_norm / (norm + 1e-6))
    return norm


@wrong(caught_by=["two_gradients_by_hand", "returns_the_norm_before_clipping", "keeps_the_dtype"])
def clip_grad_norm__returns_the_clipped_norm(parameters, max_norm):
    """The norm after clipping was returned, which says little: it is hardly ever above `max_norm`.
    Return the one from before."""
    grads, norm = found(parameters, max_norm)
    scale(grads, max_norm / (norm + 1e-6))
    return norm.clamp(max=max_norm)


@wrong(
    caught_by=[
        "two_gradients_by_hand",
        "returns_the_norm_before_clipping",
        "long_gradients_are_clipped_as_by_torch",
        "short_gradients_stay_as_they_are",
        "takes_an_iterator",
        "changes_the_gradients_in_place",
        "keeps_the_dtype",
    ]
)
def clip_grad_norm__adds_up_the_norms(parameters, max_norm):
    """The norms of the parameters were added up. Lengths of parts do not add up, their squares do:
    the norm of all is the root of the sum of all squares."""
    grads, norm = found(parameters, max_norm)
    norm = sum((grad.norm() for grad in grads), torch.zeros_like(norm))
    scale(grads, max_norm / (norm + 1e-6))
    return norm


@wrong(
    caught_by=[
        "two_gradients_by_hand",
        "returns_the_norm_before_clipping",
        "long_gradients_are_clipped_as_by_torch",
        "short_gradients_stay_as_they_are",
        "takes_an_iterator",
        "changes_the_gradients_in_place",
        "keeps_the_dtype",
    ]
)
def clip_grad_norm__forgets_the_root(parameters, max_norm):
    """The sum of the squares is the square of the norm: the root is missing."""
    grads, norm = found(parameters, max_norm)
    scale(grads, max_norm / (norm**2 + 1e-6))
    return norm**2


@wrong(
    caught_by=[
        "two_gradients_by_hand",
        "returns_the_norm_before_clipping",
        "long_gradients_are_clipped_as_by_torch",
        "takes_an_iterator",
        "changes_the_gradients_in_place",
        "keeps_the_dtype",
    ],
    crashes=["works_on_the_meta_device"],
)
def clip_grad_norm__takes_the_largest_norm(parameters, max_norm):
    """The norm of the parameter with the longest gradient was taken for the norm of all of them
    together."""
    grads, norm = found(parameters, max_norm)
    norm = max([grad.norm() for grad in grads], default=norm)
    scale(grads, max_norm / (norm + 1e-6))
    return norm


@wrong(caught_by=["long_gradients_are_clipped_as_by_torch"])
def clip_grad_norm__divides_by_the_norm_alone(parameters, max_norm):
    """The 1e-6 in the denominator is missing. It matters where the gradients are tiny."""
    grads, norm = found(parameters, max_norm)
    scale(grads, max_norm / norm)
    return norm


@wrong(
    caught_by=[
        "two_gradients_by_hand",
        "long_gradients_are_clipped_as_by_torch",
        "parameters_themselves_stay_as_they_are",
        "takes_an_iterator",
        "changes_the_gradients_in_place",
        "keeps_the_dtype",
    ]
)
def clip_grad_norm__scales_the_parameters(parameters, max_norm):
    """The parameters were scaled, not their gradients."""
    parameters = list(parameters)
    _, norm = found(parameters, max_norm)
    scale([p.data for p in parameters], max_norm / (norm + 1e-6))
    return norm


@wrong(caught_by=["changes_the_gradients_in_place"])
def clip_grad_norm__replaces_the_gradients(parameters, max_norm):
    """Each parameter got a new gradient tensor. Change the one that is there: others may hold it
    too."""
    parameters = list(parameters)
    _, norm = found(parameters, max_norm)
    for p in parameters:
        if p.grad is not None:
            p.grad = p.grad * (max_norm / (norm + 1e-6)).clamp(max=1.0)
    return norm


@wrong(caught_by=["takes_an_iterator"])
def clip_grad_norm__reads_the_iterator_twice(parameters, max_norm):
    """The parameters were gone through twice. `model.parameters()` is an iterator: the second time
    there is nothing left. Collect the gradients in a list first."""
    _, norm = found(parameters, max_norm)
    grads, _ = found(parameters, max_norm)
    scale(grads, max_norm / (norm + 1e-6))
    return norm


@wrong(
    crashes=[
        "returns_the_norm_before_clipping",
        "long_gradients_are_clipped_as_by_torch",
        "short_gradients_stay_as_they_are",
        "parameters_themselves_stay_as_they_are",
        "without_any_gradient_the_norm_is_0",
        "takes_an_iterator",
        "changes_the_gradients_in_place",
        "keeps_the_dtype",
        "works_on_the_meta_device",
    ]
)
def clip_grad_norm__expects_a_gradient(parameters, max_norm):
    """A parameter that took no part in the loss has no gradient: its `grad` is None. Leave it
    out."""
    parameters = list(parameters)
    if max_norm >= 0:
        torch.stack([p.grad.norm() for p in parameters])
    return clip_grad_norm(parameters, max_norm)


@wrong(crashes=["without_any_gradient_the_norm_is_0"])
def clip_grad_norm__expects_any_gradient(parameters, max_norm):
    """When no parameter has a gradient, there is nothing to stack: the norm is 0."""
    parameters = list(parameters)
    torch.stack([p.grad.norm() for p in parameters if p.grad is not None])
    return clip_grad_norm(parameters, max_norm)


@wrong(crashes=["works_on_the_meta_device"])
def clip_grad_norm__asks_for_the_norm(parameters, max_norm):
    """`if norm > max_norm` makes Python wait until the GPU has computed the norm, in every step;
    the meta device never will. Compute the factor with tensors, and limit it to 1."""
    grads, norm = found(parameters, max_norm)
    if norm > max_norm:
        scale(grads, max_norm / (norm + 1e-6))
    return norm


@wrong(
    caught_by=[
        "two_gradients_by_hand",
        "returns_the_norm_before_clipping",
        "without_any_gradient_the_norm_is_0",
        "keeps_the_dtype",
    ],
    crashes=["works_on_the_meta_device"],
)
def clip_grad_norm__returns_a_number(parameters, max_norm):
    """A Python number was returned (`.item()`), for which Python has to wait for the GPU. Return
    the tensor."""
    return clip_grad_norm(parameters, max_norm).item()


@wrong(caught_by=["a_negative_limit_is_refused"])
def clip_grad_norm__accepts_a_negative_limit(parameters, max_norm):
    """A negative `max_norm` turned the gradients round instead of raising a ValueError."""
    return clip_grad_norm(parameters, abs(max_norm))
