"""The students' repository: the course without the solutions of some exercises.

In the place of a solution that is left out lies its stub. So what imports it can still be read, and
`kata reset` has a beginning to go back to. Exercises that build on it get the learner's own file,
and a test that needs the solution itself is not run: only the instructor can judge that.

The wrong versions of such an exercise stay here too, for they are nearly the answer, and so do
those of other exercises that contain it. Its tests and hints go with the rest.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kata import stubs
from kata.course import Course, CourseError, Exercise
from kata.grading.similar import Reader
from kata.wrong import Bank

# What students get. Anything else that is kept in the instructor's repository, such as points,
# hidden tests, hand-ins and what proves the course itself, stays there.
RELEASED = re.compile(
    r"(README\.md|LICENSE|pyproject\.toml|noxfile\.py|\.gitignore|\.gitattributes)"
    r"|(\.vscode|exercises|solutions|kata)/.*"
    r"|tests/ch\d\d_\w+/((test|wrong)_ex\w+\.py|hints\.toml)"
    r"|\.ci/constraints\.txt|\.github/workflows/grade\.yml"
)
GIVES_AWAY = 0.7  # of the answer, in a wrong version of another exercise
NO_GIT = (
    "kata release copies the files that git knows, so that nothing else gets out: "
    "run it in a git checkout of the course"
)


def release(course: Course, to: Path, without: Sequence[Exercise]) -> list[Path]:
    """Write the students' repository.

    Every exercise in it is untouched, whatever the instructor has tried out in `exercises/`.

    Args:
        course: the instructor's copy, a git checkout.
        to: a new or an empty folder.
        without: the exercises whose solutions are left out.

    Returns:
        The files that were written; paths inside `to`.

    Raises:
        CourseError: `to` has something in it, the course is no checkout, or has no such solution.
    """
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise CourseError(f"{to} is not empty: nothing was written")
    if gone := [e for e in without if not stubs.has_solution(course, e)]:
        raise CourseError(f"there is no solution of {gone[0]} to leave out")
    left_out = {(course.solutions_dir / e.path).relative_to(course.root): e for e in without}
    kept_back = set(given_away(course, without))
    texts = _exercises(course) | {
        path: stubs.stub_of(course, exercise) for path, exercise in left_out.items()
    }
    files = [f for f in _tracked(course) if RELEASED.fullmatch(f.as_posix()) and f not in kept_back]
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as folder:
        staged = Path(folder, to.name)
        for file in files:
            _write(course.root / file, staged / file, texts.get(file))
        if to.exists():
            to.rmdir()
        os.replace(staged, to)
    return files


def given_away(course: Course, without: Sequence[Exercise]) -> list[Path]:
    """The files of wrong versions that contain one of these solutions, or nearly.

    Returns:
        Paths inside the course.
    """
    reader = Reader("".join(stubs.stub_of(course, e) for e in without))
    answers = [reader.read("", (course.solutions_dir / e.path).read_bytes()) for e in without]
    found = []
    for exercise in course.exercises:
        file = Bank(course, exercise).file
        if file.is_file():
            versions = reader.read("", file.read_bytes())
            if exercise in without or any(a.share_in(versions) >= GIVES_AWAY for a in answers):
                found.append(file.relative_to(course.root))
    return found


def _tracked(course: Course) -> list[Path]:
    """The files that git knows, as far as they are there and are no links."""
    command = ["git", "-C", str(course.root), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise CourseError(NO_GIT) from None
    files = [Path(os.fsdecode(name)) for name in listed.split(b"\0") if name]
    return [f for f in files if (course.root / f).is_file() and not (course.root / f).is_symlink()]


def _exercises(course: Course) -> dict[Path, str]:
    folder = course.exercises_dir.relative_to(course.root)
    return {folder / path: text for path, text in stubs.generated(course)}


def _write(source: Path, target: Path, text: str | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        shutil.copy(source, target)
    else:
        target.write_text(text, "utf-8", newline="\n")
