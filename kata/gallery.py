"""Finds and runs the show of a chapter, `kata/show/chNN.py`, on a learner's own files."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from rich.console import Console

from kata import progress
from kata.catalogue import DONE
from kata.course import Course, CourseError, chapter_title


def default_chapter(course: Course) -> str:
    """The last chapter that is done, else the first one, among those that have a show."""
    verdicts = progress.read(course)
    shows = [name for name in course.chapters if _has_show(name)] or list(course.chapters)
    done = [
        name for name in shows if all(verdicts.get(e.slug) in DONE for e in course.chapters[name])
    ]
    return done[-1] if done else shows[0]


def run(course: Course, chapter: str, tree: Path, out: Path, console: Console) -> list[Path]:
    """Run the show of a chapter, and return the pages that it wrote.

    Raises:
        CourseError: the chapter has no show.
        NotReady: an exercise that it needs is not done, or raised an error; from kata.show.
    """
    if not _has_show(chapter):
        raise CourseError(f"chapter {chapter_title(chapter)} has nothing to show yet")
    pages: list[Path] = importlib.import_module(_module(chapter)).show(course, tree, out, console)
    return pages


def _module(chapter: str) -> str:
    return f"kata.show.{chapter[:4]}"


def _has_show(chapter: str) -> bool:
    return importlib.util.find_spec(_module(chapter)) is not None
