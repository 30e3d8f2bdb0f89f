"""9.3 Fitting a power law   [hard, ~35 min]

A scaling law is measured: train small models, fit a curve through their losses, read off how good a
large one will be. A plain power law is a straight line in log-log, but the loss does not fall to 0:
there is a constant below it, and whoever leaves that out gets another exponent. The second function
finds the best size for one budget of compute, as the paper's IsoFLOP profiles do; the points of
`kata show 9` go through both.

Source: Hoffmann et al. (2022), https://arxiv.org/abs/2203.15556, sections 3.2 and 3.3; Kaplan et
al. (2020), https://arxiv.org/abs/2001.08361.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

MIN_EXPONENT, MAX_EXPONENT = 0.01, 2.0


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Return the a, b, E for which y = E + a * x**-b fits the points best.

    Best is the least sum of squared differences in y, among all a, all E that are not negative and
    all b from `MIN_EXPONENT` to `MAX_EXPONENT`. From points that lie on such a curve with a > 0, a
    and b come back to 1 %, and E to 1 % of the smallest y; E may be 0. The points come in any
    order, x may be as large as numbers of tokens are. Neither sequence is modified.

    Raises:
        ValueError: `x` and `y` are not of one length; fewer than 3 different numbers are in `x`; a
            number is not above 0.

    >>> a, b, E = fit_power_law([1, 4, 16, 64], [11, 6, 3.5, 2.25])
    >>> print(f"{E:.2f} + {a:.2f} * x ** -{b:.2f}")
    1.00 + 10.00 * x ** -0.50
    """
    # solution
    check_points(x, y)
    log_x, target = (torch.tensor(numbers, dtype=torch.float64) for numbers in (x, y))
    log_x = log_x.log()
    unit = log_x.mean()  # measure x in a unit in which it is neither huge nor tiny
    low, high = MIN_EXPONENT, MAX_EXPONENT
    while high - low > 1e-9:
        b = torch.linspace(low, high, 101, dtype=torch.float64)
        # For a given b nothing but a straight line is left to fit, y over x**-b.
        a, E, error = fit_line(((unit - log_x) * b[:, None]).exp(), target)
        best = int(error.argmin())
        low, high = b[max(best - 1, 0)].item(), b[min(best + 1, 100)].item()
    return (a * (unit * b).exp())[best].item(), b[best].item(), E[best].item()


def isoflop_minimum(n_params: Sequence[float], losses: Sequence[float]) -> float:
    """Return the number of parameters at which the loss is least, for one budget of compute.

    It is where the parabola has its minimum that fits the losses best as a function of
    log(n_params), by least squares, all points counting alike. That is between two of the models,
    as a rule, and the result is no whole number. The points come in any order; neither sequence is
    modified.

    Raises:
        ValueError: the minimum is outside of the models that were trained, from the smallest to the
            largest: there the parabola is only a guess. Or there is no minimum, as the parabola
            does not open upwards. Or `n_params` and `losses` are not of one length; fewer than 3
            different numbers are in `n_params`; a number is not above 0.

    >>> round(isoflop_minimum([1e6, 2e6, 4e6, 8e6], [3.5, 3.1, 3.1, 3.5]))
    2828427
    """
    # solution
    check_points(n_params, losses)
    log_n = torch.tensor(n_params, dtype=torch.float64).log()
    center = log_n.mean()
    powers = (log_n - center)[:, None] ** torch.arange(3)  # (points, 3)
    target = torch.tensor(losses, dtype=torch.float64)[:, None]
    _, slope, curvature = torch.linalg.lstsq(powers, target).solution[:, 0]
    lowest = center - slope / (2 * curvature)
    if curvature <= 0 or not log_n.min() <= lowest <= log_n.max():
        raise ValueError("the minimum is not among the models: train smaller or larger ones")
    return lowest.exp().item()


# solution
def check_points(x: Sequence[float], y: Sequence[float]) -> None:
    """Refuse points that no curve can be fitted to."""
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} numbers are no points")
    if len(set(x)) < 3:
        raise ValueError(f"3 different points are needed, got {len(set(x))}")
    if min(*x, *y) <= 0:
        raise ValueError(f"all numbers must be above 0, got {min(*x, *y)}")


def fit_line(
    z: Float[Tensor, "exponents points"], y: Float[Tensor, "points"]
) -> tuple[Float[Tensor, "exponents"], Float[Tensor, "exponents"], Float[Tensor, "exponents"]]:
    """Return slope, intercept and squared error of the line through each row of points.

    A line with a negative intercept is replaced by the best one through the origin.
    """
    dz, dy = z - z.mean(-1, keepdim=True), y - y.mean()
    slope = (dz * dy).sum(-1) / (dz * dz).sum(-1)
    intercept = y.mean() - slope * z.mean(-1)
    through_origin = (z * y).sum(-1) / (z * z).sum(-1)
    slope = torch.where(intercept < 0, through_origin, slope)
    intercept = intercept.clamp(min=0)
    error = (y - intercept[:, None] - slope[:, None] * z).square().sum(-1)
    return slope, intercept, error
