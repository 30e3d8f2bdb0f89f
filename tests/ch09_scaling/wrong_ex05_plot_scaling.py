from math import log10

from matplotlib.figure import Figure

from kata.wrong import wrong
from solutions.ch09_scaling.ex02_chinchilla import chinchilla_loss, optimal_allocation
from solutions.ch09_scaling.ex05_plot_scaling import KAPLAN


def kaplan_loss(name, x):
    constant, exponent = KAPLAN[name]
    return (constant / x) ** exponent


def valley(n_params, flops):
    """The right loss of a size, for a budget."""
    return chinchilla_loss(n_params, flops / (6 * n_params))


def bottom(sizes, flops):
    """The right point of the frontier."""
    best = optimal_allocation(flops)
    return best[0], chinchilla_loss(*best)


def draw(
    sizes, budgets, *, figure=None, kaplan=kaplan_loss, valley=valley, bottom=bottom,
    scales=("log", "log"), ylabel="loss", titles=("Kaplan", "Chinchilla"), label="{:g} FLOPs",
    marker="o", legend=True, frontier="compute-optimal",
):  # fmt: skip
    """A right version with parts that can be replaced."""
    if len(sizes) == 0 or len(budgets) == 0 or min(*sizes, *budgets) <= 0:
        raise ValueError("numbers above 0")
    figure = figure or Figure()
    left, right = [
        figure.add_subplot(
            1, 2, i, title=titles[i - 1], xlabel="x" if ylabel else "",
            xscale=scales[0], yscale=scales[1], ylabel=ylabel,
        )
        for i in (1, 2)
    ]  # fmt: skip
    for name in KAPLAN:
        left.plot(sizes, [kaplan(name, x) for x in sizes], label=name)
    for flops in budgets:
        right.plot(sizes, [valley(n, flops) for n in sizes], label=label.format(flops))
    best = [bottom(sizes, flops) for flops in budgets]
    right.plot(*zip(*best, strict=True), marker=marker, label=frontier)
    if legend:
        left.legend()
        right.legend()
    return figure


# ----------------------------------------------------------------------------------------- Kaplan


@wrong(caught_by=["kaplans_lines_by_hand", "kaplans_lines_are_straight"])
def plot_scaling__swaps_kaplans_laws(sizes, budgets):
    """The laws of parameters and tokens are swapped."""
    other = {"parameters": "tokens", "tokens": "parameters"}
    return draw(sizes, budgets, kaplan=lambda name, x: kaplan_loss(other[name], x))


@wrong(caught_by=["kaplans_lines_by_hand", "kaplans_lines_are_straight"])
def plot_scaling__turns_kaplans_fraction_round(sizes, budgets):
    """The fraction is the wrong way round: the loss rises with the size. It is constant / x."""
    return draw(sizes, budgets, kaplan=lambda name, x: 1 / kaplan_loss(name, x))


@wrong(caught_by=["kaplans_lines_by_hand", "kaplans_lines_are_straight"])
def plot_scaling__draws_a_logarithm(sizes, budgets):
    """The loss was made to fall with the logarithm of the size. A power of it is what is straight
    on logarithmic axes."""

    def line(name, x):
        constant, exponent = KAPLAN[name]
        return 1 + exponent * log10(constant / x)

    return draw(sizes, budgets, kaplan=line)


@wrong(caught_by=["kaplans_lines_by_hand", "kaplans_lines_are_straight"])
def plot_scaling__adds_a_floor_to_kaplan(sizes, budgets):
    """Kaplan's laws got a constant E, too. They have none: that is why they are straight."""
    return draw(sizes, budgets, kaplan=lambda name, x: 1.69 + kaplan_loss(name, x))


# ------------------------------------------------------------------------------------- Chinchilla


@wrong(
    caught_by=[
        "chinchillas_model_lies_on_its_line",
        "a_line_spends_its_budget_at_every_size",
        "frontier_goes_through_the_bottoms",
    ]
)
def plot_scaling__shifts_kaplans_curve(sizes, budgets):
    """Chinchilla's lines are Kaplan's, shifted: there are no valleys. The loss has one term that
    falls with the size, and one that rises because fewer tokens can be paid."""
    shifted = lambda n, flops: kaplan_loss("parameters", 20 * n) * (1e20 / flops) ** 0.05
    return draw(sizes, budgets, valley=shifted)


@wrong(
    caught_by=[
        "chinchillas_model_lies_on_its_line",
        "a_line_spends_its_budget_at_every_size",
        "frontier_goes_through_the_bottoms",
    ]
)
def plot_scaling__trains_all_sizes_on_as_many_tokens(sizes, budgets):
    """All sizes of a line were trained on equally many tokens, those of the best size. A larger
    model can only be trained on fewer: the budget is what stays."""
    return draw(sizes, budgets, valley=lambda n, c: chinchilla_loss(n, optimal_allocation(c)[1]))


@wrong(
    caught_by=[
        "chinchillas_model_lies_on_its_line",
        "a_line_spends_its_budget_at_every_size",
        "frontier_goes_through_the_bottoms",
    ]
)
def plot_scaling__forgets_the_6(sizes, budgets):
    """The tokens are flops / n. A parameter costs 6 FLOPs for each token: two forwards, four
    backwards (9.1)."""
    return draw(sizes, budgets, valley=lambda n, flops: chinchilla_loss(n, flops / n))


@wrong(caught_by=["a_line_spends_its_budget_at_every_size", "frontier_goes_through_the_bottoms"])
def plot_scaling__takes_20_tokens_per_parameter(sizes, budgets):
    """Each size was trained on 20 tokens per parameter, whatever the budget. That is a rule for
    the best size only, and the lines of all budgets become one."""
    return draw(sizes, budgets, valley=lambda n, flops: chinchilla_loss(n, 20 * n))


@wrong(
    caught_by=[
        "chinchillas_model_lies_on_its_line",
        "a_line_spends_its_budget_at_every_size",
        "frontier_goes_through_the_bottoms",
    ]
)
def plot_scaling__swaps_parameters_and_tokens(sizes, budgets):
    """Parameters and tokens were swapped: the numbers of parameters belong on the axis."""
    return draw(sizes, budgets, valley=lambda n, flops: valley(flops / (6 * n), flops))


@wrong(
    caught_by=[
        "kaplans_lines_by_hand",
        "kaplans_lines_are_straight",
        "chinchillas_model_lies_on_its_line",
        "a_line_spends_its_budget_at_every_size",
        "frontier_has_the_best_size_of_each_budget",
    ]
)
def plot_scaling__draws_logarithms(sizes, budgets):
    """The logarithms of the losses were drawn on a logarithmic axis. It takes the losses."""
    return draw(
        sizes,
        budgets,
        kaplan=lambda name, x: log10(kaplan_loss(name, x)),
        valley=lambda n, flops: log10(valley(n, flops)),
        bottom=lambda sizes, flops: (bottom(sizes, flops)[0], log10(bottom(sizes, flops)[1])),
    )


# --------------------------------------------------------------------------------------- frontier


@wrong(caught_by=["frontier_has_the_best_size_of_each_budget"])
def plot_scaling__takes_the_best_drawn_size(sizes, budgets):
    """The frontier has the best of the sizes that were drawn. The bottom of the valley lies between
    them: 9.2 has a formula for it."""

    def best(sizes, flops):
        return min(((n, valley(n, flops)) for n in sizes), key=lambda point: point[1])

    return draw(sizes, budgets, bottom=best)


@wrong(caught_by=["frontier_has_the_best_size_of_each_budget", "frontier_goes_through_the_bottoms"])
def plot_scaling__draws_tokens_on_the_frontier(sizes, budgets):
    """The frontier has the best numbers of tokens. The axis has parameters."""

    def tokens(sizes, flops):
        return optimal_allocation(flops)[1], bottom(sizes, flops)[1]

    return draw(sizes, budgets, bottom=tokens)


@wrong(caught_by=["frontier_has_the_best_size_of_each_budget", "frontier_goes_through_the_bottoms"])
def plot_scaling__splits_the_budget_evenly(sizes, budgets):
    """The frontier has as many parameters as tokens. The best split depends on the constants of the
    law (9.2)."""

    def square(sizes, flops):
        n = (flops / 6) ** 0.5
        return n, chinchilla_loss(n, n)

    return draw(sizes, budgets, bottom=square)


@wrong(caught_by=["frontier_has_the_best_size_of_each_budget", "frontier_goes_through_the_bottoms"])
def plot_scaling__joins_the_largest_models(sizes, budgets):
    """The frontier goes through the ends of the lines, as if the largest model were always best. It
    goes through the bottoms."""
    return draw(sizes, budgets, bottom=lambda sizes, c: (sizes[-1], valley(sizes[-1], c)))


@wrong(caught_by=["frontier_of_one_budget_can_be_seen"])
def plot_scaling__draws_no_line_for_a_single_budget(sizes, budgets):
    """The frontier has no marker. With one budget it is a single point, and a line with one point
    is invisible."""
    return draw(sizes, budgets, marker="")


# --------------------------------------------------------------------------------------- the rest


@wrong(caught_by=["all_axes_are_logarithmic"])
def plot_scaling__has_linear_axes(sizes, budgets):
    """The axes are linear. Power laws are straight on two logarithmic ones only."""
    return draw(sizes, budgets, scales=("linear", "linear"))


@wrong(caught_by=["all_axes_are_logarithmic"])
def plot_scaling__has_a_linear_loss(sizes, budgets):
    """The axis of the loss is linear. Both have to be logarithmic, or power laws are curved."""
    return draw(sizes, budgets, scales=("log", "linear"))


@wrong(caught_by=["panels_and_axes_have_their_names"])
def plot_scaling__has_no_names_on_the_axes(sizes, budgets):
    """The axes have no names. A reader has to know what is drawn, and in which unit."""
    return draw(sizes, budgets, ylabel="")


@wrong(caught_by=["panels_and_axes_have_their_names"])
def plot_scaling__swaps_the_titles(sizes, budgets):
    """Kaplan is on the left, Chinchilla on the right."""
    return draw(sizes, budgets, titles=("Chinchilla", "Kaplan"))


@wrong(
    caught_by=[
        "chinchillas_model_lies_on_its_line",
        "a_line_spends_its_budget_at_every_size",
        "nothing_else_has_a_label",
    ]
)
def plot_scaling__rounds_the_labels(sizes, budgets):
    """The budget in the label was rounded to one digit. `f"{flops:g}"` keeps those that matter."""
    return draw(sizes, budgets, label="{:.0e} FLOPs")


@wrong(caught_by=["nothing_else_has_a_label"])
def plot_scaling__labels_every_line(sizes, budgets):
    """There is a line with a label that the docstring does not know. What you add has to go without
    one."""
    figure = draw(sizes, budgets)
    for panel in figure.axes:
        panel.axhline(1.69, label="entropy of text")
        panel.legend()
    return figure


@wrong(caught_by=["a_legend_names_the_lines"])
def plot_scaling__has_no_legend(sizes, budgets):
    """The lines have labels, but there is no legend: call `legend()` when they are drawn."""
    return draw(sizes, budgets, legend=False)


@wrong(caught_by=["the_figure_belongs_to_no_window"])
def plot_scaling__goes_through_pyplot(sizes, budgets):
    """The figure was made by `pyplot`, which keeps it in memory for good and may open a window. Use
    `matplotlib.figure.Figure(...)`."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    plt.close("all")
    return draw(sizes, budgets, figure=plt.figure())


@wrong(caught_by=["sizes_and_budgets_are_not_modified"])
def plot_scaling__reverses_the_budgets(sizes, budgets):
    """A list of the caller was changed (`pop`, `sort`, `append`). Make a new one."""
    figure = draw(sizes, budgets)
    budgets.reverse()
    return figure


@wrong(caught_by=["what_cannot_be_drawn_is_an_error"])
def plot_scaling__draws_anything(sizes, budgets):
    """Sizes or budgets that cannot be drawn were accepted: none at all, or numbers that are not
    above 0. The docstring asks for a ValueError."""
    sizes, budgets = [abs(x) or 1.0 for x in sizes], [abs(x) for x in budgets]
    return draw(sizes, budgets) if sizes and budgets else Figure()
