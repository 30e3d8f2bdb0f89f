import math

import torch

from kata.wrong import wrong
from solutions.ch02_layers.ex08_gelu import gelu


@wrong(
    caught_by=[
        "exact_form_is_the_default",
        "agrees_with_torch_to_six_digits",
        "takes_any_shape",
        "gradient_agrees_with_torch",
    ]
)
def gelu__swaps_the_forms(x, approximate="none"):
    """The forms are the wrong way round: "none" is the exact one with erf."""
    return gelu(x, {"none": "tanh", "tanh": "none"}.get(approximate, approximate))


@wrong(
    caught_by=["agrees_with_torch_to_six_digits", "takes_any_shape", "gradient_agrees_with_torch"]
)
def gelu__ignores_approximate(x, approximate="none"):
    """The argument `approximate` changes nothing: both forms give the exact value."""
    return gelu(x, "none" if approximate == "tanh" else approximate)


@wrong(caught_by=["agrees_with_torch_to_six_digits"])
def gelu__rounds_the_coefficient(x, approximate="none"):
    """The coefficient of the cube is 0.044715. It looks rounded or mistyped."""
    if approximate != "tanh":
        return gelu(x, approximate)
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.0447 * x**3)))


@wrong(
    caught_by=[
        "agrees_with_torch_to_six_digits",
        "takes_any_shape",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def gelu__forgets_the_root_of_two_over_pi(x, approximate="none"):
    """In the tanh form the bracket is multiplied by sqrt(2 / pi), not by 2 / pi."""
    if approximate != "tanh":
        return gelu(x, approximate)
    return 0.5 * x * (1 + torch.tanh(2 / math.pi * (x + 0.044715 * x**3)))


@wrong(
    caught_by=[
        "exact_form_is_the_default",
        "agrees_with_torch_to_six_digits",
        "takes_any_shape",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def gelu__forgets_the_root_in_erf(x, approximate="none"):
    """The error function counts in other units: it wants x / sqrt(2), not x."""
    if approximate != "none":
        return gelu(x, approximate)
    return 0.5 * x * (1 + torch.erf(x))


@wrong(
    caught_by=[
        "exact_form_is_the_default",
        "agrees_with_torch_to_six_digits",
        "takes_any_shape",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def gelu__is_the_sigmoid_approximation(x, approximate="none"):
    """This is x * sigmoid(1.702 * x), a third form: neither of the two that are asked for."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate is {approximate!r}")
    return x * torch.sigmoid(1.702 * x)


@wrong(caught_by=["large_numbers_stay_finite"])
def gelu__overflows_in_its_own_tanh(x, approximate="none"):
    """A tanh made of exponentials is inf / inf for large numbers. torch.tanh is not."""
    if approximate != "tanh":
        return gelu(x, approximate)
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + (u.exp() - (-u).exp()) / (u.exp() + (-u).exp()))


@wrong(
    caught_by=["gradient_agrees_with_torch", "keeps_the_dtype"],
    crashes=["stays_on_the_device_of_its_input"],
)
def gelu__goes_through_python_numbers(x, approximate="none"):
    """The chance was computed outside torch: its gradient, dtype and device are lost."""
    if approximate != "none":
        return gelu(x, approximate)
    chances = [(1 + math.erf(v / math.sqrt(2))) / 2 for v in x.flatten().tolist()]
    return x * torch.tensor(chances).view(x.shape)


@wrong(caught_by=["input_is_not_modified"], crashes=["gradient_agrees_with_torch"])
def gelu__works_in_place(x, approximate="none"):
    """The input was changed: `*=` writes into the caller's tensor."""
    chance = gelu(x, approximate) / x.where(x != 0, torch.ones_like(x))
    x *= chance
    return x


@wrong(caught_by=["other_forms_are_refused"])
def gelu__takes_any_name(x, approximate="none"):
    """An unknown name was taken for one of the two forms instead of raising ValueError."""
    return gelu(x, "tanh" if approximate == "tanh" else "none")
