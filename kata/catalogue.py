"""What `kata list` says: the exercises with their state, as rows and as a JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kata import progress
from kata.course import Course, CourseError, Exercise, chapter_title
from kata.text import ascii_safe, plural
from kata.verdict import Verdict

UNTESTED = "untested"  # edited since the last run of its tests
NO_FILE = "no file"
DONE = (Verdict.PASS, Verdict.NOT_RUN)


class Difficulty(StrEnum):
    """What a title line says of an exercise."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


@dataclass(frozen=True)
class Filter:
    """Which exercises are asked for: those that are all of this.

    Attributes:
        todo: not done.
        failing: the last run found something wrong.
        difficulty: that of the title line.
        minutes: at most.
        find: words that all stand in the title or the name.
    """

    todo: bool = False
    failing: bool = False
    difficulty: Difficulty | None = None
    minutes: int | None = None
    find: str = ""

    def takes(self, exercise: Exercise, verdict: Verdict | None) -> bool:
        """Whether an exercise with this last verdict is asked for."""
        named = f"{exercise.title} {exercise.name[5:]}".casefold()
        return (
            not (self.todo and verdict in DONE)
            and not (self.failing and not (verdict and verdict.failed))
            and self.difficulty in (None, exercise.difficulty)
            and (self.minutes is None or exercise.minutes <= self.minutes)
            and all(word in named for word in self.find.casefold().split())
        )

    def __str__(self) -> str:
        said = [
            "not done" if self.todo else "",
            "failing" if self.failing else "",
            self.difficulty or "",
            f"at most {plural(self.minutes, 'minute')}" if self.minutes is not None else "",
            f'"{ascii_safe(self.find)}" in its title or name' if self.find else "",
        ]
        return ", ".join(filter(None, said))


def find_chapter(course: Course, key: str) -> str:
    """Look a chapter folder up by number (`1`), folder name or topic.

    Raises:
        CourseError: there is no such chapter.
    """
    wanted = key.replace("\\", "/").rstrip("/").split("/")[-1]
    for chapter in course.chapters:
        number = chapter[2:4]
        if wanted in (number, str(int(number)), f"ch{number}", chapter, chapter[5:]):
            return chapter
    there = ", ".join(chapter_title(chapter) for chapter in course.chapters)
    raise CourseError(f"no chapter {key!r}; there are: {there}")


def state(course: Course, exercise: Exercise, verdicts: Mapping[str, Verdict]) -> str:
    """One word on an exercise: the last verdict, or what its file looks like without one."""
    try:
        text = (course.exercises_dir / exercise.path).read_text("utf-8", errors="replace")
    except OSError:
        return NO_FILE
    if exercise.slug in verdicts:
        return str(verdicts[exercise.slug])
    return str(Verdict.TODO) if "raise NotImplementedError" in text else UNTESTED


def document(
    course: Course, exercises: list[Exercise], verdicts: Mapping[str, Verdict]
) -> dict[str, Any]:
    """The list for other programs; `next` is the number of the exercise to do next."""
    following = progress.next_exercise(exercises, verdicts, course.exercises_dir)
    return {
        "schema": 1,
        "next": following.number if following else None,
        "exercises": [
            {
                "number": exercise.number,
                "slug": exercise.slug,
                "title": exercise.title,
                "difficulty": exercise.difficulty,
                "minutes": exercise.minutes,
                "state": state(course, exercise, verdicts),
                "path": (course.exercises_dir.relative_to(course.root) / exercise.path).as_posix(),
            }
            for exercise in exercises
        ],
    }
