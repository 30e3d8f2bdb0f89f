"""9.5 The scaling plot   [medium, ~25 min]

Two pictures started the race for scale. In Kaplan's, the loss is a straight line on logarithmic
axes, over five orders of magnitude: a power law. In Chinchilla's, each budget of compute has a
valley: a model that is too small cannot learn what it reads, one that is too large has not read
enough. The line through the bottoms is what the money can buy at best. Builds on 9.2; `kata show 9`
puts models that you have trained yourself into your picture.

Source: Kaplan et al. (2020), https://arxiv.org/abs/2001.08361, equations 1.1 and 1.2 and figure 1;
Hoffmann et al. (2022), https://arxiv.org/abs/2203.15556, figures 2 to 4.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from .ex02_chinchilla import chinchilla_loss, optimal_allocation

# Kaplan's laws: the loss is (constant / x) ** exponent, where x is what the name says.
KAPLAN = {"parameters": (8.8e13, 0.076), "tokens": (5.4e13, 0.095)}


def plot_scaling(sizes: Sequence[float], budgets: Sequence[float]) -> Figure:
    """Draw the laws of Kaplan and of Chinchilla side by side, all axes logarithmic.

    `figure.axes[0]`, titled "Kaplan", has the two laws of `KAPLAN` as lines labelled "parameters"
    and "tokens", with a point at each of `sizes`.

    `figure.axes[1]`, titled "Chinchilla", has the parameters from left to right and one line per
    budget, with a point at each of `sizes`: the loss of a model of that size, trained on as many
    tokens as the budget can pay, where parameters and tokens cost 6 FLOPs for each pair of them. A
    line is labelled with its budget, as in "1e+20 FLOPs" (format it with ":g"). One more line, the
    frontier, labelled "compute-optimal", has a point per budget, with a marker: the best size and
    its loss, exactly at the bottom of the valley and not only at the best of `sizes`.

    Both axes have "loss" upwards, a name for what goes from left to right, and a legend. You may
    add other lines to them if they have no label.

    Args:
        sizes: numbers in ascending order, of parameters and, for Kaplan's second law, of tokens.
        budgets: FLOPs, in ascending order. Neither sequence is modified.

    Returns:
        A new `matplotlib.figure.Figure`, made without `pyplot`, which would open a window and keep
        every figure in memory.

    Raises:
        ValueError: `sizes` or `budgets` is empty, or has a number that is not above 0.

    >>> figure = plot_scaling([1e8, 1e9, 1e10], budgets=[1e20, 1e21])
    >>> [line.get_label() for line in figure.axes[1].lines]
    ['1e+20 FLOPs', '1e+21 FLOPs', 'compute-optimal']
    """
    raise NotImplementedError("plot_scaling")  # your code here
