"""What `kata list` says: the exercises with their state, as rows and as a JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kata import progress
from kata.course import Course, CourseError, Exercise, chapter_title
from kata.verdict import Verdict

UNTESTED = "untested"  # edited since the last run of its tests
NO_FILE = "no file"
DONE = (Verdict.PASS, Verdict.NOT_RUN)


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
