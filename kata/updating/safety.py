"""What is not taken from anywhere: names that lead out of the course, and too much of anything."""

from __future__ import annotations

import re

from kata.course import CourseError
from kata.grading.handin import shown

LARGEST_FILE = 64 << 20
LARGEST_TREE = 512 << 20
MOST_FILES = 20_000
NEVER = {".git", ".kata"}
BROKEN_NAME = re.compile(r"[\x00-\x1f\\:]")  # a colon leads to another drive on Windows


def safe(path: str, name: str) -> str:
    """A path that stays inside of the course and out of git's and the tool's own folders.

    Raises:
        CourseError: it does not; `name` says where it comes from.
    """
    parts = path.split("/")
    if (
        BROKEN_NAME.search(path)
        or {"", ".", ".."} & set(parts)
        or NEVER & {part.lower().rstrip(". ") for part in parts}
    ):
        raise CourseError(f"{name} was not used: no course has a file {shown(path)}")
    return path


def check_size(sizes: list[int], name: str) -> None:
    """Refuse what is too large to be a course.

    Args:
        sizes: of the files, in bytes.
        name: where they come from.

    Raises:
        CourseError: it is.
    """
    if len(sizes) > MOST_FILES or sum(sizes) > LARGEST_TREE or max(sizes, default=0) > LARGEST_FILE:
        raise CourseError(f"{name} was not used: it is too large for a course")
