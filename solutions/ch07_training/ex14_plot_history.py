"""7.14 Training curves   [easy, ~20 min]

Two curves say most of what there is to know about a training run: the loss on the text it learns
from and on text it does not see. They fall together, they part (it learns by heart), they jump (the
learning rate is too high). Steps are drawn on a logarithmic axis, where the first hundred have as
much room as the next thousand. The right axis says the same as perplexity (7.3), which is easier to
imagine. `kata show 7` draws your own run with your function.

Source: Kaplan et al. (2020), https://arxiv.org/abs/2001.08361, figure 2;
https://matplotlib.org/stable/gallery/subplots_axes_and_figures/two_scales.html.
"""

from collections.abc import Mapping, Sequence
from math import exp

from matplotlib.figure import Figure


def plot_history(history: Sequence[Mapping[str, float | None]]) -> Figure:
    """Draw the losses of a training run, with perplexity on the right.

    `figure.axes[0]` has the steps from left to right on a logarithmic axis ("step"), the loss
    upwards on a linear one ("loss"), and one line per curve, labelled "train" and "validation" in a
    legend. Each point has a marker: even a curve of one point can be seen.

    The axis on the right, "perplexity", is a second scale for these same lines and has no lines of
    its own: at every height where the left axis says L, it says exp(L). It may come from `twinx` or
    from `secondary_yaxis`; its data coordinates are perplexities.

    Args:
        history: the entries of 7.10, in the order of their steps; not modified. Each has a "step";
            "train_loss" and "val_loss", in nats per token, may be missing or None. The points of a
            curve on both sides of such an entry are joined by a straight line. Step 0 has no place
            on a logarithmic axis and is left out. Other keys are ignored.

    Returns:
        A new `matplotlib.figure.Figure`, made without `pyplot`, which would open a window and keep
        every figure in memory. A curve without points has no line.

    Raises:
        ValueError: there is no point to draw.

    >>> figure = plot_history([{"step": 1, "train_loss": 4.2}, {"step": 10, "train_loss": 2.5}])
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['train']
    """
    # solution
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    left = figure.add_subplot(xscale="log", xlabel="step", ylabel="loss (nats per token)")
    for key, label in (("train_loss", "train"), ("val_loss", "validation")):
        entries = [e for e in history if e["step"] > 0 and e.get(key) is not None]
        if entries:
            steps, losses = [e["step"] for e in entries], [e[key] for e in entries]
            left.plot(steps, losses, marker=".", label=label)
    if not left.lines:
        raise ValueError(f"none of {len(history)} entries has a loss after step 0")
    left.grid(alpha=0.3)
    left.legend()
    low, high = left.get_ylim()
    # A logarithmic axis from exp(low) to exp(high) is a linear one from low to high.
    right = left.twinx()
    right.set(ylabel="perplexity", yscale="log", ylim=(exp(low), exp(high)))
    right.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_locator(NullLocator())
    return figure


# solution
# ruff: noqa: E402 (what only the reference needs is imported here, where the exercise is cut off)
from matplotlib.ticker import LogLocator, NullLocator
