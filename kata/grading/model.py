"""What the parts of the grader hand each other: a submission, what protects, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kata.files import write_json

SCHEMA = 1


@dataclass(frozen=True)
class Protection:
    """One thing that keeps learner code from the machine and from the marks.

    Attributes:
        name: such as `file access`.
        active: whether it holds here.
        detail: by what means, or why not.
    """

    name: str
    active: bool
    detail: str


@dataclass(frozen=True)
class Submission:
    """What was taken from one hand-in.

    Attributes:
        name: how reports call it: unique in a class, and a safe file name.
        origin: the folder, zip file or work tree that it came from.
        tree: a clean folder that holds only `chNN_topic/*.py`, as `exercises/` does.
        problems: what was found wrong with the hand-in itself, a sentence each.
        submitted: when it was handed in, where that is known.
    """

    name: str
    origin: Path
    tree: Path
    problems: tuple[str, ...] = ()
    submitted: datetime | None = None


@dataclass
class Graded:
    """What came out of grading one submission: the source of every report, kept as JSON.

    Attributes:
        submission: its name.
        document: the verdict file of `pytest --grade-json`, see kata.grade.Ledger.document.
        problems: what was found wrong with the hand-in itself.
        protections: what held while it ran.
        tampered: why a human should look at it, a sentence each; empty when there is no reason.
        seconds: how long each exercise took, by slug.
        complete: whether every exercise that was asked for has its verdict.
        submitted: when it was handed in, in ISO format, or an empty string.
        fingerprint: of what the verdicts depend on, once complete; see kata.grading.classrun.
    """

    submission: str
    document: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    protections: list[Protection] = field(default_factory=list)
    tampered: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    complete: bool = False
    submitted: str = ""
    fingerprint: str = ""

    def save(self, file: Path) -> None:
        """Write it, replacing the file in one step."""
        write_json(file, {"schema": SCHEMA} | asdict(self))

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Graded:
        """Read what `save` wrote."""
        values = {k: v for k, v in data.items() if k != "schema"}
        values["protections"] = [Protection(**p) for p in values["protections"]]
        return cls(**values)
