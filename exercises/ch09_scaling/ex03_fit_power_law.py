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
    raise NotImplementedError("fit_power_law")  # your code here


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
    raise NotImplementedError("isoflop_minimum")  # your code here
