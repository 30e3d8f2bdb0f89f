import math

import torch

from kata.wrong import wrong
from solutions.ch09_scaling.ex03_fit_power_law import fit_power_law, isoflop_minimum


def float64(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def logarithms(n_params, losses):
    """The logarithms of the sizes; no others than those that the exercise accepts."""
    if len(set(n_params)) < 3 or len(n_params) != len(losses) or min(*n_params, *losses) <= 0:
        raise ValueError("no points")
    return float64(n_params).log()


def parabola(x, y):
    """The coefficients c0, c1, c2 of the parabola through the points."""
    return torch.linalg.lstsq(x[:, None] ** torch.arange(3), y[:, None]).solution[:, 0].tolist()


@wrong(
    caught_by=[
        "four_points_by_hand",
        "recovers_planted_exponents",
        "finds_any_exponent",
        "noise_does_not_move_the_exponent",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__has_no_constant(x, y):
    """E was left out: a straight line was fitted in log-log. With a constant below it the curve is
    none, and the exponent comes out too small."""
    fit_power_law(x, y)
    log_x, log_y = float64(x).log(), float64(y).log()
    dx = log_x - log_x.mean()
    b = -(dx * log_y).sum() / (dx * dx).sum()
    return (log_y.mean() + b * log_x.mean()).exp().item(), b.item(), 0.0


@wrong(
    caught_by=[
        "four_points_by_hand",
        "recovers_planted_exponents",
        "finds_any_exponent",
        "noise_does_not_move_the_exponent",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__takes_the_least_loss_for_the_constant(x, y):
    """The smallest y was taken for E. The curve comes close to E only far behind the last point:
    E has to be fitted like a and b."""
    fit_power_law(x, y)
    rest = [(p, q - min(y)) for p, q in zip(x, y, strict=True) if q > min(y)]
    a, b, _ = fit_power_law__has_no_constant([p for p, _ in rest], [q for _, q in rest])
    return a, b, float(min(y))


@wrong(
    caught_by=[
        "four_points_by_hand",
        "recovers_planted_exponents",
        "finds_any_exponent",
        "noise_does_not_move_the_exponent",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__fits_a_straight_line(x, y):
    """A straight line was fitted through the points as they are, or through y over log(x). A power
    law is neither."""
    fit_power_law(x, y)
    log_x, y = float64(x).log(), float64(y)
    dx = log_x - log_x.mean()
    slope = (dx * (y - y.mean())).sum() / (dx * dx).sum()
    return y.mean().item(), -slope.item(), 0.0


@wrong(
    caught_by=[
        "recovers_planted_exponents",
        "finds_any_exponent",
        "noise_does_not_move_the_exponent",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__tries_few_exponents(x, y):
    """The exponent is one of a coarse grid. Search again, more closely, around the best one."""
    _, b, _ = fit_power_law(x, y)
    coarse = max(round(b, 1), 0.1)
    z = float64(x) ** -coarse
    dz, dy = z - z.mean(), float64(y) - float64(y).mean()
    a = ((dz * dy).sum() / (dz * dz).sum()).item()
    return a, coarse, sum(y) / len(y) - a * z.mean().item()


@wrong(
    caught_by=[
        "four_points_by_hand",
        "recovers_planted_exponents",
        "finds_any_exponent",
        "noise_does_not_move_the_exponent",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__needs_small_numbers(x, y):
    """The search starts where it does not get to the minimum from, or takes too few steps: a and b
    change by many orders of magnitude together. For a fixed b it is a straight line, which needs no
    search; and log(x) is easier to handle than x."""
    fit_power_law(x, y)
    points, target = float64(x), float64(y)
    guess = torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    for _ in range(200):
        a, b, E = guess
        loss = (E + a * points**-b - target).square().mean()
        (gradient,) = torch.autograd.grad(loss, guess)
        guess = (guess - 0.05 * gradient).detach().requires_grad_()
    return tuple(guess.tolist())


@wrong(caught_by=["no_curve_fits_noisy_points_better"])
def fit_power_law__lets_the_constant_be_negative(x, y):
    """E is below 0. A loss cannot fall that low: E is 0 at least, and a and b are the best ones
    that go with it."""
    fit_power_law(x, y)
    log_x, y = float64(x).log(), float64(y)
    b = torch.arange(0.01, 2.0, 0.0005, dtype=torch.float64)[:, None]
    z = (b * (log_x.mean() - log_x)).exp()  # (exponents, points)
    dz, dy = z - z.mean(-1, keepdim=True), y - y.mean()
    a = (dz * dy).sum(-1, keepdim=True) / (dz * dz).sum(-1, keepdim=True)
    best = (dy - a * dz).square().sum(-1).argmin()
    a, b, z = a[best], b[best], z[best]
    return (a * (b * log_x.mean()).exp()).item(), b.item(), (y.mean() - a * z.mean()).item()


@wrong(caught_by=["no_curve_fits_noisy_points_better"])
def fit_power_law__cuts_a_negative_constant_off(x, y):
    """A negative E was set to 0 when everything else was fitted. a and b are the best ones for that
    E, not for 0: fit them again."""
    a, b, E = fit_power_law__lets_the_constant_be_negative(x, y)
    return a, b, max(E, 0.0)


@wrong(caught_by=["no_curve_fits_noisy_points_better"])
def fit_power_law__measures_errors_of_logarithms(x, y):
    """The squares of differences in log(y) were added up. Best is what has the least squares of
    differences in y."""
    fit_power_law(x, y)
    log_x, y = float64(x).log(), float64(y)
    dx, low, high = log_x - log_x.mean(), 0.0, 20.0
    for _ in range(6):
        above = torch.linspace(low, high, 101, dtype=torch.float64)[:, None]
        E = y.min() * (1 - (-above).exp())
        rest = (y - E).log()  # (constants, points)
        slope = (dx * rest).sum(-1, keepdim=True) / (dx * dx).sum()
        error = (rest - rest.mean(-1, keepdim=True) - slope * dx).square().sum(-1)
        best = int(error.argmin())
        low, high = above[max(best - 1, 0)].item(), above[min(best + 1, 100)].item()
    middle = rest[best].mean() - slope[best] * log_x.mean()
    return middle.exp().item(), -slope[best].item(), E[best].item()


@wrong(
    caught_by=[
        "four_points_by_hand",
        "recovers_planted_exponents",
        "finds_any_exponent",
        "noise_does_not_move_the_exponent",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__returns_the_slope(x, y):
    """The exponent is negative. It is x**-b: b is above 0."""
    a, b, E = fit_power_law(x, y)
    return a, -b, E


@wrong(
    caught_by=[
        "four_points_by_hand",
        "recovers_planted_exponents",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__returns_the_logarithm_of_a(x, y):
    """The first number is log(a). What was added up in logarithms has to be brought back by exp."""
    a, b, E = fit_power_law(x, y)
    return math.log(a), b, E


@wrong(
    caught_by=[
        "four_points_by_hand",
        "recovers_planted_exponents",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__keeps_its_own_unit(x, y):
    """a belongs to an x in another unit than the one that was passed. If x is divided by something
    before the fit, a has to be multiplied by its b-th power afterwards."""
    a, b, E = fit_power_law(x, y)
    return a * math.exp(-b * float64(x).log().mean().item()), b, E


@wrong(
    caught_by=[
        "four_points_by_hand",
        "recovers_planted_exponents",
        "no_curve_fits_noisy_points_better",
    ]
)
def fit_power_law__returns_the_constant_first(x, y):
    """The order is a, b, E."""
    return fit_power_law(x, y)[::-1]


@wrong(caught_by=["impossible_points_are_refused"])
def fit_power_law__takes_any_points(x, y):
    """Points that no curve can be fitted to were accepted: too few, of two lengths, or with numbers
    that have no logarithm."""
    points = [(p, q) for p, q in zip(x, y, strict=False) if p > 0 and q > 0]
    if len({p for p, _ in points}) < 3:
        return 1.0, 1.0, 0.0
    return fit_power_law([p for p, _ in points], [q for _, q in points])


@wrong(caught_by=["lists_are_not_modified"])
def fit_power_law__sorts_in_place(x, y):
    """A list of the caller was changed (`x.sort()`, `x[i] = ...`). Make a new one."""
    result = fit_power_law(x, y)
    x.sort()
    return result


@wrong(caught_by=["parabola_by_hand", "minimum_agrees_with_numpy"])
def isoflop_minimum__takes_the_best_model(n_params, losses):
    """This is the best of the models that were trained. The minimum is between them, where the
    parabola has it."""
    isoflop_minimum(n_params, losses)
    return n_params[list(losses).index(min(losses))]


@wrong(
    caught_by=[
        "parabola_by_hand",
        "minimum_agrees_with_numpy",
        "minimum_outside_of_the_models_is_refused",
    ]
)
def isoflop_minimum__is_linear_in_the_size(n_params, losses):
    """The parabola was fitted over the number of parameters. It is one over its logarithm: the
    sizes differ by factors."""
    logarithms(n_params, losses)
    scale = max(n_params)
    _, c1, c2 = parabola(float64(n_params) / scale, float64(losses))
    lowest = -c1 / (2 * c2) * scale
    if c2 <= 0 or not min(n_params) <= lowest <= scale:
        raise ValueError("the minimum is not among the models")
    return lowest


@wrong(caught_by=["minimum_agrees_with_numpy"])
def isoflop_minimum__uses_the_three_best(n_params, losses):
    """The parabola goes through the three best models only. All of them were measured, with noise:
    fit it to all."""
    isoflop_minimum(n_params, losses)
    best = sorted(zip(losses, n_params, strict=True))[:3]
    return isoflop_minimum([n for _, n in best], [loss for loss, _ in best])


@wrong(caught_by=["parabola_by_hand", "minimum_agrees_with_numpy"])
def isoflop_minimum__fits_the_logarithm_of_the_loss(n_params, losses):
    """The parabola was fitted to the logarithm of the losses. Take the losses as they are."""
    return isoflop_minimum(n_params, [1 + math.log(loss) for loss in losses])


@wrong(caught_by=["parabola_by_hand", "minimum_agrees_with_numpy"])
def isoflop_minimum__mixes_two_logarithms(n_params, losses):
    """The result was brought back by another power than the logarithm was taken of: log goes with
    exp, log10 with 10 ** x, log2 with 2 ** x."""
    return 10 ** math.log(isoflop_minimum(n_params, losses))


@wrong(caught_by=["parabola_by_hand", "minimum_agrees_with_numpy"])
def isoflop_minimum__returns_the_logarithm(n_params, losses):
    """This is the logarithm of the number of parameters. Bring it back by exp."""
    return math.log(isoflop_minimum(n_params, losses))


@wrong(caught_by=["minimum_outside_of_the_models_is_refused"])
def isoflop_minimum__extrapolates(n_params, losses):
    """The minimum lies outside of the models that were trained. The parabola was never measured
    there: raise a ValueError."""
    try:
        return isoflop_minimum(n_params, losses)
    except ValueError:
        log_n = logarithms(n_params, losses)
        _, c1, c2 = parabola(log_n - log_n.mean(), float64(losses))
        if c2 <= 0:
            raise
        return (log_n.mean() - c1 / (2 * c2)).exp().item()


@wrong(caught_by=["minimum_outside_of_the_models_is_refused", "a_maximum_is_refused"])
def isoflop_minimum__stops_at_the_edge(n_params, losses):
    """The best model is the smallest or the largest one, and it was returned. Nobody knows how the
    loss goes on behind it: raise a ValueError."""
    try:
        return isoflop_minimum(n_params, losses)
    except ValueError:
        logarithms(n_params, losses)
        edges = {min(n_params), max(n_params)}
        best = n_params[losses.index(min(losses))]
        if best not in edges:
            raise
        return best


@wrong(caught_by=["a_maximum_is_refused"])
def isoflop_minimum__takes_a_maximum(n_params, losses):
    """The parabola opens downwards: where its slope is 0 the loss is greatest. Look at the sign of
    its square term."""
    try:
        return isoflop_minimum(n_params, losses)
    except ValueError:
        return isoflop_minimum(n_params, [max(losses) + 1 - loss for loss in losses])


@wrong(crashes=["minimum_agrees_with_numpy"])
def isoflop_minimum__expects_an_order(n_params, losses):
    """The first and the last model were taken for the smallest and the largest. They come in any
    order."""
    lowest = isoflop_minimum(n_params, losses)
    if not n_params[0] <= lowest <= n_params[-1]:
        raise ValueError("the minimum is not among the models")
    return lowest


@wrong(caught_by=["impossible_points_are_refused"])
def isoflop_minimum__takes_any_points(n_params, losses):
    """Points that no parabola can be fitted to were accepted: too few, of two lengths, or with
    numbers that have no logarithm."""
    points = [(n, loss) for n, loss in zip(n_params, losses, strict=False) if n > 0 and loss > 0]
    if len({n for n, _ in points}) < 3:
        return points[0][0]
    return isoflop_minimum([n for n, _ in points], [loss for _, loss in points])


@wrong(caught_by=["lists_are_not_modified"])
def isoflop_minimum__sorts_in_place(n_params, losses):
    """A list of the caller was changed (`n_params.sort()`). Make a new one."""
    result = isoflop_minimum(n_params, losses)
    n_params.sort()
    return result


@wrong(caught_by=["parabola_by_hand"])
def isoflop_minimum__rounds(n_params, losses):
    """The result was rounded to a whole number. It is an estimate: leave it as it is."""
    return round(isoflop_minimum(n_params, losses))
