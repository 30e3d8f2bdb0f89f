"""What a submission earned: each test's part, each exercise's mark, and what lateness costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kata.course import Exercise
from kata.grading.model import Graded
from kata.grading.points import Points, Worth
from kata.text import plural
from kata.verdict import Verdict

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Part:
    """One test's part in the mark of an exercise.

    Attributes:
        name: as in the verdict file, `test_agrees[3]`; empty when it never got a verdict.
        verdict: what became of it.
        earned: points.
        possible: points; none for a test that could not be run here.
        hidden: whether students do not have this test.
    """

    name: str
    verdict: Verdict
    earned: float
    possible: float
    hidden: bool


@dataclass(frozen=True)
class Mark:
    """What one exercise earned.

    Attributes:
        exercise: which.
        verdict: of the exercise as a whole.
        earned: points, before anything is taken off for lateness.
        possible: points.
        tests: the parts that add up to them.
        partial: whether a part counts when another test did not pass.
        withheld: why a human decides about these points, or an empty string.
    """

    exercise: Exercise
    verdict: Verdict
    earned: float
    possible: float
    tests: tuple[Part, ...]
    partial: bool = True
    withheld: str = ""

    def parts(self, *, hidden: bool) -> list[Part]:
        """The tests that students have, or those that they do not have."""
        return [part for part in self.tests if part.hidden is hidden]


@dataclass(frozen=True)
class Late:
    """What lateness costs: a fraction of the points, and a sentence that says why."""

    fraction: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Marks:
    """What a submission earned, exercise by exercise."""

    exercises: tuple[Mark, ...]
    late: Late = Late()

    @property
    def earned(self) -> float:
        """All points, before anything is taken off for lateness."""
        return _rounded(sum(mark.earned for mark in self.exercises))

    @property
    def possible(self) -> float:
        """All points that could be earned here."""
        return _rounded(sum(mark.possible for mark in self.exercises))

    @property
    def penalty(self) -> float:
        """The points that lateness costs."""
        return _rounded(self.earned * self.late.fraction)

    @property
    def total(self) -> float:
        """What counts in the end."""
        return _rounded(self.earned - self.penalty)


def marks(graded: Graded, points: Points) -> Marks:
    """What a graded submission earned.

    An exercise whose grading somebody may have tampered with earns nothing until a human has looked
    at it: a sentence of `graded.tampered` that begins with its number or slug and a colon speaks of
    that exercise, any other of them all.
    """
    rows = graded.document.get("exercises", {})
    withheld = _withheld(graded, points.selected)
    return Marks(
        tuple(
            _mark(e, rows.get(e.slug, {}), withheld.get(e.slug, ""), points)
            for e in points.selected
        ),
        _lateness(graded.submitted, points),
    )


def _mark(exercise: Exercise, row: Mapping[str, Any], withheld: str, points: Points) -> Mark:
    worth = points.worth.get(exercise.slug, Worth())
    weights = points.weights.get(exercise.slug, {})
    tests = {name: Verdict(test["verdict"]) for name, test in row.get("tests", {}).items()}
    counted = [name for name, verdict in tests.items() if verdict is not Verdict.NOT_RUN]
    weighed = {name: weights.get(_function(name), 1.0) for name in counted}
    missing = max(0, row.get("expected", 1) - len(counted))
    met = {_function(name) for name in tests}
    # A test without verdict has no name: it is one of those that were weighed and not met, if any.
    unmet = sorted((w for name, w in weights.items() if name not in met), reverse=True)
    lost = [*unmet, *[1.0] * missing][:missing]
    whole = sum(weighed.values()) + sum(lost)
    one = worth.points / whole if whole else 0.0
    all_pass = not lost and all(tests[name] is Verdict.PASS for name in counted)

    def part(name: str, verdict: Verdict, weight: float) -> Part:
        earns = all_pass or (worth.partial and verdict is Verdict.PASS)
        earned = weight * one if earns and not withheld else 0.0
        return Part(name, verdict, earned, weight * one, points.is_hidden(exercise, name))

    parts = [part(name, verdict, weighed.get(name, 0.0)) for name, verdict in tests.items()]
    parts += [part("", Verdict.MISSING, weight) for weight in lost]
    return Mark(
        exercise,
        Verdict(row.get("verdict", Verdict.MISSING)),
        _rounded(sum(p.earned for p in parts)),
        _rounded(sum(p.possible for p in parts)),
        tuple(parts),
        worth.partial,
        withheld,
    )


def _function(test: str) -> str:
    return test.partition("[")[0].removeprefix("test_")


def _withheld(graded: Graded, exercises: list[Exercise]) -> dict[str, str]:
    """Why a human has to look at exercises first, by slug."""
    by_name = {name: e.slug for e in exercises for name in (e.number, e.slug)}
    found: dict[str, str] = {}
    for said in graded.tampered:
        slug = by_name.get(said.partition(":")[0])
        for about in [slug] if slug else [e.slug for e in exercises]:
            found.setdefault(about, said)
    return found


def _lateness(submitted: str, points: Points) -> Late:
    if points.due is None:
        return Late()
    try:
        at = datetime.fromisoformat(submitted).astimezone(points.due.tzinfo)
    except ValueError:
        return Late(0.0, "when it was handed in is not known")
    late, rule = at - points.due, points.late
    if late <= timedelta(minutes=rule.grace_minutes):
        return Late()
    days = math.ceil(late / DAY)
    said = f"handed in {_duration(late)} late"
    if days > rule.days:
        return Late(1.0, f"{said}, after the last day for it")
    if not rule.per_day:
        return Late(0.0, said)
    fraction = min(1.0, days * rule.per_day)
    off = (
        f"{100 * fraction:.4g} % off ({100 * rule.per_day:.4g} % for each of {plural(days, 'day')})"
    )
    return Late(fraction, f"{said}: {off if days > 1 else off.partition(' (')[0]}")


def _duration(length: timedelta) -> str:
    hours = int(length / timedelta(hours=1))
    if hours >= 24:
        return plural(hours // 24, "day") + (f" {hours % 24} h" if hours % 24 else "")
    return f"{hours} h" if hours else plural(int(length / timedelta(minutes=1)), "minute")


def _rounded(points: float) -> float:
    return round(points, 4)
