"""`kata show 9`: the capstone of chapter 9, on the references and on broken copies of them."""

import json
import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from kata.course import Course, find_root
from kata.show import NotReady, OwnFiles, ch09, tiny

COURSE = Course(find_root(Path(__file__).resolve()))
COMPUTE = 6e7
N_PARAMS = [2_000, 8_000, 30_000, 100_000]
VALLEY = [2.3, 2.0, 1.95, 2.2]

pytestmark = pytest.mark.timeout(60)  # the first optimizer of a process takes a while to import


@pytest.fixture
def tree(tmp_path):
    """A copy of the references that a test may break."""
    return Path(shutil.copytree(COURSE.solutions_dir, tmp_path / "answers"))


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Less compute, and the smallest of models; no text but the embedded one."""
    monkeypatch.setattr(ch09, "COMPUTE", COMPUTE)
    monkeypatch.setattr(ch09, "WIDTHS", (4, 8, 12))
    monkeypatch.setattr(ch09, "SETTINGS", ch09.SETTINGS | {"n_layer": 1, "context": 16})
    monkeypatch.delenv(tiny.VARIABLE, raising=False)
    monkeypatch.delenv("KATA_DATA", raising=False)


@pytest.fixture
def planted(monkeypatch):
    """Losses in the place of those that training gives."""

    def plant(losses):
        def trained(files, corpus, width, home, console, compute=None):
            n_params = N_PARAMS[width]
            return ch09.Run(width, n_params, 10**9 // n_params, 1.0, 1.0, history(losses[width]))

        monkeypatch.setattr(ch09, "_trained", trained)
        monkeypatch.setattr(ch09, "WIDTHS", (0, 1, 2, 3))
        monkeypatch.setattr(ch09, "_rehearse", lambda files: None)

    return plant


def history(loss):
    return [{"step": 1.0, "train_loss": loss, "val_loss": loss}]


def break_file(tree, name, old, new):
    path = tree / name
    source = path.read_text("utf-8")
    assert old in source
    path.write_text(source.replace(old, new, 1), "utf-8")


def run(tree):
    """What is printed."""
    console = Console(file=StringIO(), width=1000)
    try:
        (picture,) = ch09.show(COURSE, tree, tree.parent / "out", console)
    except KeyboardInterrupt:
        return console.file.getvalue()
    assert picture.name == "ch09.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    return console.file.getvalue()


def rows(terminal):
    """The table of the runs: width, N, D, times read, 6 N D, counted, two losses."""
    lines = re.findall(r"^│ +(\d.*) │$", terminal, re.MULTILINE)
    return [
        [float(cell.replace(",", "")) for cell in line.split("│")]
        for line in lines
        if line.count("│") == 7
    ]


# ------------------------------------------------------------------------------------ the runs


def test_every_size_gets_the_same_compute(tree):
    found = rows(run(tree))
    assert [row[0] for row in found] == [4, 8, 12]
    for _, n_params, tokens, _, estimate, counted, _, held_out in found:
        assert counted == pytest.approx(COMPUTE, rel=0.05)
        assert estimate == pytest.approx(6 * n_params * tokens, rel=0.01)
        assert 2 < held_out < 5


def test_the_parameters_are_those_of_the_model(tree):
    from solutions.ch04_models.ex02_gpt2_model import GPT2Config, GPT2Model

    vocab = len(set(tiny.PATH.read_text("utf-8")))
    model = GPT2Model(GPT2Config(vocab, 16, 8, 1, 1))
    expected = sum(p.numel() for p in model.parameters()) - 16 * 8
    assert rows(run(tree))[1][1] == expected


def test_finished_sizes_are_kept(tree, monkeypatch):
    first = run(tree)
    break_file(tree, "ch07_training/ex10_train_tiny_lm.py", "losses(row, checkpoint)", "losses()")
    monkeypatch.setattr(ch09, "_rehearse", lambda files: None)
    assert run(tree) == first
    (kept,) = re.findall(r"To train again, delete (.*)", first)
    assert not list(Path(kept).glob("*.pt"))
    shutil.rmtree(kept)
    with pytest.raises(NotReady, match=r"^7\.10 "):
        run(tree)


def test_what_was_interrupted_goes_on(tree, monkeypatch):
    def stop(self, task, **fields):
        usual(self, task, **fields)
        if fields.get("completed") == 3 and self.tasks[task].description == "width   8":
            raise KeyboardInterrupt

    straight = run(tree)
    shutil.rmtree(tree.parent / "out")
    usual = Progress.update
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", stop)
        stopped = run(tree)
    assert stopped.endswith("Stopped at width 8, step 3; `kata show 9` goes on.\n")
    home = next((tree.parent / "out" / "scaling").rglob("*.pt")).parent
    assert [path.name.split("-")[1] for path in sorted(home.iterdir())] == ["4", "8"]
    assert rows(run(tree)) == rows(straight)


def test_other_settings_are_another_training(tree, monkeypatch):
    first = rows(run(tree))
    monkeypatch.setattr(ch09, "COMPUTE", 2 * COMPUTE)
    assert [row[5] for row in rows(run(tree))] == pytest.approx([2 * COMPUTE] * 3, rel=0.05)
    monkeypatch.setattr(ch09, "COMPUTE", COMPUTE)
    assert rows(run(tree)) == first


def test_a_text_that_is_read_often_is_said_to_be_short(tree, monkeypatch):
    warning = "The text is short: who reads it more than 4 times"
    assert warning not in run(tree)
    monkeypatch.setattr(ch09, "MUCH_READ", 0.1)
    assert warning.replace("4", "0.1") in run(tree)


def test_a_text_may_be_too_short(tree, monkeypatch):
    text = tree.parent / "short.txt"
    text.write_text("too short")
    monkeypatch.setenv(tiny.VARIABLE, str(text))
    with pytest.raises(NotReady, match=r"^short has only 9 characters"):
        run(tree)


# ---------------------------------------------------------------------------------- the verdict


def test_a_minimum_is_told_in_two_digits(tree, planted):
    planted(VALLEY)
    terminal = run(tree)
    assert "Your points have a minimum. 6e+07 FLOPs are best spent on about 17,000 " in terminal
    assert "parameters and 59,000 characters, 4 for each parameter." in terminal
    assert "Best of those that were trained: 30,000 parameters." in terminal


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([2.0, 2.1, 2.3, 2.6], "The smallest model is the best here, with 2,000 parameters. For "
         "this budget the best size may well be smaller; these points cannot tell."),
        ([2.6, 2.3, 2.1, 2.0], "The largest model is the best here, with 100,000 parameters."),
    ],
)  # fmt: skip
def test_a_minimum_outside_of_the_points_is_not_made_up(tree, planted, losses, message):
    planted(losses)
    assert f"The minimum lies outside of your points. {message}" in run(tree)


def test_points_without_a_valley_are_called_so(tree, planted):
    planted([2.6, 2.0, 2.9, 2.1])
    assert "The points are no valley. Best of them is the one with 8,000 parameters" in run(tree)


@pytest.mark.parametrize(
    ("losses", "new", "message"),
    [
        (VALLEY, "raise ValueError", r"9\.3 does not find the minimum\. The parabola .* 16,8\d+ "),
        (
            VALLEY,
            "return 9e3",
            r"9\.3 finds another minimum\. 9\.3 says 9,000 parameters, it is 16,8",
        ),
        ([4, 3, 2, 1], "return 9e5", r"There is no minimum among the points\. 9\.3 says 900,000 "),
    ],
)
def test_a_wrong_minimum_is_noticed(tree, planted, losses, new, message):
    planted(losses)
    start = "    check_points(n_params"
    break_file(tree, "ch09_scaling/ex03_fit_power_law.py", start, f"    {new}\n{start}")
    terminal = run(tree)
    assert re.search(f"^{message}.*Do the tests of this chapter pass", terminal, re.MULTILINE)


def test_the_picture_has_both_laws_and_the_own_points(tree):
    runs = [
        ch09.Run(i, n, 10**9 // n, 1.0, 1.0, history(loss))
        for i, (n, loss) in enumerate(zip(N_PARAMS, VALLEY, strict=True))
    ]
    with OwnFiles(COURSE, tree) as files:
        valley = ch09._valley(files, runs)
        figure = ch09._figure(files, runs, valley)
    kaplan, chinchilla, points, curves = figure.axes
    assert (kaplan.get_title(), chinchilla.get_title()) == ("Kaplan", "Chinchilla")
    drawn = [tuple(map(float, line.get_xydata()[0])) for line in points.lines[:4]]
    assert drawn == list(zip(N_PARAMS, VALLEY, strict=True))
    assert len(curves.lines) == 4
    star = points.lines[-1].get_xydata()[0]
    dashed = points.lines[4].get_xydata()
    assert star[0] == pytest.approx(valley.lowest)
    assert star[1] <= dashed[:, 1].min() + 1e-9
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[0].y0 > boxes[2].y1 and boxes[1].y0 > boxes[3].y1


# ----------------------------------------------------------------------------- what it would cost


def test_models_are_ranked_with_their_reasons(tree, planted):
    planted(VALLEY)
    terminal = run(tree)
    words = r"│ 1 │ Llama 3.1 8B int8 +│ 1\.948 +│ ok: 12\.3 of 24\.0 +│ ok: 41\.1 of 50\.0 +│"
    assert re.search(words, terminal)
    assert re.search(r"│ - │ Llama 3.1 70B +│ 1\.857 +│ no: 151\.8 of 24\.0 ", terminal)
    assert (
        "Llama 3.1 8B int8 has the least loss of those that keep all limits: 12.3 of " in terminal
    )
    assert "Which model to rent H100s for? Asked for: 50 million tokens a day, 16 texts" in terminal


def test_a_budget_can_be_too_small(tree, planted, monkeypatch):
    planted(VALLEY)
    monkeypatch.setattr(ch09, "ASKED", ch09.ASKED | {"max_price_per_million": 0.01})
    assert run(tree).count("None keeps all three limits.") == 2


# ------------------------------------------------------------------------------- what is missing

TO_DO = 'raise NotImplementedError("x")'


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ch09_scaling/ex01_train_flops.py", "# solution", TO_DO, "^9.1 .* to do.* This show runs"),
        ("ch09_scaling/ex02_chinchilla.py", "# solution\n    if", f"{TO_DO}\n    if",
         "^9.2 .* to do"),
        ("ch09_scaling/ex03_fit_power_law.py", "# solution\n    check_points(n", TO_DO + "\n    (n",
         "^9.3 .* to do"),
        ("ch09_scaling/ex05_plot_scaling.py", "# solution", TO_DO, "^9.5 .* to do"),
        ("ch09_scaling/ex06_model_cost.py", "# solution", TO_DO, "^9.6 .* to do"),
        ("ch07_training/ex10_train_tiny_lm.py", "# solution", TO_DO, "^7.10 .* to do"),
        ("ch09_scaling/ex01_train_flops.py", "    return 2 * seq", "    return -2 * seq",
         "^9.1: `forward_flops` returned -.*, not a number above 0"),
        ("ch09_scaling/ex05_plot_scaling.py", "    return figure", "    return None",
         "^9.5: `plot_scaling` returned None, not a figure with two axes"),
        ("ch09_scaling/ex06_model_cost.py", '"reasons": reasons', '"reason": reasons',
         "^9.6 .*KeyError: 'reasons'"),
        ("ch07_training/ex15_muon.py", "alpha=-lr", "alpha=-lr * 1e38", "^7.10 "),
    ],
)  # fmt: skip
def test_what_is_not_ready_is_named_before_any_long_work(tree, name, old, new, message):
    break_file(tree, name, old, new)
    with pytest.raises(NotReady, match=message):
        run(tree)
    assert not (tree.parent / "out").exists()


def test_what_is_kept_is_plain(tree):
    run(tree)
    kept = sorted((tree.parent / "out" / "scaling").rglob("*.json"))
    parts = [json.loads(path.read_text("utf-8")) for path in kept]
    assert {part["width"] for part in parts} == {4, 8, 12}
    assert {*parts[0]} == {"width", "n_params", "tokens", "flops", "estimate", "history"}
