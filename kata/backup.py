"""Replacing a file that a person may have worked on: first a copy of it is kept, then it goes."""

from __future__ import annotations

import contextlib
import os
import time
from itertools import count
from pathlib import Path

from kata import files
from kata.course import Course

TRIES = 20  # to catch a moment at which no other program is saving the file


# What a learner is told when they want to start over, in a command or in `kata watch`.
UNTOUCHED = "{} is as it was at the start. There is nothing to do."
START_OVER = "Start over with {}? A copy of your file is kept."
NOT_CHANGED = "{} was not changed: {}"


def folder(course: Course) -> Path:
    """Where the copies lie."""
    return course.root / ".kata" / "backup"


def stamp() -> str:
    """The time, as the names of copies have it."""
    return time.strftime("%Y-%m-%d_%H%M%S")


def replace(course: Course, path: Path, text: str) -> Path | None:
    """Write `text` to a file of the learner's tree, and return where its old content is kept.

    Whatever fails, the old content is still in the file or, complete, in the copy. What another
    program saves in the meantime is kept too.

    Returns:
        The copy, or None when there was no file before.
    """
    for left in reversed(range(TRIES)):
        old = files.content(path)
        kept = None if old is None else keep(course, path, old)
        try:
            files.write(path, text.encode(), expected=old)
            return kept
        except files.Changed:
            if not left:
                raise
    raise AssertionError  # the last try returns or raises


def keep(course: Course, path: Path, content: bytes) -> Path:
    """Copy what a file holds to `.kata/backup/`, with the time in its name, past older copies."""
    target = folder(course) / path.parent.name
    target.mkdir(parents=True, exist_ok=True)
    name = f"{path.stem}.{stamp()}"
    for number in count(1):
        again = f"_{number}" if number > 1 else ""
        copy = target / f"{name}{again}{path.suffix}"
        with contextlib.suppress(FileExistsError):
            save(copy, content)
            sync_folder(target)
            return copy
    raise AssertionError  # count() does not end


def save(copy: Path, content: bytes) -> None:
    """Write a new file that outlives a power cut once its folder is synced.

    Raises:
        FileExistsError: the name is taken.
        OSError: it cannot be written; then there is no such file.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    file = copy.open("xb")
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            copy.unlink()  # half a copy would be taken for a whole one
        raise


def sync_folder(path: Path) -> None:
    """Make the names of new files durable, where the system knows how."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some network folders refuse
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
