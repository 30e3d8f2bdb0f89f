"""Chapter 7: the learner's own language model is trained, and writes better and better."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from kata.course import Course
from kata.files import write_json, write_text
from kata.show import NotReady, OwnFiles, alone_with_seed, expect, tiny
from kata.show.ch07_page import Sample, document, perplexity, svg
from kata.text import ascii_safe, brief
from kata.verdict import relative

NEEDS = "This show runs your 7.10, 7.12, 7.14 and 5.10, and all that they are made of."
STEPS = 1000
SETTINGS: dict[str, Any] = {  # of TrainConfig (7.10)
    "architecture": "llama", "n_layer": 3, "n_head": 4, "n_embd": 96, "context": 64,
    "batch_size": 16, "optimizer": "muon", "max_lr": 3e-3, "min_lr": 6e-5, "muon_lr": 0.02,
    "warmup": 20, "weight_decay": 0.0, "eval_every": 20, "eval_tokens": 4096,
    "n_special": tiny.N_SPECIAL,
}  # fmt: skip
OFTEN, DECAY = 10, 2.0  # a text that is read more often than this is learned by heart without decay
SAMPLED = (0.02, 0.1, 0.3)  # parts of the steps; the end has a longer text
TEMPERATURE, SEED, SHORT, LONG = 0.8, 7, 200, 700
MOST_JUDGED = 60_000  # held-out tokens
TOLERANCE = 0.02  # between two ways to get the same loss
BY_HEART = 0.4
TESTS = "Do the tests of this chapter pass? pytest tests/ch07_training"


@dataclass
class Run:
    """A model that is trained, with all that one wants to see of it."""

    files: OwnFiles
    corpus: tiny.Corpus
    config: Any
    model: nn.Module
    tokenizer: Any
    home: Path
    console: Console
    held_out: Tensor
    samples: dict[int, Sample] = field(default_factory=dict)
    early: list[dict[str, float]] = field(default_factory=list)  # rows before the first history
    step: int = 0
    loss: float = 0.0  # in training, smoothed

    @property
    def checkpoint(self) -> Path:
        """The learner's own checkpoint (7.9)."""
        return self.home / "checkpoint.pt"

    @property
    def sorted_samples(self) -> list[Sample]:
        """What it wrote, in the order of the steps."""
        return [self.samples[step] for step in sorted(self.samples)]

    def row(self, row: dict[str, float], progress: Callable[[int, str], None]) -> None:
        """Show a row that 7.10 reports, and let the model write where it is time for that."""
        step, loss = int(row["step"]), row["train_loss"]
        if not math.isfinite(loss):
            raise NotReady(
                f"7.10: the loss is {loss} at step {step}, and training goes on. {TESTS}"
            )
        if self.step == 0 and step > 1:
            self.console.print(f"Going on after step {step - 1:,}.\n")
        self.loss = loss if self.step == 0 else 0.95 * self.loss + 0.05 * loss
        self.step = step
        if step < self.config.eval_every:
            before = [known for known in self.early if known["step"] < step]
            self.early = [*before, {"step": step, "train_loss": loss}]
        if step in {max(1, round(part * self.config.steps)) for part in SAMPLED}:
            self.sample(step)
        speed = row["tokens_per_second"]
        words = f"loss {self.loss:.2f}  perplexity {perplexity(self.loss)}  {speed:,.0f} tokens/s"
        progress(step, words)

    def sample(self, step: int) -> None:
        """Keep and print what the model writes now."""
        loss = self.nll(self.held_out[: self.config.eval_tokens]).mean().item()
        if not math.isfinite(loss):
            raise NotReady(f"7.10: the held-out loss is {loss} after step {step}. {TESTS}")
        self.samples[step] = Sample(step, loss, self.write(self.model, SHORT))
        samples = [vars(sample) for sample in self.samples.values()]
        write_json(self.home / "seen.json", {"samples": samples, "early": self.early})
        self.print(self.samples[step])

    def print(self, sample: Sample) -> None:
        """Write a sample on the console."""
        self.console.print(Text(sample.title, "cyan"))
        self.console.print(Text(ascii_safe(sample.text) + "\n"))

    def write(self, model: nn.Module, length: int) -> str:
        """A text by the learner's 5.10, always from the same random numbers."""
        start = "\n" if "\n" in self.corpus.text else self.corpus.text[0]
        size, was = self.tokenizer.vocab_size, model.training
        with self.files.blame("5.9"):
            config = self.files["5.9"].SamplingConfig(temperature=TEMPERATURE)
        with self.files.blame("5.10"):
            model.eval()
            new = self.files["5.10"].generate(
                lambda ids: model(ids)[..., :size],  # without the ids that no text contains
                torch.tensor([self.tokenizer.encode(start)]),
                length,
                config,
                context=self.config.context,
                generator=torch.Generator().manual_seed(SEED),
            )
            model.train(was)
        ids = expect("5.10", "generate", new, (1, length))[0].tolist()
        with self.files.blame("1.2"):
            text: str = self.tokenizer.decode(ids)
        return text.strip("\n")

    @torch.no_grad()
    def nll(self, ids: Tensor) -> Tensor:
        """-log p of all tokens but the first, in windows side by side, by torch's own function."""
        x, y, context, was = ids[:-1], ids[1:], self.config.context, self.model.training
        cut = len(x) // context * context
        blocks = [slice(i, min(i + 32 * context, cut)) for i in range(0, cut, 32 * context)]
        parts = [(x[block].view(-1, context), y[block]) for block in blocks]
        parts += [(x[None, cut:], y[cut:])] if cut < len(x) else []
        with self.files.blame("7.10"):
            self.model.eval()
            losses = [
                F.cross_entropy(self.model(x).float().flatten(0, 1), y, reduction="none")
                for x, y in parts
            ]
            self.model.train(was)
        return torch.cat(losses)

    @torch.no_grad()
    def looks_ahead(self) -> bool:
        """Whether what the model says at a place depends on what comes after it."""
        ids = self.held_out[None, : self.config.context]
        half = ids.shape[1] // 2
        with self.files.blame("7.10"):
            whole, part = self.model(ids)[:, :half], self.model(ids[:, :half])
        return not torch.allclose(whole, part, atol=1e-3)


def show(course: Course, tree: Path, out: Path, console: Console) -> list[Path]:
    """Train the learner's own model, or go on with it, and show how it learns to write.

    Raises:
        NotReady: an exercise that this needs is not done, or failed.
        KeyboardInterrupt: as always; what is trained so far is kept.
    """
    with OwnFiles(course, tree, NEEDS) as files, alone_with_seed(SEED):
        with tempfile.TemporaryDirectory() as nowhere:
            rehearsal = tiny.Corpus("", "the cat sat on the mat, " * 9)
            quick = {"n_embd": 8, "context": 8, "steps": 2, "warmup": 1}
            for _ in range(2):  # the second time it goes on from a checkpoint
                run = _run(files, rehearsal, quick, Path(nowhere), Console(file=StringIO()))
                _figure(files, _trained(run, Path(nowhere, "model.pt")).history)
        corpus = tiny.load(files)
        home = tiny.folder(tree, out)
        run = _run(files, corpus, {"steps": STEPS}, home / corpus.key, console)
        what = _what(run)
        console.print(f"{what}\n")
        try:
            lm = _trained(run, home / "model.pt")
        except NotReady as error:
            if not run.checkpoint.exists():
                raise
            again = (
                f"To start again without the checkpoint, delete {relative(run.home, course.root)}"
            )
            raise NotReady(f"{error}. {again}") from error.__cause__
        if run.step == 0:
            console.print("It was trained before. This is how it began to write:\n")
            for sample in run.sorted_samples:
                run.print(sample)
        story = run.write(lm.model, LONG)
        good, head, rest = _verdict(run, lm.history)
        picture, written = out / "ch07.png", out / "ch07.html"
        figure = _figure(files, run.early + lm.history)
        with files.blame("7.14"):
            figure.savefig(picture, dpi=150)
            curves = svg(figure)
        numbers = _numbers(run, lm.history)
    long = f"{len(story)} characters, temperature {TEMPERATURE}, seed {SEED}"
    console.print(Text(f"At the end: {long}", "cyan"))
    console.print(Text(ascii_safe(story) + "\n"))
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, number in numbers.items():
        table.add_row(name, number)
    console.print(table)
    console.print(Text(head, "green" if good else "red").append(rest, "default"))
    console.print(
        f"\nThe model is in {relative(home, course.root)}/model.pt. To train another one, delete "
        f"{relative(run.home, course.root)}",
        soft_wrap=True,
    )
    parts = (what, good, head, rest, run.sorted_samples, long, story, curves, numbers)
    write_text(written, document(*parts))
    return [picture, written]


# ---------------------------------------------------------------------------------- training


def _run(
    files: OwnFiles, corpus: tiny.Corpus, changes: dict[str, Any], home: Path, console: Console
) -> Run:
    settings = SETTINGS | changes
    cut = int(0.9 * len(corpus.text))
    if cut <= settings["context"] or len(corpus.text) - cut < 2:
        raise NotReady(f"{corpus.title} has only {len(corpus.text)} characters: too few to learn")
    if settings["steps"] * settings["batch_size"] * settings["context"] > OFTEN * cut:
        settings["weight_decay"] = DECAY
    with files.blame("1.2"):
        tokenizer = files["1.2"].CharTokenizer(corpus.text)
        held_out = torch.tensor(tokenizer.encode(corpus.text[cut:]))
    with files.blame("7.10"):
        config = files["7.10"].TrainConfig(**settings)
        vocab = tokenizer.vocab_size + config.n_special
    model = tiny.new_model(files, config, vocab)
    home.mkdir(parents=True, exist_ok=True)
    run = Run(files, corpus, config, model, tokenizer, home, console, held_out)
    seen = home / "seen.json"
    if run.checkpoint.exists() and seen.exists():
        known = json.loads(seen.read_text("utf-8"))
        run.samples = {sample["step"]: Sample(**sample) for sample in known["samples"]}
        run.early = known["early"]
    return run


def _trained(run: Run, path: Path) -> Any:
    """Train the model to its end, from its checkpoint if there is one; save it, and load it."""
    if not run.checkpoint.exists():
        run.sample(0)
    try:
        with tiny.bar(run.console, run.config.steps) as progress, run.files.blame("7.10"):
            lm = run.files["7.10"].train_tiny_lm(
                run.corpus.text,
                run.config,
                checkpoint=run.checkpoint,
                report=lambda row: run.row(row, progress),
                model=run.model,
            )
    except KeyboardInterrupt:
        kept = "`kata show 7` goes on from the last checkpoint"
        words = kept if run.checkpoint.exists() else "7.10 saved no checkpoint"
        run.console.print(f"Stopped after step {run.step:,}; {words}.")
        raise
    except NotReady as error:
        if not isinstance(error.__cause__, FloatingPointError):
            raise
        raise NotReady(f"7.10 stopped: {error.__cause__}. {TESTS}") from error.__cause__
    with run.files.blame("7.10"):
        last = lm.history[-1]["val_loss"]
        if not math.isfinite(last):
            raise NotReady(f"7.10: the held-out loss at the end is {last}. {TESTS}")
        beside = path.with_suffix(".part")
        lm.save(beside)
        os.replace(beside, path)
        loaded = run.files["7.10"].TinyLM.load(path)
        run.model = loaded.model
    return loaded


def _figure(files: OwnFiles, history: list[dict[str, float]]) -> Figure:
    with files.blame("7.14"):
        figure = files["7.14"].plot_history(history)
    if not isinstance(figure, Figure):
        raise NotReady(f"7.14: `plot_history` returned {brief(figure)}, not a figure")
    return figure


# -------------------------------------------------------------------------------- what it says


def _what(run: Run) -> str:
    text = run.corpus.text
    parameters = sum(p.numel() for p in run.model.parameters())
    return (
        f"A Llama of your own files with {parameters:,} parameters learns to write from "
        f"{run.corpus.title}, character by character. It sees {len(text) - len(run.held_out):,} "
        f"characters; the last {len(run.held_out):,} are held out, to judge it by."
    )


def _by_frequency(run: Run) -> float:
    """The held-out loss of who knows only how often each character occurs."""
    seen = run.corpus.text[: -len(run.held_out)]
    counts = torch.ones(run.tokenizer.vocab_size)
    counts += torch.bincount(torch.tensor(run.tokenizer.encode(seen)), minlength=len(counts))
    return F.cross_entropy(
        counts.log().expand(len(run.held_out), -1), run.held_out, reduction="mean"
    ).item()


def _at_end(history: list[dict[str, float]]) -> float:
    """The training loss at the end; a single step says little."""
    last = [row["train_loss"] for row in history[-5:]]
    return sum(last) / len(last)


def _numbers(run: Run, history: list[dict[str, float]]) -> dict[str, str]:
    """What is worth knowing about the run, by its name."""
    with run.files.blame("7.10"):
        seen, train = int(history[-1]["tokens"]), _at_end(history)
    size, length = run.tokenizer.vocab_size, len(run.corpus.text) - len(run.held_out)
    held_out = run.nll(run.held_out[:MOST_JUDGED]).mean().item()
    return {
        "parameters": f"{sum(p.numel() for p in run.model.parameters()):,}",
        "characters seen": f"{seen:,}",
        "times it has read the text": f"{seen / length:.1f}",
        f"loss of guessing, ln {size}": f"{math.log(size):.3f}",
        "loss of guessing by frequency": f"{_by_frequency(run):.3f}",
        "training loss at the end": f"{train:.3f}",
        "held-out loss at the end": f"{held_out:.3f}",
        "held-out perplexity": perplexity(held_out),
    }


def _verdict(run: Run, history: list[dict[str, float]]) -> tuple[bool, str, str]:
    """Whether the training did its work, in a few words, and the rest of the sentence."""
    judged = run.nll(run.held_out[:MOST_JUDGED])
    loss, guess = judged.mean().item(), _by_frequency(run)
    own, theirs = history[-1]["val_loss"], judged[: run.config.eval_tokens - 1].mean().item()
    if run.looks_ahead():
        words = " What it says at a place changes with the characters after it (3.1, 4.4): its "
        return False, "Your model looks ahead.", f"{words}losses mean nothing. {TESTS}"
    if abs(own - theirs) > TOLERANCE:
        words = f" 7.10 says {own:.3f} at the end, torch's cross_entropy {theirs:.3f} (7.3). "
        return False, "The validation loss is not right.", words + TESTS
    words = (
        f" Its loss on text that it has never seen is {loss:.2f} per character; who only knows how "
        f"often each character occurs gets {guess:.2f}."
    )
    if loss >= guess:
        return False, "It has not learned.", f"{words} {TESTS}"
    words += f" It hesitates as if between {perplexity(loss)} characters (perplexity)."
    if loss - _at_end(history) > BY_HEART:
        words += " It knows its own text much better: a text so short is soon learned by heart."
    return True, "It has learned to write.", words
