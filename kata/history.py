"""How the work went: a line in `.kata/history.jsonl` for each run that said something new.

Lines are only ever added, so several processes can write at once. A line that cannot be read is
skipped, and entries go by slug: those of exercises that are gone stay, and nobody looks at them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path

from kata.course import Course
from kata.verdict import Verdict

PAUSE = timedelta(minutes=15)
GRADED = (Verdict.PASS, Verdict.WRONG, Verdict.CRASH, Verdict.TIMEOUT)


@dataclass(frozen=True)
class Event:
    """What a run said about an exercise whose file or whose verdict had changed.

    Attributes:
        time: the end of the run.
        slug: of the exercise.
        verdict: on it.
        digest: the beginning of the fingerprint of the learner's file.
        passed: how many tests passed, of those that could be run.
        of: how many could be run.
    """

    time: datetime
    slug: str
    verdict: Verdict
    digest: str
    passed: int = 0
    of: int = 0

    @property
    def is_try(self) -> bool:
        """Whether there was something to grade: a stub that nobody has touched is no attempt."""
        return self.verdict in GRADED or (self.verdict is Verdict.TODO and self.passed > 0)


@dataclass
class Work:
    """What came together on one exercise; times are in UTC.

    Attributes:
        attempts: graded runs before which the file had changed.
        first: the first of them.
        last: the last of them.
        passed: when it first passed.
        time: an estimate of the time worked, see `work`.
    """

    attempts: int = 0
    first: datetime | None = None
    last: datetime | None = None
    passed: datetime | None = None
    time: timedelta = timedelta()


def file(course: Course) -> Path:
    """Where the lines lie."""
    return course.root / ".kata" / "history.jsonl"


def now() -> datetime:
    """The time that a line gets, in UTC: summer time must not turn the clock back."""
    return datetime.now(UTC).replace(microsecond=0)


def append(course: Course, events: Iterable[Event]) -> None:
    """Add lines at the end; a checkout that cannot be written is not an error."""
    lines = "".join(map(_line, events)).encode()
    if not lines:
        return
    with contextlib.suppress(OSError):
        path = file(course)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, so that it is one write: another process may add lines at the same time.
        with path.open("a+b", buffering=0) as out:
            if out.tell():
                out.seek(-1, 2)
                lines = lines if out.read(1) == b"\n" else b"\n" + lines  # after half a line
            out.write(lines)


def _line(event: Event) -> str:
    fields = vars(event) | {"time": event.time.isoformat()}
    return json.dumps(fields, separators=(",", ":")) + "\n"


def read(course: Course) -> list[Event]:
    """All that can be read, the oldest first."""
    try:
        lines = file(course).read_bytes().splitlines()
    except OSError:
        return []
    return sorted(filter(None, map(_event, lines)), key=lambda event: event.time)


def _event(line: bytes) -> Event | None:
    try:
        entry = json.loads(line)
        return Event(
            datetime.fromisoformat(entry["time"]).astimezone(UTC),
            str(entry["slug"]),
            Verdict(entry["verdict"]),
            str(entry["digest"]),
            int(entry["passed"]),
            int(entry["of"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def attempts(events: Iterable[Event]) -> list[Event]:
    """The events that are attempts: the file is not the one of the event before, by exercise."""
    found, seen = [], dict[str, str]()
    for event in events:
        if event.is_try and seen.get(event.slug) != event.digest:
            found.append(event)
        seen[event.slug] = event.digest
    return found


def work(events: Iterable[Event]) -> dict[str, Work]:
    """Attempts and times by slug.

    The time worked is an estimate: the time from the attempt before, at whatever exercise, belongs
    to what is tried next, in equal parts where that is several. After a pause of more than
    15 minutes nothing is added, as nobody knows when the work went on.

    Args:
        events: the oldest first.
    """
    events = list(events)
    found: dict[str, Work] = {}
    for event in events:
        it = found.setdefault(event.slug, Work())
        if event.verdict is Verdict.PASS and not it.passed:
            it.passed = event.time
    before: datetime | None = None
    for time, together in groupby(attempts(events), key=lambda event: event.time):
        tried = [found[event.slug] for event in together]
        gap = time - before if before else timedelta()
        for it in tried:
            it.attempts += 1
            it.first, it.last = it.first or time, time
            it.time += gap / len(tried) if gap <= PAUSE else timedelta()
        before = time
    return found


def passes(events: Iterable[Event], slugs: Iterable[str]) -> list[datetime]:
    """When these exercises first passed, in order."""
    found = work(events)
    times = [found[slug].passed for slug in slugs if slug in found]
    return sorted(time for time in times if time)


def days(events: Iterable[Event]) -> set[date]:
    """The days with an attempt, by the learner's clock."""
    return {event.time.astimezone().date() for event in attempts(events)}
