from math import exp

import pytest
import torch

from kata.check import close, raises


def run():
    return [
        {"step": 1, "train_loss": 4.25, "val_loss": 4.5, "tokens": 64},
        {"step": 10, "train_loss": 3.0, "val_loss": 3.5, "tokens": 640},
        {"step": 200, "train_loss": 1.5, "val_loss": 2.25, "tokens": 12800},
    ]


def with_gaps():
    return [
        {"step": 0, "train_loss": 5.0, "val_loss": 5.25},
        {"step": 2, "train_loss": 4.0},
        {"step": 4, "train_loss": 3.5, "val_loss": None},
        {"step": 8, "train_loss": 3.25, "val_loss": 3.75},
        {"step": 16, "val_loss": 3.5},
        {"step": 32, "train_loss": 0.0, "val_loss": 2.5},
    ]


def curves(figure):
    """The points of each line of the left axis, by its label."""
    lines = figure.axes[0].lines
    return {str(line.get_label()): line.get_xydata().tolist() for line in lines}


def right_axis(figure):
    """The axis on the right, from `twinx` or `secondary_yaxis`."""
    others = [*figure.axes[1:], *figure.axes[0].child_axes]
    assert others, "there is no axis on the right"
    return others[0]


def read_on_the_right(figure, losses):
    """What the right axis says at the heights where the left one says `losses`."""
    figure.draw_without_rendering()
    left, right = figure.axes[0], right_axis(figure)
    places = left.transData.transform([(1.0, loss) for loss in losses])
    return torch.tensor(right.transData.inverted().transform(places)[:, 1].tolist())


def test_each_curve_has_its_steps_and_losses(answer):
    expected = {
        "train": [[1, 4.25], [10, 3.0], [200, 1.5]],
        "validation": [[1, 4.5], [10, 3.5], [200, 2.25]],
    }
    assert curves(answer.plot_history(run())) == expected


def test_steps_without_a_loss_are_left_out(answer):
    expected = {
        "train": [[2, 4.0], [4, 3.5], [8, 3.25], [32, 0.0]],
        "validation": [[8, 3.75], [16, 3.5], [32, 2.5]],
    }
    assert curves(answer.plot_history(with_gaps())) == expected


@pytest.mark.parametrize(("key", "label"), [("train_loss", "train"), ("val_loss", "validation")])
def test_one_curve_alone_can_be_drawn(answer, key, label):
    figure = answer.plot_history([{"step": 3, key: 2.5}, {"step": 5, key: 2.25}])
    assert curves(figure) == {label: [[3, 2.5], [5, 2.25]]}


@pytest.mark.parametrize("first", [0, 1])
def test_perplexity_is_exp_of_the_loss(answer, first):
    losses = [2.25, 2.5, 2.75, 3.0, 3.5]
    figure = answer.plot_history(run()[first:])
    assert right_axis(figure).get_ylabel() == "perplexity"
    expected = torch.tensor([exp(loss) for loss in losses])
    close(read_on_the_right(figure, losses), expected, "height")


def test_steps_are_on_a_logarithmic_axis(answer):
    left = answer.plot_history(run()).axes[0]
    assert (left.get_xscale(), left.get_yscale()) == ("log", "linear")
    assert left.get_xlabel() == "step"
    assert "loss" in left.get_ylabel()


def test_a_legend_names_the_curves(answer):
    legend = answer.plot_history(run()).axes[0].get_legend()
    assert legend is not None, "there is no legend"
    assert [text.get_text() for text in legend.get_texts()] == ["train", "validation"]


def test_a_single_point_can_be_seen(answer):
    lines = answer.plot_history(run()[:1]).axes[0].lines
    markers = {str(line.get_label()): line.get_marker() for line in lines}
    bare = [label for label, marker in markers.items() if marker in ("None", "", " ", None)]
    assert {"lines without a marker": bare} == {"lines without a marker": []}


def test_the_figure_belongs_to_no_window(answer):
    manager = answer.plot_history(run()).canvas.manager
    assert {"made by pyplot": manager is not None} == {"made by pyplot": False}


def test_the_history_is_not_modified(answer):
    history = with_gaps()
    answer.plot_history(history)
    assert history == with_gaps()


@pytest.mark.parametrize(
    "history",
    [[], [{"step": 0, "train_loss": 4.0, "val_loss": 4.0}], [{"step": 5, "val_loss": None}]],
    ids=["no entry", "step 0 only", "no loss"],
)
def test_nothing_to_draw_is_an_error(answer, history):
    with raises(ValueError):
        answer.plot_history(history)
