"""What the shell offers when a learner presses Tab: exercises and chapters, each with its title."""

from __future__ import annotations

import contextlib
from pathlib import Path

from kata.course import Course, find_root

Offers = list[tuple[str, str]]  # what is typed, and what it is


def exercises(incomplete: str) -> Offers:
    """The exercises by number, or by name once a letter is typed.

    Whatever goes wrong, nothing is offered: a message would end up in the middle of a prompt.
    """
    with contextlib.suppress(Exception):
        found = Course(find_root(Path.cwd())).exercises
        by_name = incomplete[:1].isalpha()
        return [(e.name[5:] if by_name else e.number, e.title) for e in found]
    return []


def chapters(incomplete: str) -> Offers:
    """The chapters by number, or by topic once a letter is typed."""
    with contextlib.suppress(Exception):
        found = Course(find_root(Path.cwd())).chapters
        if incomplete[:1].isalpha():
            return [(chapter[5:], f"chapter {int(chapter[2:4])}") for chapter in found]
        return [(str(int(chapter[2:4])), chapter[5:].replace("_", " ")) for chapter in found]
    return []
