"""Replacing a file that a person may have worked on: first a copy of it is kept, then it goes."""

from __future__ import annotations

import contextlib
import os
import time
from itertools import count
from pathlib import Path

from kata.course import Course
from kata.files import write_text


def folder(course: Course) -> Path:
    """Where the copies lie."""
    return course.root / ".kata" / "backup"


def replace(course: Course, path: Path, text: str) -> Path | None:
    """Write `text` to a file of the learner's tree, and return where its old content is kept.

    Whatever fails, the old content is still in the file or, complete, in the copy.

    Returns:
        The copy, or None when there was no file before.
    """
    kept = keep(course, path) if path.exists() else None
    write_text(path, text)
    return kept


def keep(course: Course, path: Path) -> Path:
    """Copy a file to `.kata/backup/`, with the time in its name; no older copy is touched."""
    content = path.read_bytes()
    target = folder(course) / path.parent.name
    target.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y-%m-%d_%H%M%S")
    for number in count(1):
        again = f"_{number}" if number > 1 else ""
        copy = target / f"{path.stem}.{stamp}{again}{path.suffix}"
        try:
            file = copy.open("xb")  # refuses a name that is taken
        except FileExistsError:
            continue
        try:
            with file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                copy.unlink()  # half a copy would be taken for a whole one
            raise
        return copy
    raise AssertionError  # count() does not end
