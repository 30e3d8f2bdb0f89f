"""Chapter 9: four sizes of the learner's own model, one budget of compute, and their valley."""

from __future__ import annotations

import json
import math
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import nn

from kata.course import Course
from kata.files import write_json
from kata.show import NotReady, OwnFiles, alone_with_seed, tiny
from kata.text import brief
from kata.verdict import relative

NEEDS = "This show runs your 9.1, 9.2, 9.3, 9.5, 9.6, 7.10 and 7.12, and all they are made of."
COMPUTE = 1.5e11  # FLOPs of each training: 10 to 40 seconds
WIDTHS = (8, 16, 32, 64)
HEAD_DIM = 16
SETTINGS: dict[str, Any] = {  # of TrainConfig (7.10); GPT-2, whose FLOPs 9.1 counts
    "architecture": "gpt2", "n_layer": 2, "context": 64, "batch_size": 8, "optimizer": "muon",
    "max_lr": 3e-3, "min_lr": 3e-5, "muon_lr": 0.02, "weight_decay": 0.1, "eval_tokens": 10_000,
}  # fmt: skip
EVALUATIONS, WARMUP = 16, 0.05  # times, and a part of the steps
SIZES = [10 ** (i / 10) for i in range(60, 121)]  # of the curves of 9.5
BUDGETS = [1e18, 1e20, 1e22, 1e24]
MUCH_READ = 4  # repeated more often than this, a text teaches less and less
SAME = 0.02  # between two ways to get the same minimum
MACHINES = ("L4", "H100")  # of 9.6
ASKED: dict[str, float] = {  # the Workload of 9.6
    "tokens_per_day": 5e7, "batch": 16, "context": 2048,
    "max_seconds_per_token": 0.05, "max_price_per_million": 1.5,
}  # fmt: skip
UNITS = {"memory, GB": " GB", "ms per token": " ms per token", "price per million": " per million"}
TESTS = "Do the tests of this chapter pass? pytest tests/ch09_scaling"


@dataclass(frozen=True)
class Run:
    """A model of one size, and how its training went."""

    width: int
    n_params: int  # all but the table of positions, which is only looked up
    tokens: int
    flops: float  # counted by 9.1
    estimate: float  # 6 N D
    history: list[dict[str, float]]

    @property
    def loss(self) -> float:
        """On held-out text, at the end."""
        return self.history[-1]["val_loss"]


@dataclass(frozen=True)
class Valley:
    """The parabola through the points, as this tool fits it, and what 9.3 says its minimum is."""

    coefficients: list[float]  # in log N
    lowest: float  # parameters
    inside: bool
    own: float | None


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Train the learner's model in four sizes with the same compute, and look for the best one.

    Raises:
        NotReady: an exercise that this needs is not done, or failed.
        KeyboardInterrupt: as always; what is trained so far is kept.
    """
    with OwnFiles(course, tree, NEEDS) as files, alone_with_seed(0):
        _rehearse(files)
        corpus = tiny.load(files)
        home = out / "scaling" / tree.name / corpus.key
        cut = int(0.9 * len(corpus.text))
        console.print(_what(corpus, cut) + "\n")
        runs = [_trained(files, corpus, width, home, console) for width in WIDTHS]
        valley = _valley(files, runs)
        _print_runs(console, runs, cut)
        good, head, rest = _verdict(runs, valley)
        colour = {True: "green", False: "red", None: "yellow"}[good]
        console.print(Text(head, colour).append(rest, "default"))
        console.print("\n" + _chinchilla(files))
        figure = _figure(files, runs, valley)
        for machine in MACHINES:
            _print_choice(files, machine, console)
    kept = relative(home, course.root)
    console.print(f"\nThe results are kept. To train again, delete {kept}", soft_wrap=True)
    picture = out / "ch09.png"
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=150)
    return [picture]


def _what(corpus: tiny.Corpus, cut: int) -> str:
    return (
        f"Your GPT-2 (4.2) learns to write from {corpus.title}, character by character, in "
        f"{len(WIDTHS)} sizes. Each training costs the same, {COMPUTE:.2g} FLOPs counted by your "
        "9.1: a small model reads much, a large one little, and its learning rate falls to the "
        f"end of its own run. They are judged by {len(corpus.text) - cut:,} characters that none "
        "has learned from."
    )


def _rehearse(files: OwnFiles) -> None:
    """Use everything once, in a moment, before the long work."""
    corpus = tiny.Corpus("", "the cat sat on the mat, " * 20)
    with tempfile.TemporaryDirectory() as folder:
        flops = 2 * _cost(files, _config(files, WIDTHS[0], 1), 10)
        silent = Console(file=StringIO())
        run = _trained(files, corpus, WIDTHS[0], Path(folder), silent, compute=flops)
    runs = [Run(w, 10**i, 1, 1, 1, run.history) for i, w in enumerate(range(3), 1)]
    _figure(files, runs, _valley(files, runs))
    _chinchilla(files)
    for machine in MACHINES:
        _print_choice(files, machine, silent)


# ----------------------------------------------------------------------------------- training


def _config(files: OwnFiles, width: int, steps: int) -> Any:
    changes = {
        "n_embd": width,
        "n_head": max(1, width // HEAD_DIM),
        "steps": steps,
        "warmup": max(1, round(WARMUP * steps)),
        "eval_every": max(1, steps // EVALUATIONS),
    }
    with files.blame("7.10"):
        return files["7.10"].TrainConfig(**SETTINGS | changes)


def _cost(files: OwnFiles, config: Any, vocab: int) -> float:
    """The FLOPs of a training step: the backward pass costs twice as much as the forward pass."""
    with files.blame("4.2"):
        sizes = files["4.2"].GPT2Config(
            vocab, config.context, config.n_embd, config.n_layer, config.n_head
        )
    with files.blame("9.1"):
        forward = files["9.1"].forward_flops(sizes, config.context)
    size: int = config.batch_size
    return 3 * size * _number("9.1", "forward_flops", forward)


def _number(number: str, name: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise NotReady(f"{number}: `{name}` returned {brief(value)}, not a number above 0")
    return float(value)


def _trained(
    files: OwnFiles,
    corpus: tiny.Corpus,
    width: int,
    home: Path,
    console: Console,
    compute: float | None = None,
) -> Run:
    """A model of this width at the end of its training, from an earlier run if there was one."""
    with files.blame("1.2"):
        vocab = files["1.2"].CharTokenizer(corpus.text).vocab_size
    step_flops = _cost(files, _config(files, width, 1), vocab)
    steps = max(1, round((compute or COMPUTE) / step_flops))
    config = _config(files, width, steps)
    if len(corpus.text) * 9 // 10 <= config.context:
        raise NotReady(f"{corpus.title} has only {len(corpus.text)} characters: too few to learn")
    settings = json.dumps(asdict(config), sort_keys=True)
    name = f"width-{width}-{zlib.crc32(settings.encode()):08x}"
    kept, checkpoint = home / f"{name}.json", home / f"{name}.pt"
    if kept.exists():
        return Run(**json.loads(kept.read_text("utf-8")))
    home.mkdir(parents=True, exist_ok=True)
    model = tiny.new_model(files, config, vocab)
    n_params = sum(p.numel() for p in model.parameters()) - config.context * width
    history = _train(files, corpus, config, model, checkpoint, console)
    tokens = steps * config.batch_size * config.context
    with files.blame("9.1"):
        estimate = files["9.1"].train_flops(n_params, tokens)
    estimate = _number("9.1", "train_flops", estimate)
    run = Run(width, n_params, tokens, steps * step_flops, estimate, history)
    write_json(kept, asdict(run))
    checkpoint.unlink(missing_ok=True)
    return run


def _train(
    files: OwnFiles,
    corpus: tiny.Corpus,
    config: Any,
    model: nn.Module,
    checkpoint: Path,
    console: Console,
) -> list[dict[str, float]]:
    last = 0
    try:
        with (
            tiny.bar(console, config.steps, f"width {config.n_embd:>3}") as progress,
            files.blame("7.10"),
        ):

            def report(row: dict[str, float]) -> None:
                nonlocal last
                last = int(row["step"])
                words = f"loss {row['train_loss']:.2f}  {row['tokens_per_second']:,.0f} tokens/s"
                progress(last, words)

            lm = files["7.10"].train_tiny_lm(
                corpus.text, config, checkpoint=checkpoint, report=report, model=model
            )
            history = [{k: float(v) for k, v in row.items()} for row in lm.history]
            loss = history[-1]["val_loss"]
    except KeyboardInterrupt:
        console.print(f"Stopped at width {config.n_embd}, step {last:,}; `kata show 9` goes on.")
        raise
    if not math.isfinite(loss):
        raise NotReady(f"7.10: the held-out loss at the end is {loss}. Try `pytest tests/ch07*`")
    return history


# ---------------------------------------------------------------------------------- the valley


def _valley(files: OwnFiles, runs: Sequence[Run]) -> Valley:
    n_params, losses = [run.n_params for run in runs], [run.loss for run in runs]
    own: float | None = None
    try:
        with files.blame("9.3"):
            own = files["9.3"].isoflop_minimum(list(n_params), list(losses))
        own = _number("9.3", "isoflop_minimum", own)
    except NotReady as error:
        if not isinstance(error.__cause__, ValueError):  # which says that there is none
            raise
    coefficients = np.polyfit(np.log(n_params), losses, 2)
    lowest = -coefficients[1] / (2 * coefficients[0]) if coefficients[0] > 1e-12 else math.inf
    inside = math.log(min(n_params)) <= lowest <= math.log(max(n_params))
    return Valley(coefficients.tolist(), math.exp(min(lowest, 700)), inside, own)


def _verdict(runs: Sequence[Run], valley: Valley) -> tuple[bool | None, str, str]:
    """Whether there is a best size (None: it cannot be told), and why."""
    best = min(runs, key=lambda run: run.loss)
    if valley.own is None and valley.inside:
        words = f" The parabola through these points has it at {valley.lowest:,.0f} parameters. "
        return False, "9.3 does not find the minimum.", words + TESTS
    if valley.own is not None and not valley.inside:
        words = f" 9.3 says {valley.own:,.0f} parameters, which none of the runs can show. "
        return False, "There is no minimum among the points.", words + TESTS
    if valley.own is None and best in (runs[0], runs[-1]):
        end, more = ("smallest", "smaller") if best is runs[0] else ("largest", "larger")
        words = (
            f" The {end} model is the best here, with {best.n_params:,} parameters. For this "
            f"budget the best size may well be {more}; these points cannot tell."
        )
        return None, "The minimum lies outside of your points.", words
    if valley.own is None:
        words = f" Best of them is the one with {best.n_params:,} parameters, by chance perhaps."
        return None, "The points are no valley.", words
    if abs(math.log(valley.own / valley.lowest)) > SAME:
        words = f" 9.3 says {valley.own:,.0f} parameters, it is {valley.lowest:,.0f}. "
        return False, "9.3 finds another minimum.", words + TESTS
    log_n, log_d = (np.log([getattr(run, key) for run in runs]) for key in ("n_params", "tokens"))
    tokens = math.exp(np.interp(math.log(valley.own), log_n, log_d))
    words = (
        f" {COMPUTE:.2g} FLOPs are best spent on about {_rounded(valley.own)} parameters and "
        f"{_rounded(tokens)} characters, {tokens / valley.own:.0f} for each parameter. Best of "
        f"those that were trained: {best.n_params:,} parameters. One run of each size says it "
        "only roughly."
    )
    return True, "Your points have a minimum.", words


def _rounded(value: float) -> str:
    """In two digits, all others are noise."""
    return f"{float(f'{value:.2g}'):,.0f}"


def _chinchilla(files: OwnFiles) -> str:
    with files.blame("9.2"):
        n_params, tokens = files["9.2"].optimal_allocation(COMPUTE)
    n_params = _number("9.2", "optimal_allocation", n_params)
    tokens = _number("9.2", "optimal_allocation", tokens)
    return (
        f"Chinchilla's constants (9.2) would say {_rounded(n_params)} parameters and "
        f"{_rounded(tokens)} tokens. They were fitted to models of a thousand times the size and "
        "more, to tokens of several characters, and to text that is never read twice: that they "
        "go on to hold so far down is not to be expected."
    )


def _print_runs(console: Console, runs: Sequence[Run], learned: int) -> None:
    head = ("width", "N", "D", "times read", "6 N D", "counted", "training", "held out")
    table = Table()
    for name in head:
        table.add_column(name, justify="right")
    best = min(runs, key=lambda run: run.loss)
    for run in runs:
        table.add_row(
            f"{run.width}",
            f"{run.n_params:,}",
            f"{run.tokens:,}",
            f"{run.tokens / learned:.1f}",
            f"{run.estimate:.2e}",
            f"{run.flops:.2e}",
            f"{run.history[-1]['train_loss']:.3f}",
            f"{run.loss:.3f}",
            style="bold" if run is best else "",
        )
    console.print(table)
    console.print(
        "N are all parameters but the table of positions, D the characters read. What 6 N D lacks "
        "of the count is attention between positions, a large part where the width is small."
    )
    if max(run.tokens for run in runs) > MUCH_READ * learned:
        console.print(
            f"The text is short: who reads it more than {MUCH_READ} times learns less from it than "
            "from new text, and more by heart. That pulls the minimum towards large models."
        )
    console.print()


# ----------------------------------------------------------------------------- what it would cost


def _print_choice(files: OwnFiles, machine: str, console: Console) -> None:
    """The models of 9.6 on a machine, ranked, each with the reasons."""
    with files.blame("9.6"):
        module = files["9.6"]
        load = module.Workload(**ASKED)
        ranked = module.rank_models(module.MODELS, getattr(module, machine), load)
        rows = [[str(c["name"]), f"{c['loss']:.3f}", *map(str, c["reasons"])] for c in ranked]
        suitable = [bool(choice["suitable"]) for choice in ranked]
    table = Table("", "model", "loss (9.2)", *UNITS)
    for place, (row, fits) in enumerate(zip(rows, suitable, strict=True), 1):
        cells = [x.removesuffix(unit) for x, unit in zip(row[2:], UNITS.values(), strict=True)]
        table.add_row(f"{place}" if fits else "-", *row[:2], *cells, style="" if fits else "dim")
    console.print(
        f"\nWhich model to rent {machine}s for? Asked for: {ASKED['tokens_per_day'] / 1e6:g} "
        f"million tokens a day, {ASKED['batch']} texts of {ASKED['context']} tokens side by side, "
        f"at most {1000 * ASKED['max_seconds_per_token']:g} ms per token and "
        f"{ASKED['max_price_per_million']:g} per million."
    )
    console.print(table)
    if not any(suitable):
        console.print("None keeps all three limits.")
        return
    why = ", ".join(reason.removeprefix("ok: ") for reason in rows[0][2:])
    console.print(f"{rows[0][0]} has the least loss of those that keep all limits: {why}.")


# ------------------------------------------------------------------------------------ the figure


def _figure(files: OwnFiles, runs: Sequence[Run], valley: Valley) -> Figure:
    """The curves of 9.5 above, the learner's own below."""
    with files.blame("9.5"):
        figure = files["9.5"].plot_scaling(list(SIZES), list(BUDGETS))
    if not isinstance(figure, Figure) or len(figure.axes) < 2:
        raise NotReady(f"9.5: `plot_scaling` returned {brief(figure)}, not a figure with two axes")
    figure.set_layout_engine("constrained")
    figure.set_size_inches(11, 9)
    grid = figure.add_gridspec(2, 2)
    for axes, place in zip(figure.axes[:2], (grid[0, 0], grid[0, 1]), strict=True):
        axes.set_subplotspec(place)
    title = f"yours: {COMPUTE:.2g} FLOPs for each size"
    below = {"xscale": "log", "ylabel": "held-out loss (nats per character)"}
    points = figure.add_subplot(grid[1, 0], title=title, xlabel="parameters", **below)
    curves = figure.add_subplot(
        grid[1, 1], title="yours: while they learn", xlabel="FLOPs spent", **below
    )
    _draw_points(points, runs, valley)
    for run in runs:
        spent = [row["step"] * run.flops / run.history[-1]["step"] for row in run.history]
        line = [row["val_loss"] for row in run.history]
        curves.plot(spent, line, "o-", ms=3, label=f"{run.n_params:,} parameters")
    for axes in (points, curves):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def _draw_points(axes: Axes, runs: Sequence[Run], valley: Valley) -> None:
    n_params = np.array([run.n_params for run in runs], dtype=float)
    for i, run in enumerate(runs):  # in the colours of the other panel
        axes.plot(run.n_params, run.loss, "o", ms=8, color=f"C{i}")
        axes.annotate(
            f"width {run.width}", (run.n_params, run.loss), (0, -16), textcoords="offset points",
            ha="center", fontsize=8,
        )  # fmt: skip
    fine = np.geomspace(n_params.min(), n_params.max(), 100)
    axes.plot(fine, np.polyval(valley.coefficients, np.log(fine)), "k--", lw=1, label="parabola")
    if valley.own is not None:
        least = np.polyval(valley.coefficients, math.log(valley.own))
        label = f"minimum (9.3): {_rounded(valley.own)} parameters"
        axes.plot(valley.own, least, "k*", ms=13, label=label)
    axes.margins(0.1)
