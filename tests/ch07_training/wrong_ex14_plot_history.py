from math import exp

from matplotlib.figure import Figure

from kata.wrong import wrong

CURVES = (("train_loss", "train"), ("val_loss", "validation"))


def points(history, key):
    """The right points of one curve: steps and losses."""
    entries = [e for e in history if e["step"] > 0 and e.get(key) is not None]
    return [e["step"] for e in entries], [e[key] for e in entries]


def draw(
    history, *, figure=None, curves=CURVES, points=points, loss=float, scale="log", marker=".",
    legend=True, perplexity=exp, right_scale="log", names=("step", "loss"), always=False,
):  # fmt: skip
    """A right version with parts that can be replaced."""
    figure = figure or Figure()
    left = figure.add_subplot(xscale=scale, xlabel=names[0], ylabel=names[1])
    for key, label in curves:
        steps, losses = points(history, key)
        if steps or always:
            left.plot(steps, [loss(value) for value in losses], marker=marker, label=label)
    if not left.lines:
        raise ValueError("no points")
    if legend:
        left.legend()
    if perplexity:
        low, high = left.get_ylim()
        ylim = perplexity(low), perplexity(high)
        left.twinx().set(ylabel="perplexity", yscale=right_scale, ylim=ylim)
    return figure


@wrong(
    caught_by=[
        "each_curve_has_its_steps_and_losses",
        "steps_without_a_loss_are_left_out",
        "one_curve_alone_can_be_drawn",
    ]
)
def plot_history__swaps_the_curves(history):
    """Train and validation are swapped."""
    return draw(history, curves=(("val_loss", "train"), ("train_loss", "validation")))


@wrong(
    caught_by=[
        "steps_without_a_loss_are_left_out",
        "one_curve_alone_can_be_drawn",
        "nothing_to_draw_is_an_error",
    ]
)
def plot_history__breaks_the_line(history):
    """A step without a loss was drawn as NaN, and that breaks the line. Leave the step out of that
    curve."""

    def with_gaps(history, key):
        entries = [e for e in history if e["step"] > 0]
        nan = float("nan")
        found = [e.get(key) for e in entries]
        return [e["step"] for e in entries], [nan if v is None else v for v in found]

    return draw(history, points=with_gaps, always=True)


@wrong(
    caught_by=["nothing_to_draw_is_an_error"],
    crashes=[
        "one_curve_alone_can_be_drawn",
        "steps_without_a_loss_are_left_out",
        "the_history_is_not_modified",
    ],
)
def plot_history__expects_every_key(history):
    """An entry need not have both losses: ask with `entry.get(...)`."""
    [(e["train_loss"], e["val_loss"]) for e in history]
    return draw(history)


@wrong(
    caught_by=[
        "each_curve_has_its_steps_and_losses",
        "steps_without_a_loss_are_left_out",
        "one_curve_alone_can_be_drawn",
    ]
)
def plot_history__counts_the_points(history):
    """The points were numbered, and their own steps not used. The losses of an evaluation belong to
    the steps at which it was made."""

    def numbered(history, key):
        losses = points(history, key)[1]
        return range(1, len(losses) + 1), losses

    return draw(history, points=numbered)


@wrong(caught_by=["steps_without_a_loss_are_left_out"])
def plot_history__takes_a_loss_of_0_for_none(history):
    """A loss of 0 was left out: `if loss` is False for 0, too. Compare with None."""

    def truthy(history, key):
        pairs = [p for p in zip(*points(history, key), strict=True) if p[1]]
        return [p[0] for p in pairs], [p[1] for p in pairs]

    return draw(history, points=truthy)


@wrong(caught_by=["steps_without_a_loss_are_left_out", "nothing_to_draw_is_an_error"])
def plot_history__keeps_step_0(history):
    """A point at step 0 has no place on a logarithmic axis. Leave it out."""

    def all_of_them(history, key):
        entries = [e for e in history if e.get(key) is not None]
        return [e["step"] for e in entries], [e[key] for e in entries]

    return draw(history, points=all_of_them)


@wrong(
    caught_by=[
        "each_curve_has_its_steps_and_losses",
        "steps_without_a_loss_are_left_out",
        "one_curve_alone_can_be_drawn",
        "nothing_to_draw_is_an_error",
    ]
)
def plot_history__moves_all_steps_by_one(history):
    """Every step was moved by one to make room for step 0. The curve then says something else than
    the history: leave step 0 out."""

    def moved(history, key):
        entries = [e for e in history if e.get(key) is not None]
        return [e["step"] + 1 for e in entries], [e[key] for e in entries]

    return draw(history, points=moved)


@wrong(
    caught_by=[
        "each_curve_has_its_steps_and_losses",
        "steps_without_a_loss_are_left_out",
        "one_curve_alone_can_be_drawn",
    ]
)
def plot_history__draws_perplexities(history):
    """The curves were drawn as perplexities. They are losses, and only the scale on the right says
    perplexity."""
    return draw(history, loss=exp)


@wrong(caught_by=["perplexity_is_exp_of_the_loss"])
def plot_history__has_a_linear_scale_on_the_right(history):
    """The right axis fits the left one at its two ends, but not between them: exp is not a straight
    line. Between exp(low) and exp(high) it needs a logarithmic scale."""
    return draw(history, right_scale="linear")


@wrong(caught_by=["perplexity_is_exp_of_the_loss"])
def plot_history__takes_powers_of_two(history):
    """The right axis says 2 to the power of the loss. The loss is in nats, so it is exp(loss)."""
    return draw(history, perplexity=lambda loss: 2**loss)


@wrong(
    caught_by=["perplexity_is_exp_of_the_loss"],
)
def plot_history__scales_the_right_axis_by_itself(history):
    """The perplexities were drawn on a right axis that chose its own scale. It has to fit the left
    one at every height."""
    figure = draw(history, perplexity=None)
    right = figure.axes[0].twinx()
    right.set(ylabel="perplexity", yscale="log")
    for key, _ in CURVES:
        steps, losses = points(history, key)
        right.plot(steps, [exp(value) ** 1.1 for value in losses], alpha=0)
    return figure


@wrong(caught_by=["perplexity_is_exp_of_the_loss"])
def plot_history__has_no_perplexity(history):
    """There is no axis on the right. `twinx()` makes one."""
    return draw(history, perplexity=None)


@wrong(caught_by=["steps_are_on_a_logarithmic_axis"])
def plot_history__has_linear_steps(history):
    """The steps are on a linear axis, where the first hundred cannot be seen."""
    return draw(history, scale="linear")


@wrong(caught_by=["steps_are_on_a_logarithmic_axis"])
def plot_history__has_no_names_on_the_axes(history):
    """The axes have no names. A reader has to know what is drawn, and in which unit."""
    return draw(history, names=("", ""))


@wrong(caught_by=["a_legend_names_the_curves"])
def plot_history__has_no_legend(history):
    """The lines have labels, but there is no legend: call `legend()` when they are drawn."""
    return draw(history, legend=False)


@wrong(caught_by=["a_single_point_can_be_seen"])
def plot_history__draws_lines_without_markers(history):
    """A line with one point is invisible: give it a marker."""
    return draw(history, marker="")


@wrong(caught_by=["one_curve_alone_can_be_drawn", "nothing_to_draw_is_an_error"])
def plot_history__draws_empty_curves(history):
    """A curve without points got a line, and a name in the legend, all the same."""
    return draw(history, always=True)


@wrong(caught_by=["nothing_to_draw_is_an_error"])
def plot_history__draws_nothing(history):
    """There was nothing to draw, and the result was an empty picture. The docstring asks for a
    ValueError."""
    try:
        return draw(history)
    except ValueError:
        return Figure()


@wrong(caught_by=["the_figure_belongs_to_no_window"])
def plot_history__goes_through_pyplot(history):
    """The figure was made by `pyplot`, which keeps it in memory for good and may open a window. Use
    `matplotlib.figure.Figure(...)`."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    plt.close("all")
    return draw(history, figure=plt.figure())


@wrong(caught_by=["the_history_is_not_modified"])
def plot_history__removes_step_0_from_the_history(history):
    """The caller's history was changed. Make a new list."""
    figure = draw(history)
    history[:] = [entry for entry in history if entry["step"] > 0]
    return figure
