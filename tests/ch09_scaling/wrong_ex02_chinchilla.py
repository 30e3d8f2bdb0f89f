import math

import torch

from kata.wrong import wrong
from solutions.ch09_scaling.ex02_chinchilla import HOFFMANN, chinchilla_loss, optimal_allocation

VALUES = [
    "losses_by_hand",
    "chinchilla_beats_gopher",
    "infinite_sizes_are_allowed",
    "tensors_are_broadcast",
    "float64_stays_float64",
    "gradients_agree_with_the_formula",
]
SPLITS = ["allocation_by_hand", "no_other_split_has_less_loss", "model_and_text_pay_the_same"]


@wrong(caught_by=VALUES)
def chinchilla_loss__subtracts_logarithms(n_params, n_tokens, constants=HOFFMANN):
    """The loss falls with the logarithm of the sizes. That is no power law, and a large enough
    model would have a loss below 0: divide by a power of the size."""
    c = constants
    sizes = [torch.as_tensor(n) for n in (n_params, n_tokens)]
    loss = c.E + c.A - c.alpha * sizes[0].log() + c.B - c.beta * sizes[1].log()
    return loss if isinstance(n_params, torch.Tensor) else loss.item()


@wrong(caught_by=VALUES)
def chinchilla_loss__ignores_the_tokens(n_params, n_tokens, constants=HOFFMANN):
    """The number of tokens has no influence. The loss has a term for the model and one for the
    text."""
    return constants.E + constants.A / n_params**constants.alpha + 0 * n_tokens**-1


@wrong(caught_by=VALUES)
def chinchilla_loss__derives_the_tokens(n_params, n_tokens, constants=HOFFMANN):
    """The tokens were taken to be 20 per parameter. Use the number that was passed."""
    return chinchilla_loss(n_params, 20 * n_params + 0 * n_tokens**-1, constants)


@wrong(caught_by=VALUES)
def chinchilla_loss__shifts_kaplans_curve(n_params, n_tokens, constants=HOFFMANN):
    """This is the law of Kaplan et al., moved by the 20 tokens per parameter of Chinchilla. It is
    another law: with a constant, and a term for the model and one for the text."""
    return (8.8e13 / (20 * n_params)) ** 0.076 + 0 * n_tokens**-1


@wrong(caught_by=VALUES[:-1])
def chinchilla_loss__has_no_constant_part(n_params, n_tokens, constants=HOFFMANN):
    """E is missing. Even the best model cannot foresee what comes next in a text."""
    return chinchilla_loss(n_params, n_tokens, constants) - constants.E


@wrong(caught_by=VALUES)
def chinchilla_loss__swaps_the_terms(n_params, n_tokens, constants=HOFFMANN):
    """A and alpha go with the parameters, B and beta with the tokens. Here it is the other way
    round."""
    return chinchilla_loss(n_tokens, n_params, constants)


@wrong(caught_by=VALUES)
def chinchilla_loss__swaps_the_exponents(n_params, n_tokens, constants=HOFFMANN):
    """alpha and beta were swapped: alpha is the power of the parameters."""
    c = constants
    return c.E + c.A / n_params**c.beta + c.B / n_tokens**c.alpha


@wrong(caught_by=VALUES)
def chinchilla_loss__grows_with_the_sizes(n_params, n_tokens, constants=HOFFMANN):
    """The loss grows with the sizes. A was multiplied with the power instead of divided by it, and
    B as well."""
    c = constants
    return c.E + c.A * n_params**c.alpha + c.B * n_tokens**c.beta


@wrong(caught_by=VALUES)
def chinchilla_loss__raises_the_constant_too(n_params, n_tokens, constants=HOFFMANN):
    """The power was taken of the quotient, (A / N) ** alpha. It is A / (N ** alpha)."""
    c = constants
    return c.E + (c.A / n_params) ** c.alpha + (c.B / n_tokens) ** c.beta


@wrong(caught_by=["losses_by_hand", "infinite_sizes_are_allowed"])
def chinchilla_loss__ignores_the_constants(n_params, n_tokens, constants=HOFFMANN):
    """The constants that were passed have no effect: those of the paper were used."""
    return chinchilla_loss(n_params, n_tokens)


@wrong(
    crashes=[
        "tensors_are_broadcast",
        "float64_stays_float64",
        "gradients_agree_with_the_formula",
        "runs_on_meta",
    ]
)
def chinchilla_loss__takes_numbers_only(n_params, n_tokens, constants=HOFFMANN):
    """`math.pow` and `float` take single numbers. `**` and `/` work for tensors as well."""
    c = constants
    return c.E + c.A / math.pow(n_params, c.alpha) + c.B / math.pow(n_tokens, c.beta)


@wrong(
    caught_by=["float64_stays_float64", "runs_on_meta"],
    crashes=["gradients_agree_with_the_formula"],
)
def chinchilla_loss__makes_new_tensors(n_params, n_tokens, constants=HOFFMANN):
    """New tensors were made of those that were passed (`torch.tensor`, `.item()`, `.tolist()`):
    device and gradients are lost, and the dtype may be, too. Calculate with what you get."""
    if not isinstance(n_params, torch.Tensor):
        return chinchilla_loss(n_params, n_tokens, constants)
    sizes = [torch.zeros(n.shape) if n.is_meta else n.detach().cpu() for n in (n_params, n_tokens)]
    return chinchilla_loss(*(n.float() for n in sizes), constants)


@wrong(caught_by=SPLITS)
def optimal_allocation__takes_20_tokens_per_parameter(flops, constants=HOFFMANN):
    """These are 20 tokens per parameter. That rule of thumb is another fit of the paper; what is
    best for this law depends on its constants, and on the budget."""
    if flops <= 0:
        raise ValueError("flops must be above 0")
    n_params = (flops / 120) ** 0.5
    return n_params, 20 * n_params


@wrong(
    caught_by=["allocation_by_hand", "the_whole_budget_is_spent", "no_other_split_has_less_loss"]
)
def optimal_allocation__forgets_the_six(flops, constants=HOFFMANN):
    """A training run costs 6 FLOPs per parameter and token. Here it costs 1: the product of the two
    numbers is the whole budget."""
    return optimal_allocation(6 * flops, constants)


@wrong(caught_by=SPLITS)
def optimal_allocation__swaps_the_exponents(flops, constants=HOFFMANN):
    """The exponents of the budget were swapped. The larger alpha is, the sooner a larger model
    stops to pay: it is beta / (alpha + beta) for the parameters."""
    c = constants
    n_params, _ = optimal_allocation(flops, c)
    n_params *= (flops / 6) ** ((c.alpha - c.beta) / (c.alpha + c.beta))
    return n_params, flops / (6 * n_params)


@wrong(caught_by=SPLITS)
def optimal_allocation__turns_the_ratio_over(flops, constants=HOFFMANN):
    """The factor was turned over, or multiplied with where it divides: alpha and A belong above the
    line for the parameters, below it for the tokens."""
    c = constants
    n_params, _ = optimal_allocation(flops, c)
    n_params /= (c.alpha * c.A / (c.beta * c.B)) ** (2 / (c.alpha + c.beta))
    return n_params, flops / (6 * n_params)


@wrong(caught_by=SPLITS)
def optimal_allocation__makes_both_terms_equal(flops, constants=HOFFMANN):
    """A / N^alpha and B / D^beta were made equal. That is not where the loss is least: a derivative
    brings the exponent down, so that alpha A / N^alpha and beta B / D^beta have to be equal."""
    c = constants
    n_params = (c.A / c.B * (flops / 6) ** c.beta) ** (1 / (c.alpha + c.beta))
    if flops <= 0:
        raise ValueError("flops must be above 0")
    return n_params, flops / (6 * n_params)


@wrong(caught_by=["allocation_by_hand", "the_whole_budget_is_spent", "model_and_text_pay_the_same"])
def optimal_allocation__multiplies_both_by_the_ratio(flops, constants=HOFFMANN):
    """The product of the two numbers is not flops / 6. If one of them is multiplied by a factor,
    the other has to be divided by it."""
    c = constants
    n_params, n_tokens = optimal_allocation(flops, c)
    ratio = (c.alpha * c.A / (c.beta * c.B)) ** (1 / (c.alpha + c.beta))
    return n_params, n_tokens * ratio**2


@wrong(caught_by=SPLITS)
def optimal_allocation__tries_powers_of_ten(flops, constants=HOFFMANN):
    """The minimum was looked for among a few sizes, far from each other. Solve for it, or search
    much more closely."""
    if flops <= 0:
        raise ValueError("flops must be above 0")
    losses = {
        n: chinchilla_loss(n, flops / (6 * n), constants) for n in (10.0**k for k in range(16))
    }
    n_params = min(losses, key=losses.get)
    return n_params, flops / (6 * n_params)


@wrong(caught_by=["the_whole_budget_is_spent"])
def optimal_allocation__rounds(flops, constants=HOFFMANN):
    """The numbers were rounded. They are estimates, and their product would miss the budget."""
    n_params, n_tokens = optimal_allocation(flops, constants)
    return round(n_params), round(n_tokens)


@wrong(caught_by=SPLITS)
def optimal_allocation__returns_the_tokens_first(flops, constants=HOFFMANN):
    """The number of tokens came first. Parameters are the first of the two."""
    return optimal_allocation(flops, constants)[::-1]


@wrong(caught_by=SPLITS)
def optimal_allocation__ignores_the_constants(flops, constants=HOFFMANN):
    """The constants that were passed have no effect: those of the paper were used."""
    return optimal_allocation(flops)


@wrong(caught_by=["impossible_budgets_are_refused"])
def optimal_allocation__accepts_any_budget(flops, constants=HOFFMANN):
    """The budget was not checked. The power of a negative number is complex, and nothing can be
    trained with 0: raise a ValueError."""
    return optimal_allocation(abs(flops) or 1.0, constants)
