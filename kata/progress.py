"""What is done and what comes next: a cache of the last verdicts in `.kata/`, by slug.

The tests are the truth. An entry counts only while the file it was made for is unchanged, and a
cache that is gone comes back with the next run of pytest. How the work went is in kata.history.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kata import history
from kata.course import Course, Exercise, chapter_title
from kata.files import write_json
from kata.verdict import Verdict, relative

BAR = 20  # the longest
SHORTEST_BAR = 5
BESIDE_THE_BAR = 33  # columns of `1 tokenizers     [] 13 of 15 done`
DIGEST = 16  # hexadecimal digits


def state_file(course: Course) -> Path:
    """Where the cache lies."""
    return course.root / ".kata" / "state.json"


def read(course: Course) -> dict[str, Verdict]:
    """The last verdict on every exercise whose file has not changed since."""
    entries = _entries(course)
    return {
        exercise.slug: entries[exercise.slug].verdict
        for exercise in course.exercises
        if exercise.slug in entries and entries[exercise.slug].digest == digest(course, exercise)
    }


class _Entry(NamedTuple):
    verdict: Verdict
    digest: str


def _entries(course: Course) -> dict[str, _Entry]:
    """All that the cache holds, also on files that have changed and exercises that are gone."""
    try:
        entries = json.loads(state_file(course).read_text("utf-8"))["exercises"]
        return {
            slug: _Entry(Verdict(entry["verdict"]), entry["digest"])
            for slug, entry in entries.items()
            if f"{slug}{entry['digest']}".isprintable()  # no lone surrogates: those cannot be saved
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # none yet, or damaged: a cache may be forgotten


def save(
    course: Course,
    verdicts: Mapping[str, Verdict],
    counts: Mapping[str, tuple[int, int]] | None = None,
) -> None:
    """Add the verdicts of a run; a checkout that cannot be written is not an error.

    Args:
        course: the course.
        verdicts: by slug.
        counts: how many tests passed, and of how many; by slug.
    """
    before = _entries(course)
    found = {
        exercise.slug: _Entry(verdicts[exercise.slug], digest(course, exercise))
        for exercise in course.exercises
        if exercise.slug in verdicts
    }
    entries = {slug: entry._asdict() for slug, entry in (before | found).items()}
    with contextlib.suppress(OSError):
        write_json(state_file(course), {"schema": 1, "exercises": entries})
    time = history.now()
    events = {
        slug: history.Event(time, slug, *entry, *(counts or {}).get(slug, (0, 0)))
        for slug, entry in found.items()
        if entry != before.get(slug) and entry.verdict is not Verdict.MISSING
    }
    history.append(course, (e for slug, e in events.items() if _is_news(e, before.get(slug))))


def _is_news(event: history.Event, before: _Entry | None) -> bool:
    """Whether it is worth a line: not a stub that is as untouched as it was."""
    return event.is_try or (before is not None and before.verdict is not event.verdict)


# The docstring at the top and the numbers of chapters and exercises, in bytes of any encoding.
_NOT_CODE = re.compile(rb'\A(?:\xef\xbb\xbf)?""".*?"""|\b(?:ch|ex)\d\d(?=_)', re.DOTALL)


def digest(course: Course, exercise: Exercise) -> str:
    """A fingerprint of the code in the learner's file, empty when there is none.

    Renumbering the course changes the first docstring and imports, and no fingerprint.
    """
    try:
        content = (course.exercises_dir / exercise.path).read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(_NOT_CODE.sub(b"", content)).hexdigest()[:DIGEST]


def next_exercise(
    exercises: Iterable[Exercise], verdicts: Mapping[str, Verdict], tree: Path
) -> Exercise | None:
    """The failing exercise that was saved last, else the first that is not done.

    The one rule behind every "next" that a learner sees.
    """
    exercises = list(exercises)
    failing = [e for e in exercises if verdicts.get(e.slug, Verdict.TODO).failed]
    if failing:
        return max(failing, key=lambda e: _saved_at(tree / e.path))
    done = (Verdict.PASS, Verdict.NOT_RUN)
    return next((e for e in exercises if verdicts.get(e.slug) not in done), None)


def _saved_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def place(course: Course, exercise: Exercise, tree: Path, called: str = "") -> str:
    """`path:line` in a learner's file, in the form that editors make clickable.

    The line is that of the function `called` (`softmax`, `Linear.forward`, or `Linear`, a class),
    else the first one that is to do, else the first definition.
    """
    try:
        lines = (tree / exercise.path).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = reversed(called.split(".")) if called else ()  # an inherited method: then its class
    wanted = [rf"(def|class) {re.escape(name)}\b" for name in names]
    patterns = [*wanted, "raise NotImplementedError", "def ", "class "]
    numbers = [
        i
        for pattern in patterns
        for i, line in enumerate(lines, 1)
        if re.match(pattern, line.strip())
    ]
    return f"{relative(tree / exercise.path, course.root)}:{numbers[0] if numbers else 1}"


def bars(course: Course, verdicts: Mapping[str, Verdict], chapters: Iterable[str]) -> list[str]:
    """A line per chapter: its name, a bar where the terminal has room, and how many pass."""
    length = min(BAR, shutil.get_terminal_size().columns - BESIDE_THE_BAR)
    lines = []
    for chapter in chapters:
        exercises = course.chapters[chapter]
        done = sum(verdicts.get(e.slug) is Verdict.PASS for e in exercises)
        full = length * done // len(exercises)
        bar = f" [{'#' * full}{'.' * (length - full)}]" if length >= SHORTEST_BAR else ""
        lines.append(f"{chapter_title(chapter):<16}{bar} {done} of {len(exercises)} done")
    return lines


def next_lines(course: Course, exercise: Exercise | None, tree: Path) -> list[str]:
    """The one thing to do next, with the commands that help."""
    if exercise is None:
        return ["next: nothing left to do here. `kata show` runs what you have built."]
    number = exercise.number
    return [
        f"next: {place(course, exercise, tree)}  {exercise}  "
        f"(stuck? kata hint {number}   start over? kata reset {number})"
    ]
