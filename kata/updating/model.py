"""What a plan is made of: steps, what is to be said about them, and which file belongs to what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

BESIDE = ".kata/update"
PART = re.compile(
    r"(?P<tree>exercises|solutions|tests)/(?P<chapter>ch(?P<major>\d\d)_(?P<topic>\w+))"
    r"/(?P<kind>test_|wrong_|)(?P<name>ex(?P<minor>\d\d)_(?P<word>\w+))\.py"
)
Role = tuple[str, str, str]


@dataclass(frozen=True)
class Step:
    """One change of one file; `old` is what must be there, `new` what comes (None: no file)."""

    path: str
    old: bytes | None
    new: bytes | None


@dataclass
class Plan:
    """What is to be done, in this order, and what is to be said about it.

    Attributes:
        steps: the changes.
        new: exercises that are new, as they are shown.
        moved: exercises with another number: the old one, and the exercise as it is shown.
        gone: exercises that the course no longer has, and that stay because they are not its own.
        edited: the learner's exercises that stay as they are.
        notes: by path, what the learner should know about such a file.
        replaced: files that the learner changed and that become the course's.
        guessed: how many other files are replaced without it being known who changed them.
        left: other files that the course no longer has, and that the learner changed.
        blocked: what stands in the way of a file.
    """

    steps: list[Step] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)
    guessed: int = 0
    left: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)


def beside(path: str) -> str:
    """Where the new version of an exercise is put when the learner's file stays."""
    return f"{BESIDE}/{path.removeprefix('exercises/')}"


def role(path: str) -> Role | None:
    """Which file of which exercise this is, whatever the numbers; None for any other file."""
    part = PART.fullmatch(path)
    return (part["tree"] + part["kind"], part["topic"], part["word"]) if part else None


def number(path: str) -> str:
    """The number of an exercise, from the path of one of its files."""
    part = PART.fullmatch(path)
    return f"{int(part['major'])}.{int(part['minor'])}" if part else ""
