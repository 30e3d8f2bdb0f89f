"""Finds and runs the show of a chapter, `kata/show/chNN.py`, on a learner's own files."""

from __future__ import annotations

import importlib
import importlib.util
import traceback
from pathlib import Path

from rich.console import Console

from kata import progress
from kata.answer import is_stub
from kata.catalogue import DONE
from kata.course import Course, CourseError, chapter_title
from kata.verdict import relative


class CannotShow(Exception):
    """An exercise that the show needs is not done, or the learner's code raised in it."""


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
        CannotShow: it came to no end; the message says what to do.
    """
    if not _has_show(chapter):
        raise CourseError(f"chapter {chapter_title(chapter)} has nothing to show yet")
    from kata.show import NotReady

    module = importlib.import_module(_module(chapter))
    try:
        pages: list[Path] = module.show(course, tree, out, console)
    except NotReady as error:
        raise CannotShow(str(error)) from None
    except Exception as error:
        place = _place_in(tree, error)
        if place is None:
            raise
        raise CannotShow(_in_words(error, relative(place, course.root))) from None
    return pages


def _module(chapter: str) -> str:
    return f"kata.show.{chapter[:4]}"


def _has_show(chapter: str) -> bool:
    return importlib.util.find_spec(_module(chapter)) is not None


def _in_words(error: Exception, place: str) -> str:
    if is_stub(error):
        return f"{place} is still to do"
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"your code at {place} raised {what}"


def _place_in(tree: Path, error: Exception) -> str | None:
    """`path:line` of the learner's line that raised, or None when the fault is not theirs."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(tree):
            return f"{frame.filename}:{frame.lineno}"
    return None
