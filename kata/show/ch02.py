"""Chapter 2: a network made of the learner's own layers learns to tell three spiral arms apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from kata.course import Course
from kata.show import NotReady, OwnFiles, alone_with_seed

NEEDS = "This show runs your 2.1, 2.3 to 2.6, 2.8 and 2.10 to 2.12."
ARMS, POINTS = 3, 240  # as many points to learn from as are held out
WIDTH, BLOCKS, DROPOUT, STD = 32, 2, 0.05, 0.1
LEARNING_RATE, STEPS, SNAPSHOTS = 3e-3, 300, (0, 60, 100, 300)
EXTENT, PIXELS = 1.15, 160
GOOD = 0.9

INK, GREY, PAPER = "#1c1e21", "#6b6e76", "#ffffff"
# Blue, orange and green of Okabe and Ito can be told apart with every kind of colour vision, and
# each arm has a shape of its own besides.
COLOURS = ((0.0, 0.447, 0.698), (0.902, 0.624, 0.0), (0.0, 0.62, 0.451))
MARKERS = ("o", "^", "s")
VERMILION = "#d55e00"

MADE_OF = "Your own layers, {:,} parameters: Linear, {} blocks of LayerNorm and GPT2MLP, Linear."
LEARNED = "It learned"
DID_NOT_LEARN = "It did not learn much. Do the tests of this chapter pass? pytest tests/ch02_layers"


@dataclass(frozen=True)
class Spirals:
    """Points of the plane (n, 2) and the number of the arm (n,) that each belongs to."""

    x: Tensor
    arm: Tensor


@dataclass(frozen=True)
class Snapshot:
    """The network after some steps: how good it is, and what it thinks of every place."""

    step: int
    loss: float
    held_out_loss: float
    accuracy: float  # on the held-out points
    probs: Tensor  # (pixels, pixels, arms), from the bottom to the top


@dataclass
class History:
    """What came out of the training: losses for every step, taken before it."""

    parameters: int
    loss: list[float] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)


class Network(nn.Module):
    """The blocks of GPT-2 without their attention, every part of them the learner's."""

    def __init__(self, files: OwnFiles) -> None:
        super().__init__()
        linear, norm, mlp = files["2.1"].Linear, files["2.6"].LayerNorm, files["2.11"].GPT2MLP
        self.embed = linear(2, WIDTH)
        self.norms = nn.ModuleList([norm(WIDTH) for _ in range(BLOCKS)])
        self.mlps = nn.ModuleList([mlp(WIDTH, 4 * WIDTH, dropout=DROPOUT) for _ in range(BLOCKS)])
        self.last_norm = norm(WIDTH)
        self.head = linear(WIDTH, ARMS)

    def forward(self, x: Tensor) -> Tensor:
        """Points (n, 2) to logits (n, arms)."""
        x = self.embed(x)
        for norm, mlp in zip(self.norms, self.mlps, strict=True):
            x = x + mlp(norm(x))
        logits: Tensor = self.head(self.last_norm(x))
        return logits


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Train a network of the learner's layers, print how far it came, and draw it.

    Raises:
        NotReady: an exercise that this needs is not done, or failed.
    """
    training, held_out = spirals(seed=1), spirals(seed=2)
    with OwnFiles(course, tree, NEEDS) as files, alone_with_seed(0):
        history = train(files, training, held_out)
    _print(console, history)
    path = out / "ch02.png"
    out.mkdir(parents=True, exist_ok=True)
    draw(history, training, held_out).savefig(path, dpi=150)
    return [path]


def spirals(seed: int) -> Spirals:
    """Noisy points on spiral arms that wind round each other."""
    rng = torch.Generator().manual_seed(seed)
    radius = 0.08 + 0.92 * torch.rand(POINTS, generator=rng).sqrt()
    arm = torch.arange(POINTS) % ARMS
    angle = 10.5 * radius + 2 * math.pi / ARMS * arm
    x = radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return Spirals(x + 0.02 * torch.randn(POINTS, 2, generator=rng), arm)


# --------------------------------------------------------------------------------- training


def train(files: OwnFiles, training: Spirals, held_out: Spirals) -> History:
    """All points at each step, the learner's layers and loss, torch's optimizer."""
    with files.blame("2.11"):
        model = Network(files)
    with files.blame("2.12"):
        files["2.12"].init_gpt2_weights_(model, n_layer=BLOCKS, std=STD)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01)
    history = History(sum(parameter.numel() for parameter in parameters))
    for step in range(STEPS + 1):
        with torch.no_grad():
            history.held_out_loss.append(_loss(files, model.eval(), held_out).item())
        loss = _loss(files, model.train(), training)
        history.loss.append(loss.item())
        if step in SNAPSHOTS:
            history.snapshots.append(_snapshot(files, model.eval(), held_out, step, history))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        with files.blame("2.5"):
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return history


def _loss(files: OwnFiles, model: nn.Module, points: Spirals) -> Tensor:
    with files.blame("2.11"):
        logits = model(points.x)
    with files.blame("2.5"):
        loss = files["2.5"].cross_entropy(logits, points.arm)
    if not isinstance(loss, Tensor) or loss.dim():
        raise NotReady("2.5: `cross_entropy` did not return a tensor without axes")
    return loss


@torch.no_grad()
def _snapshot(
    files: OwnFiles, model: nn.Module, held_out: Spirals, step: int, history: History
) -> Snapshot:
    line = torch.linspace(-EXTENT, EXTENT, PIXELS)
    y, x = torch.meshgrid(line, line, indexing="ij")
    with files.blame("2.11"):
        logits = model(torch.stack([x, y], dim=-1).view(-1, 2))
        accuracy = (model(held_out.x).argmax(-1) == held_out.arm).double().mean().item()
    with files.blame("2.3"):
        probs = files["2.3"].softmax(logits, dim=-1).view(PIXELS, PIXELS, ARMS)
    return Snapshot(step, history.loss[-1], history.held_out_loss[-1], accuracy, probs)


# --------------------------------------------------------------------------------- terminal


def _print(console: Console, history: History) -> None:
    console.print(MADE_OF.format(history.parameters, BLOCKS))
    table = Table("step")
    for name in ("training loss", "held-out loss", "held-out accuracy"):
        table.add_column(name, justify="right")
    for snapshot in history.snapshots:
        losses = (f"{snapshot.loss:.3f}", f"{snapshot.held_out_loss:.3f}")
        table.add_row(str(snapshot.step), *losses, f"{snapshot.accuracy:.1%}")
    console.print(table)
    first, last = history.snapshots[0], history.snapshots[-1]
    if last.accuracy < GOOD:
        console.print(Text(DID_NOT_LEARN, "red"))
        return
    words = (
        f": the loss fell from {first.loss:.3f} (guessing gives ln {ARMS} = {math.log(ARMS):.3f}) "
        f"to {last.loss:.3f}, the accuracy rose from {first.accuracy:.1%} to {last.accuracy:.1%}."
    )
    console.print(Text(LEARNED, "green").append(words, "default"))


# ----------------------------------------------------------------------------------- figure


def draw(history: History, training: Spirals, held_out: Spirals) -> Figure:
    """The decision regions at the end and on the way there, and the loss."""
    figure = Figure(figsize=(12, 6.3), facecolor=PAPER)
    FigureCanvasAgg(figure)
    halves = figure.add_gridspec(
        1, 2, width_ratios=[1, 1.3], left=0.025, right=0.975, top=0.82, bottom=0.085, wspace=0.09
    )
    grid = halves[0, 1].subgridspec(2, 3, height_ratios=[1, 1.05], hspace=0.32, wspace=0.1)
    figure.text(0.025, 0.93, "A network of your own layers learns", fontsize=19, color=INK)
    words = (
        f"{history.parameters:,} parameters, {POINTS} points to learn from (small pictures), and "
        f"{POINTS} others, which it has never seen, to judge it by (large picture)"
    )
    figure.text(0.025, 0.882, words, fontsize=11, color=GREY)
    *before, last = history.snapshots
    main = figure.add_subplot(halves[0, 0])
    _regions(main, last, held_out, size=30)
    _title(main, f"step {last.step}: {last.accuracy:.1%} of these held-out points are right")
    for column, snapshot in enumerate(before):
        axes = figure.add_subplot(grid[0, column])
        _regions(axes, snapshot, training, size=7)
        _title(axes, f"step {snapshot.step}: {snapshot.accuracy:.1%}")
    _losses(figure.add_subplot(grid[1, :]), history)
    return figure


def _title(axes: Axes, words: str) -> None:
    axes.set_title(words, fontsize=10.5, color=INK, loc="left")


def _regions(axes: Axes, snapshot: Snapshot, points: Spirals, size: float) -> None:
    """What the network thinks of every place: the deeper the colour, the surer it is."""
    probs = snapshot.probs.double().nan_to_num()
    sure = (probs.amax(-1, keepdim=True) - 1 / ARMS) / (1 - 1 / ARMS)
    tint = probs @ torch.tensor(COLOURS, dtype=torch.float64)
    image = 1 - (1 - tint) * (0.08 + 0.42 * sure)
    box = (-EXTENT, EXTENT, -EXTENT, EXTENT)
    axes.imshow(image.clamp(0, 1).numpy(), extent=box, origin="lower", interpolation="bilinear")
    for arm in range(ARMS):
        others = torch.cat([probs[..., :arm], probs[..., arm + 1 :]], dim=-1).amax(-1)
        lead = (probs[..., arm] - others).numpy()
        if lead.min() < 0 < lead.max():
            axes.contour(lead, levels=[0.0], extent=box, colors=[INK], linewidths=0.6, alpha=0.5)
        x, y = points.x[points.arm == arm].T.numpy()
        look = {"color": [COLOURS[arm]], "edgecolors": PAPER, "linewidths": size**0.5 / 12}
        axes.scatter(x, y, s=size, marker=MARKERS[arm], **look)
    axes.set(xlim=box[:2], ylim=box[2:], xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _losses(axes: Axes, history: History) -> None:
    """Both losses by step, with a line at each step that has a picture."""
    chance = math.log(ARMS)
    axes.axhline(chance, color=GREY, linewidth=0.8, linestyle=":")
    axes.text(STEPS * 1.1, chance * 1.1, "guessing", color=GREY, fontsize=10, ha="right")
    for snapshot in history.snapshots[1:-1]:
        axes.axvline(snapshot.step, color=GREY, linewidth=0.6, alpha=0.4)
    curves = {
        "held out": (history.held_out_loss, VERMILION, (0, (5, 1.5))),
        "training": (history.loss, COLOURS[0], "solid"),
    }
    for name, (losses, colour, style) in curves.items():
        axes.plot(range(len(losses)), losses, color=colour, linewidth=1.6, linestyle=style)
        axes.text(STEPS * 1.01, losses[-1], name, color=colour, fontsize=10, va="center")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(0, STEPS * 1.1)
    axes.set_xlabel("step", color=GREY)
    _title(axes, "cross-entropy")
    axes.tick_params(colors=GREY, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
