"""The tiny language model of chapter 7: what it learns from, how it is made and watched while it
learns, and where later chapters find it.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from kata.corpus import PATH
from kata.data import RealData
from kata.show import NotReady, OwnFiles
from kata.text import brief

VARIABLE = "KATA_CORPUS"  # another text: a file, or what else 7.12 can read
SHAKESPEARE = "tinyshakespeare/input.txt"  # in KATA_DATA
N_SPECIAL = 4  # ids that no text contains, for the control tokens of chapter 8


@dataclass(frozen=True)
class Corpus:
    """A text to learn from."""

    title: str
    text: str

    @property
    def key(self) -> str:
        """A name for files that no other text has."""
        name = re.sub(r"\W+", "-", self.title.lower()).strip("-")[:40]
        return f"{name}-{zlib.crc32(self.text.encode('utf-8', 'surrogatepass')):08x}"


def folder(tree: Path, out: Path) -> Path:
    """Where the models of a tree of answers are, below the folder of the pages."""
    return out / "tiny" / tree.name


def trained(tree: Path, out: Path) -> Path:
    """The model that `kata show 7` trained last: a file for `TinyLM.load` of 7.10.

    Raises:
        NotReady: there is none.
    """
    path = folder(tree, out) / "model.pt"
    if not path.exists():
        raise NotReady("There is no trained model yet. `kata show 7` trains it in about a minute")
    return path


def load(files: OwnFiles) -> Corpus:
    """The text that the environment names, else the project's own, read by the learner's 7.12.

    Raises:
        NotReady: there is no such text, or 7.12 returned something else.
    """
    found, named = RealData().find(SHAKESPEARE), os.environ.get(VARIABLE, "")
    if named:
        title, source, file = Path(named).stem, named, Path(named)
    elif found is not None:
        title, source, file = "tiny Shakespeare", str(found), found
    else:
        title, source, file = "The Harbour of Sella", "embedded", PATH
    with files.blame("7.12"):
        text = files["7.12"].load_corpus(source, "all")
    if not isinstance(text, str):
        raise NotReady(f"7.12: `load_corpus` returned {brief(text)}, not a text")
    if file.is_file() and _lines(text) != _lines(file.read_bytes().decode("utf-8", "replace")):
        raise NotReady(
            f"7.12: `load_corpus({source!r}, 'all')` returned {len(text):,} characters that are "
            f"not the text of {file}"
        )
    return Corpus(title, text)


def new_model(files: OwnFiles, config: Any, vocab: int) -> nn.Module:
    """An untrained model by 7.10, always with the same weights.

    Raises:
        NotReady: 7.10 failed, or returned something else.
    """
    with files.blame("7.10"):
        torch.manual_seed(config.seed)
        model = files["7.10"].build_model(config, vocab)
    if not isinstance(model, nn.Module):
        raise NotReady(f"7.10: `build_model` returned {brief(model)}, not a module")
    return model


@contextmanager
def bar(console: Console, steps: int, name: str = "") -> Iterator[Callable[[int, str], None]]:
    """A progress bar of a training; what it gives is called with the step and some words."""
    columns = (
        *([TextColumn("{task.description}")] if name else []),
        MofNCompleteColumn(),
        BarColumn(20),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    with Progress(
        *columns, console=console, refresh_per_second=4, transient=True, disable=hidden
    ) as progress:
        task = progress.add_task(name, total=steps, words="")
        yield lambda step, words: progress.update(task, completed=step, words=words)


def _lines(text: str) -> list[str]:
    """The lines of a text, whatever they end with: to read a file as text may change that."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
