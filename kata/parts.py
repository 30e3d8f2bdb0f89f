"""A learner's own exercises where they are done, and the references where they are to do."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from kata import stubs
from kata.course import Course, Exercise
from kata.load import Source, fresh
from kata.show import OwnFiles


@dataclass(frozen=True)
class Mixed(Source):
    """One package of files from two trees: a file that is to do comes from the second one."""

    solutions: Path = Path()
    used: dict[Path, Path] = field(default_factory=dict)

    def file(self, chapter: str, name: str) -> Path | None:
        """The file that stands for `chapter/name`; it is remembered in `used`."""
        path = Path(chapter, f"{name}.py")
        own, other = self.tree / path, self.solutions / path
        found = other if stubs.is_to_do(own) and not stubs.is_to_do(other) else own
        if not found.is_file():
            return None
        self.used[path] = found
        return found


class Parts(OwnFiles):
    """Exercises by number, all in one package, so that they share their classes.

    Args:
        course: the catalogue.
        tree: the learner's folder of exercises.
    """

    def __init__(self, course: Course, tree: Path) -> None:
        super().__init__(course, tree)
        self._all = course.exercises
        first = self._all[0]  # any will do: the package serves them all
        self._source = Mixed(first, tree, (tree,), solutions=course.solutions_dir)
        self._package = self._open.enter_context(fresh(self._source)).package

    def __getitem__(self, number: str) -> ModuleType:
        """The module of an exercise.

        Raises:
            NotReady: its file is in neither tree, or cannot be executed.
        """
        if number not in self._modules:
            exercise = self._course.find(number)
            with self.blame(number):
                if self._source.file(exercise.chapter, exercise.name) is None:
                    raise FileNotFoundError(f"there is no {exercise.path}")
                name = f"{self._package}.{exercise.chapter}.{exercise.name}"
                self._modules[number] = importlib.import_module(name)
        return self._modules[number]

    def used(self) -> tuple[list[Exercise], list[Exercise]]:
        """What has been loaded so far: the learner's own exercises, and the borrowed ones."""
        files = self._source.used
        loaded = [e for e in self._all if e.path in files]
        own = [e for e in loaded if files[e.path].is_relative_to(self._tree)]
        return own, [e for e in loaded if e not in own]
