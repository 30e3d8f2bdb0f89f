"""Named wrong versions: the specification of the tests, and the source of every diagnosis.

A file `tests/chNN_topic/wrong_exMM_name.py` holds functions or classes called `target__mistake`.
Each stands for one mistake that learners make, names the graded tests that must catch it, and says
in its docstring the sentence that a learner is told.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kata.course import Course, Exercise
from kata.load import Source, SourceLoader
from kata.verdict import Verdict

T = TypeVar("T", bound=Callable[..., Any])
MARK = "__kata_wrong__"


def wrong(*, caught_by: Iterable[str] = (), crashes: Iterable[str] = ()) -> Callable[[T], T]:
    """Mark a wrong version with the tests that must catch it, and no others may.

    Args:
        caught_by: names, without `test_`, of the tests whose check fails.
        crashes: names of the tests in which it raises instead.
    """

    def mark(version: T) -> T:
        setattr(version, MARK, (frozenset(caught_by), frozenset(crashes)))
        return version

    return mark


@dataclass(frozen=True)
class WrongVersion:
    """One mistake: what it replaces, who catches it, and what a learner is told."""

    exercise: Exercise
    name: str
    sentence: str
    caught_by: frozenset[str]
    crashes: frozenset[str]

    @property
    def fails(self) -> frozenset[str]:
        """Every test that must fail, whether by its check or by an exception."""
        return self.caught_by | self.crashes

    @property
    def target(self) -> str:
        """The function or class that the wrong version stands in for."""
        return self.name.rsplit("__", 1)[0]


def disagreement(version: WrongVersion, row: Mapping[str, str]) -> str:
    """How the tests that a wrong version names differ from those that fail it, or an empty string.

    Args:
        version: what it says about itself.
        row: the verdict of each test on it; tests that were not run here say nothing.
    """
    ran = {test for test, verdict in row.items() if verdict != Verdict.NOT_RUN}
    parts = []
    for field, named, kind in (
        ("caught_by", version.caught_by, Verdict.WRONG),
        ("crashes", version.crashes, Verdict.CRASH),
    ):
        got = {test for test in ran if row[test] == kind}
        parts += [f"{field} lacks {test}" for test in sorted(got - named)]
        parts += [f"{field} names {test}: {row[test]}" for test in sorted((named & ran) - got)]
    known = (Verdict.PASS, Verdict.WRONG, Verdict.CRASH)
    parts += [f"{test} is a {row[test]}" for test in sorted(ran) if row[test] not in known]
    return "; ".join(parts)


def unproven(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The tests that were run on these wrong versions, and that none of them fails."""
    tests: set[str] = set()
    failed: set[str] = set()
    for row in rows:
        tests |= {test for test, verdict in row.items() if verdict != Verdict.NOT_RUN}
        failed |= {test for test, verdict in row.items() if Verdict(verdict).failed}
    return sorted(tests - failed)


@dataclass(frozen=True)
class Bank:
    """The wrong versions of one exercise."""

    course: Course
    exercise: Exercise

    @property
    def file(self) -> Path:
        """Where they are written."""
        return self.course.tests_dir / self.exercise.chapter / f"wrong_{self.exercise.name}.py"

    def versions(self) -> list[WrongVersion]:
        """Every wrong version, in the order of the file; none when there is no file."""
        return [
            WrongVersion(
                self.exercise,
                name,
                " ".join((inspect.getdoc(value) or "").split()),
                *getattr(value, MARK),
            )
            for name, value in self._load().items()
        ]

    def source(self, version: WrongVersion) -> Source:
        """A copy of the reference in which `version` stands in for its target."""
        solutions, own = self.course.solutions_dir, self.course.exercises_dir
        value = self._load()[version.name]
        value.__name__ = value.__qualname__ = version.target  # as messages name the learner's own
        return Source(self.exercise, solutions, (solutions, own), {version.target: value})

    def _load(self) -> Mapping[str, Any]:
        # Executed anew at each call: a test, or a mistake itself, may change the classes in it.
        if not self.file.is_file():
            return {}
        name = f"_kata_wrong.{self.exercise.chapter}.{self.exercise.name}"
        loader = SourceLoader(name, str(self.file))
        spec = importlib.util.spec_from_file_location(name, self.file, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        try:
            loader.exec_module(module)
        finally:
            del sys.modules[name]
        return {n: v for n, v in vars(module).items() if MARK in getattr(v, "__dict__", {})}
