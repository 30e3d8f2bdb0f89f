"""Three hints per exercise, each a little closer to the answer, given one at a time."""

from __future__ import annotations

import contextlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from kata.course import Course, CourseError, Exercise
from kata.files import write_json

LEVELS = ("question", "direction", "nearly")


@dataclass(frozen=True)
class Hint:
    """One hint: its level from 1, how many there are, and whether the level was remembered."""

    level: int
    of: int
    text: str
    remembered: bool


def read(course: Course, exercise: Exercise) -> list[str]:
    """The hints on an exercise, the faintest first.

    Raises:
        CourseError: there are none, or they cannot be read.
    """
    file = course.tests_dir / exercise.chapter / "hints.toml"
    try:
        table = tomllib.loads(file.read_text("utf-8")).get(exercise.name, {})
    except FileNotFoundError:
        table = {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{file.relative_to(course.root)} cannot be read: {error}") from None
    found = [table[level] for level in LEVELS if isinstance(table, dict) and level in table]
    if not found:
        raise CourseError(f"there are no hints on {exercise} yet")
    return [" ".join(str(text).split()) for text in found]


def give(course: Course, exercise: Exercise, level: int | None = None) -> Hint:
    """The next hint on an exercise, or the one that is asked for.

    What was shown is remembered in `.kata/hints.json`, by slug, where that can be written.
    """
    texts = read(course, exercise)
    shown = _shown(course)
    before = shown.get(exercise.slug, 0)
    level = min(level or max(before, 0) + 1, len(texts))
    remembered = level <= before
    if not remembered:
        with contextlib.suppress(OSError):
            write_json(_file(course), shown | {exercise.slug: level})
            remembered = True
    return Hint(level, len(texts), texts[level - 1], remembered)


def _file(course: Course) -> Path:
    return course.root / ".kata" / "hints.json"


def _shown(course: Course) -> dict[str, int]:
    try:
        entries = json.loads(_file(course).read_text("utf-8"))
        return {
            slug: int(level)
            for slug, level in entries.items()
            if slug.isprintable()  # no lone surrogates: those cannot be saved
        }
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}  # nothing shown yet, or damaged: then the hints start again
