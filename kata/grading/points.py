"""What each exercise and test of an assignment is worth, read from one TOML file.

The whole file, of which every line can be left out:

    title = "Assignment 1"
    exercises = ["1.1-1.5", "attention", "5.4"]   # numbers, ranges, names, chapters; else all
    seed = 7
    due = 2026-11-30T23:59:00+01:00
    hidden = "hidden"             # a folder of more tests: ch05_decoding/test_ex04_top_p.py
    visibility = "after_due_date" # on Gradescope: visible, after_due_date, after_published, hidden

    [default]
    points = 1.0
    partial = true                # each passed test counts; false: all or nothing

    [points]                      # of an exercise, or of each in a range or chapter
    "5.4" = 2.0
    "6.2" = { points = 3, partial = false }

    [weights."5.4"]               # of a test, by its name; each of its cases counts so much
    keeps_the_token_that_crosses_p = 2

    [late]
    per_day = 0.1                 # of what was earned, for each day that has begun
    grace_minutes = 15
    days = 3                      # after this many days there are no points

What is wrong in it becomes a sentence in `Points.problems`, and the rest holds.
"""

from __future__ import annotations

import ast
import difflib
import math
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from kata.catalogue import find_chapter
from kata.course import Course, CourseError, Exercise
from kata.text import brief

VISIBILITIES = ("visible", "after_due_date", "after_published", "hidden")
MOST = 1_000_000
WANTED = {
    "title": "a text",
    "exercises": 'a list of exercises, such as ["1.1-1.5", "attention"]',
    "seed": "a whole number from 0",
    "due": "a date and time with its offset, such as 2026-11-30T23:59:00+01:00",
    "hidden": "a folder, beside this file",
    "visibility": f"one of {', '.join(VISIBILITIES)}",
    "default": "a table with points and partial",
    "points": "a table of exercises with their points",
    "weights": 'a table for each exercise, such as [weights."5.4"]',
    "late": "a table with per_day, grace_minutes and days",
}
POINTS = f"a number of points from 0 to {MOST}"
LATE = {
    "per_day": ("a fraction from 0 to 1", 1.0),
    "grace_minutes": ("a number of minutes from 0", float(MOST)),
    "days": ("a number of days from 0", float(MOST)),
}


@dataclass(frozen=True)
class Worth:
    """What an exercise is worth.

    Attributes:
        points: for all of its tests.
        partial: whether each passed test earns its part; else they count together or not at all.
    """

    points: float = 1.0
    partial: bool = True


@dataclass(frozen=True)
class LateRule:
    """What a late hand-in loses: a fraction per day begun, and everything after `days`."""

    per_day: float = 0.0
    grace_minutes: float = 0.0
    days: float = math.inf


@dataclass(frozen=True)
class Points:
    """One assignment: which exercises, what they are worth, and until when.

    Attributes:
        selected: its exercises, in the order of the course.
        title: how reports call it.
        seed: what every random choice of the grading starts from.
        due: until when, or None.
        late: what happens afterwards.
        hidden: a folder of tests that students do not have, or None.
        hidden_tests: their function names, by the slug of the exercise.
        visibility: when Gradescope shows the tests that are not hidden.
        worth: of each exercise, by slug.
        weights: of tests that do not weigh 1, by slug and then by name without `test_`.
        problems: what is wrong with the file, a sentence each.
    """

    selected: list[Exercise]
    title: str = "LLM Katas"
    seed: int = 0
    due: datetime | None = None
    late: LateRule = LateRule()
    hidden: Path | None = None
    hidden_tests: Mapping[str, frozenset[str]] = field(default_factory=dict)
    visibility: str = "visible"
    worth: Mapping[str, Worth] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def default(cls, course: Course) -> Points:
        """Every exercise of the course, one point each."""
        return cls(list(course.exercises))

    @classmethod
    def read(cls, path: Path, course: Course) -> Points:
        """Read a points file.

        Raises:
            OSError: it cannot be opened.
        """
        return _Reader(path, course).points()

    def is_hidden(self, exercise: Exercise, test: str) -> bool:
        """Whether a test, named as in the verdict file, is one that students do not have."""
        return test.partition("[")[0] in self.hidden_tests.get(exercise.slug, ())


class _Reader:
    """One points file on its way to `Points`: takes what is right and notes what is not."""

    def __init__(self, path: Path, course: Course) -> None:
        self.path = path
        self.course = course
        self.every = list(course.exercises)
        self.problems: list[str] = []

    def points(self) -> Points:
        data = self._load()
        self._known_keys(data, "", WANTED)
        selected = self._selected(data)
        hidden = self._hidden(data)
        return Points(
            selected=selected,
            title=self._value(data, "title", Points.title, _text),
            seed=self._value(data, "seed", 0, _seed),
            due=self._value(data, "due", None, _moment),
            late=self._late(data),
            hidden=hidden,
            hidden_tests=self._hidden_tests(hidden),
            visibility=self._value(data, "visibility", "visible", _visibility),
            worth=self._worths(data, selected),
            weights=self._weights(data, selected, hidden),
            problems=self.problems,
        )

    # ----------------------------------------------------------------------------- complaining

    def _say(self, sentence: str) -> None:
        if sentence not in self.problems:
            self.problems.append(sentence)

    def _complain(self, where: str, got: object, wanted: str) -> None:
        shown = got.isoformat() if isinstance(got, (date, time)) else brief(got)
        self._say(f"{self.path.name}: {where}: got {shown}, wanted {wanted}")

    def _known_keys(self, table: Mapping[str, Any], where: str, known: Collection[str]) -> None:
        for key in table.keys() - set(known):
            name = f"{where}.{key}" if where else key
            self._say(f"{self.path.name}: there is no key {name}, wanted {_meant(key, known)}")

    def _value(
        self, data: Mapping[str, Any], key: str, default: Any, take: Callable[[Any], Any]
    ) -> Any:
        if key not in data:
            return default
        try:
            return take(data[key])
        except ValueError:
            self._complain(key, data[key], WANTED[key])
            return default

    def _number(self, value: object, where: str, wanted: str, most: float = MOST) -> float | None:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most:
            return float(value)
        self._complain(where, value, wanted)
        return None

    # ------------------------------------------------------------------------------- exercises

    def _load(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.path.read_bytes().decode("utf-8-sig"))
        except ValueError as error:  # not TOML, or not UTF-8
            reason = str(error).partition("\n")[0]
            self._say(
                f"{self.path.name} is not a TOML file ({reason}); until it is, every exercise "
                "of the course counts one point"
            )
            return {}

    def _exercises(self, key: str, where: str) -> list[Exercise]:
        """What a number, a range of them, a name or a chapter stands for."""
        first, dash, last = (part.strip() for part in key.partition("-"))
        try:
            if not dash:
                return self._one_or_chapter(first)
            start, end = (self.every.index(self.course.find(end)) for end in (first, last))
        except CourseError:
            known = [name for e in self.every for name in (e.number, e.slug, e.name[5:])]
            known += [chapter[5:] for chapter in self.course.chapters]
            near = difflib.get_close_matches(key, known, 1)
            meant = f"wanted {near[0]}?" if near else "`kata list` shows them all"
            self._say(f"{self.path.name}: {where}: there is no exercise {brief(key)}; {meant}")
            return []
        if start > end:
            self._complain(where, key, f"the first exercise first: {last}-{first}")
        return self.every[start : end + 1]

    def _one_or_chapter(self, key: str) -> list[Exercise]:
        try:
            return [self.course.find(key)]
        except CourseError:
            return self.course.chapters[find_chapter(self.course, key)]

    def _selected(self, data: Mapping[str, Any]) -> list[Exercise]:
        keys = self._value(data, "exercises", None, _texts)
        chosen = {e for key in keys or () for e in self._exercises(key, "exercises")}
        return [e for e in self.every if e in chosen] if chosen else self.every

    def _selected_among(self, key: str, where: str, selected: list[Exercise]) -> Iterator[Exercise]:
        found = self._exercises(key, where)
        if found and not any(e in selected for e in found):
            self._say(f"{self.path.name}: {where}: the assignment does not have {key}")
        return (e for e in found if e in selected)

    # ---------------------------------------------------------------------- points and weights

    def _worths(self, data: Mapping[str, Any], selected: list[Exercise]) -> dict[str, Worth]:
        default = self._worth(self._value(data, "default", {}, _table), Worth(), "default")
        worths = {e.slug: default for e in selected}
        for key, value in _numbered(self._value(data, "points", {}, _table)):
            worth = self._worth(value, default, f"points.{key}")
            among = self._selected_among(key, f"points.{key}", selected)
            worths |= {e.slug: worth for e in among}
        return worths

    def _worth(self, value: object, default: Worth, where: str) -> Worth:
        table = value if isinstance(value, dict) else {"points": value}
        self._known_keys(table, where, ("points", "partial"))
        number, partial = default.points, table.get("partial", default.partial)
        if "points" in table:
            taken = self._number(table["points"], where, POINTS)
            number = number if taken is None else taken
        if not isinstance(partial, bool):
            self._complain(f"{where}.partial", partial, "true or false")
            partial = default.partial
        return Worth(number, partial)

    def _weights(
        self, data: Mapping[str, Any], selected: list[Exercise], hidden: Path | None
    ) -> dict[str, dict[str, float]]:
        weights: dict[str, dict[str, float]] = {}
        for key, table in _numbered(self._value(data, "weights", {}, _table)):
            where = f"weights.{key}"
            if not isinstance(table, dict):
                self._complain(where, table, "a table of tests with their weights")
                continue
            for exercise in self._selected_among(key, where, selected):
                weights[exercise.slug] = dict(self._of_tests(table, where, exercise, hidden))
        return weights

    def _of_tests(
        self, table: Mapping[str, Any], where: str, exercise: Exercise, hidden: Path | None
    ) -> Iterator[tuple[str, float]]:
        folders = [folder for folder in (self.course.tests_dir, hidden) if folder]
        known = [name[5:] for f in folders for name in self._tests_in(_test_file(f, exercise))]
        for key, value in table.items():
            name = key.removeprefix("test_")
            if name not in known:
                meant = _meant(name, known)
                self._say(f"{self.path.name}: {where}: there is no test {name}, wanted {meant}")
                continue
            number = self._number(value, f"{where}.{key}", f"a number from 0 to {MOST}")
            if number is not None:
                yield name, number

    def _late(self, data: Mapping[str, Any]) -> LateRule:
        table = self._value(data, "late", {}, _table)
        self._known_keys(table, "late", LATE)
        if table and "due" not in data:
            self._say(f"{self.path.name}: late: there is no due, wanted {WANTED['due']}")
        numbers = {
            key: self._number(table[key], f"late.{key}", *LATE[key]) for key in LATE if key in table
        }
        return LateRule(**{key: n for key, n in numbers.items() if n is not None})

    # ---------------------------------------------------------------------------- hidden tests

    def _hidden(self, data: Mapping[str, Any]) -> Path | None:
        def folder(value: object) -> Path:
            path = (self.path.parent / _text(value)).resolve()
            if not path.is_dir():
                raise ValueError
            return path

        found: Path | None = self._value(data, "hidden", None, folder)
        return found

    def _hidden_tests(self, folder: Path | None) -> dict[str, frozenset[str]]:
        if folder is None:
            return {}
        by_name = {_test_file(folder, e).relative_to(folder).as_posix(): e for e in self.every}
        found: dict[str, frozenset[str]] = {}
        for file in sorted(folder.rglob("test_*.py")):
            name = file.relative_to(folder).as_posix()
            if name not in by_name:
                meant = _meant(name, by_name)
                self._say(f"{self.path.name}: hidden: {name} is of no exercise, wanted {meant}")
                continue
            exercise = by_name[name]
            names = frozenset(self._tests_in(file))
            for twice in names.intersection(
                self._tests_in(_test_file(self.course.tests_dir, exercise))
            ):
                self._say(
                    f"{self.path.name}: hidden: {name} has a test {twice} that students have too, "
                    "wanted another name"
                )
            found[exercise.slug] = names
        return found

    def _tests_in(self, file: Path) -> list[str]:
        """The names of the test functions of a file, without running it."""
        try:
            tree = ast.parse(file.read_bytes() if file.is_file() else b"")
        except (SyntaxError, ValueError) as error:
            self._say(f"{self.path.name}: {file.name} is not Python: {error}")
            return []
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
        return [f.name for f in functions if f.name.startswith("test_")]


def _test_file(folder: Path, exercise: Exercise) -> Path:
    return folder / exercise.chapter / f"test_{exercise.name}.py"


def _numbered(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The items of a table, with `5.4 = 2` read as it is meant: TOML calls it 4 inside of 5."""
    for key, value in table.items():
        if key.isdecimal() and isinstance(value, dict):
            yield from ((f"{key}.{inner}", deeper) for inner, deeper in value.items())
        else:
            yield key, value


def _meant(got: str, known: Collection[str]) -> str:
    """The known name that is nearest, else what there is to choose from."""
    near = difflib.get_close_matches(got, known, 1)
    shown = [*known][:12] + ["..."] * (len(known) > 12)
    return near[0] if near else f"one of {', '.join(shown)}"


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValueError
    return [_text(element) for element in value]


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError
    return value


def _seed(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError
    return value


def _visibility(value: object) -> str:
    if value not in VISIBILITIES:
        raise ValueError
    return str(value)
