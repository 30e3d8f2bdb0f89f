import pytest
import torch

from kata.check import close, raises

SIZES = (2e7, 3e8, 7e9, 1e11)
BUDGETS = (3e18, 1e20, 5.88e23)


def draw(answer, sizes=SIZES, budgets=BUDGETS):
    """The figure, made from new lists."""
    return answer.plot_scaling(list(sizes), list(budgets))


def labels(panel):
    """The labels of the lines that have one."""
    found = [str(line.get_label()) for line in panel.lines]
    return [label for label in found if not label.startswith("_")]


def points(panel, label):
    """The points of the line with this label, one row each."""
    assert label in labels(panel), f"no line is labelled {label!r}"
    line = next(line for line in panel.lines if line.get_label() == label)
    return numbers(line.get_xydata().tolist())


def numbers(values):
    return torch.tensor(values, dtype=torch.float64)


def loss(n_params, n_tokens):
    """Hoffmann et al., equation 10."""
    return 1.69 + 406.4 / n_params**0.34 + 410.7 / n_tokens**0.28


def best_size(flops):
    """Hoffmann et al., equation 4."""
    return (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62) * (flops / 6) ** (0.28 / 0.62)


def test_kaplans_lines_by_hand(answer):
    kaplan = draw(answer, [8.8e3, 8.8e13], BUDGETS).axes[0]
    # Ten orders of magnitude below N_c the loss is 10 to the power 10 * 0.076.
    close(points(kaplan, "parameters"), numbers([[8.8e3, 10**0.76], [8.8e13, 1]]), "point xy")
    kaplan = draw(answer, [5.4e3, 5.4e13], BUDGETS).axes[0]
    close(points(kaplan, "tokens"), numbers([[5.4e3, 10**0.95], [5.4e13, 1]]), "point xy")


@pytest.mark.parametrize(("label", "slope"), [("parameters", -0.076), ("tokens", -0.095)])
def test_kaplans_lines_are_straight(answer, label, slope):
    x, y = points(draw(answer).axes[0], label).log().T
    close(x.exp(), numbers(SIZES), "point")
    close(y.diff() / x.diff(), torch.full((3,), slope, dtype=torch.float64), "segment")


def test_chinchillas_model_lies_on_its_line(answer):
    # 70 billion parameters and 1.4 trillion tokens: 1.69 + 0.083 + 0.163.
    chinchilla = draw(answer, [70e9], [6 * 70e9 * 1.4e12]).axes[1]
    close(points(chinchilla, "5.88e+23 FLOPs"), numbers([[70e9, 1.93664]]), "point xy")


@pytest.mark.parametrize(
    ("flops", "label"),
    [(3e18, "3e+18 FLOPs"), (1e20, "1e+20 FLOPs"), (5.88e23, "5.88e+23 FLOPs")],
)
def test_a_line_spends_its_budget_at_every_size(answer, flops, label):
    expected = numbers([[n, loss(n, flops / (6 * n))] for n in SIZES])
    chinchilla = draw(answer).axes[1]
    close(points(chinchilla, label), expected, "point xy")


def test_frontier_has_the_best_size_of_each_budget(answer):
    best = [best_size(flops) for flops in BUDGETS]
    losses = [loss(n, c / (6 * n)) for n, c in zip(best, BUDGETS, strict=True)]
    chinchilla = draw(answer).axes[1]
    close(points(chinchilla, "compute-optimal"), numbers([best, losses]).T, "point xy")


@pytest.mark.parametrize("flops", [2e17, 1e21, 4e24])
def test_frontier_goes_through_the_bottoms(answer, flops):
    chinchilla = draw(answer, [10 ** (6 + k / 50) for k in range(301)], [flops]).axes[1]
    valley = points(chinchilla, f"{flops:g} FLOPs")
    bottom = valley[valley[:, 1].argmin()]
    # The sizes are 5 % apart, and a valley is flat at its bottom.
    frontier = points(chinchilla, "compute-optimal")
    close(frontier[:, 0].log(), bottom[:1].log(), "point", rtol=0, atol=0.05)
    close(frontier[:, 1], bottom[1:], "point", rtol=1e-3, atol=0)


def test_nothing_else_has_a_label(answer):
    kaplan, chinchilla = draw(answer, SIZES, [1e20, 2.5e21]).axes
    assert sorted(labels(kaplan)) == ["parameters", "tokens"]
    expected = ["1e+20 FLOPs", "2.5e+21 FLOPs", "compute-optimal"]
    assert sorted(labels(chinchilla)) == expected


@pytest.mark.parametrize("panel", [0, 1])
def test_all_axes_are_logarithmic(answer, panel):
    axes = draw(answer).axes[panel]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


@pytest.mark.parametrize(("panel", "title"), [(0, "Kaplan"), (1, "Chinchilla")])
def test_panels_and_axes_have_their_names(answer, panel, title):
    axes = draw(answer).axes[panel]
    assert axes.get_title() == title
    assert "loss" in axes.get_ylabel().lower(), "the vertical axis is not called loss"
    assert axes.get_xlabel() != "", "the horizontal axis has no name"


@pytest.mark.parametrize("panel", [0, 1])
def test_a_legend_names_the_lines(answer, panel):
    axes = draw(answer).axes[panel]
    legend = axes.get_legend()
    assert legend is not None, "there is no legend"
    assert sorted(t.get_text() for t in legend.get_texts()) == sorted(labels(axes))


def test_frontier_of_one_budget_can_be_seen(answer):
    lines = draw(answer, SIZES, [1e20]).axes[1].lines
    markers = [line.get_marker() for line in lines if line.get_label() == "compute-optimal"]
    bare = [m in ("None", "none", "", " ", None) for m in markers]
    assert {"without a marker": bare} == {"without a marker": [False]}


def test_the_figure_belongs_to_no_window(answer):
    manager = draw(answer).canvas.manager
    assert {"made by pyplot": manager is not None} == {"made by pyplot": False}


def test_sizes_and_budgets_are_not_modified(answer):
    sizes, budgets = list(SIZES), list(BUDGETS)
    answer.plot_scaling(sizes, budgets)
    assert (sizes, budgets) == (list(SIZES), list(BUDGETS))


@pytest.mark.parametrize(
    ("sizes", "budgets"),
    [([], BUDGETS), (SIZES, []), ([0.0, 1e9], BUDGETS), (SIZES, [-1e20, 1e21])],
    ids=["no size", "no budget", "size 0", "budget below 0"],
)
def test_what_cannot_be_drawn_is_an_error(answer, sizes, budgets):
    with raises(ValueError):
        draw(answer, sizes, budgets)
