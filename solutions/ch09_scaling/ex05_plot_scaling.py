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
    # solution
    for name, values in (("sizes", sizes), ("budgets", budgets)):
        if len(values) == 0 or min(values) <= 0:
            raise ValueError(f"{name} must be numbers above 0, got {list(values)}")
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    scales = {"xscale": "log", "yscale": "log", "ylabel": "loss (nats per token)"}
    left = figure.add_subplot(1, 2, 1, title="Kaplan", xlabel="parameters or tokens", **scales)
    for name, (constant, exponent) in KAPLAN.items():
        left.plot(sizes, [(constant / x) ** exponent for x in sizes], label=name)
    right = figure.add_subplot(1, 2, 2, title="Chinchilla", xlabel="parameters", **scales)
    for flops in budgets:
        losses = [chinchilla_loss(n, flops / (6 * n)) for n in sizes]
        right.plot(sizes, losses, label=f"{flops:g} FLOPs")
    best = [optimal_allocation(flops) for flops in budgets]
    losses = [chinchilla_loss(*both) for both in best]
    right.plot([n for n, _ in best], losses, "ko--", label="compute-optimal")
    finish(right, bottom=0.6 * min(losses), top=1.5 * max(losses))
    finish(left)
    return figure


# solution
# ruff: noqa: E402 (what only the reference needs is imported here, where the exercise is cut off)
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator


def finish(panel: Axes, **limits: float) -> None:
    """Add grid, legend and readable ticks; the walls of valleys may end outside."""
    panel.set_ylim(**limits)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter("")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8, loc="lower left")
