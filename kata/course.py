"""The catalogue of exercises, read from the tree: there is no list to keep in step."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TITLE = re.compile(
    r'^"""(?P<number>\d+\.\d+) (?P<title>.+?) {2,}'
    r"\[(?P<difficulty>easy|medium|hard), ~(?P<minutes>\d+) min\]$"
)
TEST_FILE = re.compile(r"(?P<chapter>ch\d\d_\w+)[/\\]test_(?P<name>ex\d\d_\w+)\.py")


class CourseError(Exception):
    """The user asked for something that the course does not have; the message says what it has."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: a file in each of the trees, and what its title line says."""

    chapter: str
    name: str
    title: str
    difficulty: str
    minutes: int

    @property
    def number(self) -> str:
        """The number a learner types, `1.5` for `ch01_…/ex05_…`."""
        return f"{int(self.chapter[2:4])}.{int(self.name[2:4])}"

    @property
    def slug(self) -> str:
        """A key without numbers, such as `tokenizers/merge_pair`: it survives renumbering."""
        return f"{self.chapter[5:]}/{self.name[5:]}"

    @property
    def path(self) -> Path:
        """Where the file lies inside a tree of answers."""
        return Path(self.chapter) / f"{self.name}.py"

    def __str__(self) -> str:
        return f"{self.number} {self.title}"


@dataclass(frozen=True)
class Course:
    """A checkout of the course: its folders and its exercises in order."""

    root: Path

    @property
    def exercises_dir(self) -> Path:
        """The tree that a learner edits."""
        return self.root / "exercises"

    @property
    def solutions_dir(self) -> Path:
        """The tree of references, the source of everything else."""
        return self.root / "solutions"

    @property
    def tests_dir(self) -> Path:
        """The tree of graded tests, wrong versions and hints."""
        return self.root / "tests"

    @cached_property
    def exercises(self) -> tuple[Exercise, ...]:
        """Every exercise that has a title line, in the order of the course."""
        return tuple(sorted(self._read(), key=lambda e: (e.chapter, e.name)))

    @property
    def given(self) -> list[Path]:
        """Files that several exercises share and nobody has to write; paths inside a tree."""
        files = self.solutions_dir.glob("ch*/*.py")
        return sorted(f.relative_to(self.solutions_dir) for f in files if f.stem[:2] != "ex")

    @property
    def chapters(self) -> dict[str, list[Exercise]]:
        """The exercises by chapter folder, in order."""
        chapters: dict[str, list[Exercise]] = {}
        for exercise in self.exercises:
            chapters.setdefault(exercise.chapter, []).append(exercise)
        return chapters

    def _read(self) -> Iterator[Exercise]:
        # A released course can lack a solution; then the stub's title line serves.
        relative = {
            path.relative_to(tree)
            for tree in (self.solutions_dir, self.exercises_dir)
            for path in tree.glob("ch*/ex*.py")
            if path.is_file()
        }
        for path in relative:
            solution = self.solutions_dir / path
            match = read_title(solution if solution.exists() else self.exercises_dir / path)
            if match:
                yield Exercise(
                    path.parent.name,
                    path.stem,
                    match["title"],
                    match["difficulty"],
                    int(match["minutes"]),
                )

    def find(self, key: str) -> Exercise:
        """Look an exercise up by number (`1.5`), name, slug or path.

        Raises:
            CourseError: nothing or more than one exercise has that name.
        """
        wanted = key.replace("\\", "/").removesuffix(".py").rstrip("/")
        tail = "/".join(wanted.split("/")[-2:])
        found = [
            e
            for e in self.exercises
            if wanted in (e.number, e.slug, e.name, e.name[5:])
            or tail in (f"{e.chapter}/{e.name}", f"{e.chapter}/test_{e.name}")
        ]
        if len(found) == 1:
            return found[0]
        if found:
            choices = ", ".join(f"{e.number} ({e.slug})" for e in found)
            raise CourseError(f"{key!r} is the name of several exercises: {choices}")
        raise CourseError(
            f"no exercise {key!r}; `kata list` shows them all (example: kata hint 1.5)"
        )

    def of_test_file(self, path: str | os.PathLike[str]) -> Exercise | None:
        """The exercise that a test file grades, or None when it grades none."""
        match = TEST_FILE.search(os.fspath(path))
        return self._by_file.get((match["chapter"], match["name"])) if match else None

    @cached_property
    def _by_file(self) -> dict[tuple[str, str], Exercise]:
        return {(e.chapter, e.name): e for e in self.exercises}


def chapter_title(chapter: str) -> str:
    """`ch01_tokenizers` as a heading: `1 tokenizers`."""
    return f"{int(chapter[2:4])} {chapter[5:].replace('_', ' ')}"


def read_title(path: Path) -> re.Match[str] | None:
    """The title line of an exercise file, parsed, or None when it has no such line."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return TITLE.match(file.readline().rstrip())


def find_root(start: Path) -> Path:
    """The course folder that contains `start`, else the one this tool was installed from."""
    for folder in (start, *start.parents):
        if (folder / "tests").is_dir() and (folder / "exercises").is_dir():
            return folder
    return Path(__file__).resolve().parent.parent
