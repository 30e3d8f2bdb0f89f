"""`kata report`: how far a learner is and what it took, in a few lines or as a page to show."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kata import catalogue, history, progress
from kata.course import Course, CourseError, Exercise, chapter_title
from kata.files import write_text
from kata.history import Event, Work
from kata.terminal import say, screen
from kata.text import plural
from kata.verdict import Verdict, relative

PAGE = "report.html"
MARK = "<!-- made by kata report -->"  # a page that may be written again
MOST = 5
NARROW = 60
NOTHING = "No attempt is recorded yet. Edit an exercise, then run: pytest"


@dataclass(frozen=True)
class Standing:
    """All that a report tells.

    Attributes:
        course: the course.
        verdicts: those that still count, by slug.
        states: a word on each exercise, by slug.
        events: what was recorded of exercises that the course has, the oldest first.
        work: what came together on each of them, by slug.
        following: what to do next.
    """

    course: Course
    verdicts: Mapping[str, Verdict]
    states: Mapping[str, str]
    events: list[Event]
    work: Mapping[str, Work]
    following: Exercise | None

    @property
    def passing(self) -> int:
        """How many exercises pass."""
        return sum(self.states[e.slug] == Verdict.PASS for e in self.course.exercises)

    @property
    def attempts(self) -> int:
        """Of all exercises together."""
        return sum(work.attempts for work in self.work.values())

    @property
    def time(self) -> timedelta:
        """Worked on all exercises together."""
        return sum((work.time for work in self.work.values()), timedelta())

    def hardest(self) -> list[tuple[Exercise, Work]]:
        """The exercises that took the most attempts, none that took only one."""
        found = [(e, self.work[e.slug]) for e in self.course.exercises if e.slug in self.work]
        found.sort(key=lambda pair: (-pair[1].attempts, -pair[1].time))
        return [(e, work) for e, work in found[:MOST] if work.attempts > 1]


def stand(course: Course) -> Standing:
    """How things are now."""
    verdicts = progress.read(course)
    states = {e.slug: catalogue.state(course, e, verdicts) for e in course.exercises}
    events = history.read(course)
    work = {slug: it for slug, it in history.work(events).items() if slug in states}
    following = progress.next_exercise(course.exercises, verdicts, course.exercises_dir)
    return Standing(
        course, verdicts, states, [e for e in events if e.slug in states], work, following
    )


def duration(time: timedelta) -> str:
    """`4 h 10 min`; what is less than a minute counts as one."""
    hours, minutes = divmod(minutes_of(time), 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes or not hours))


def minutes_of(time: timedelta) -> int:
    """Whole minutes; what is less than one counts as one."""
    return max(round(time / timedelta(minutes=1)), 1 if time else 0)


def heading(course: Course, chapter: str) -> str:
    """`6 Mixture of experts`, from the first line of the chapter's README where it has one."""
    try:
        readme = (course.exercises_dir / chapter / "README.md").read_text("utf-8", "replace")
    except OSError:
        readme = ""
    match = re.match(r"\ufeff?# (?:\d+ )?(\S.*)", readme)
    number, topic = chapter_title(chapter).split(" ", 1)
    return f"{number} {match[1].strip() if match else topic.capitalize()}"


def report(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="of --html; - for stdout", show_default=False)
    ] = "",
    html: Annotated[
        bool, typer.Option("--html", help="write one page, to .kata/report.html or FILE")
    ] = False,
) -> None:
    """Sum up your work: what is done and what it took, or as a page."""
    from kata.cli import the_course  # which imports this module

    if file and not html:
        raise CourseError(f"a file is for the page only: kata report --html {file}")
    standing = stand(the_course())
    if html:
        _write_page(standing, file)
    else:
        _print(standing)


def _write_page(standing: Standing, file: str) -> None:
    from kata.show.report_page import render

    text = render(standing)
    if file == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())  # whatever the terminal's own encoding is
        return
    path = Path(file).absolute() if file else standing.course.root / ".kata" / PAGE
    name = relative(path, standing.course.root)
    if not _may_write(path):
        raise CourseError(f"{name} is there and is no report of ours; name another file")
    write_text(path, text)
    say(f"page: {name}")


def _may_write(path: Path) -> bool:
    try:
        return MARK.encode() in path.read_bytes()
    except FileNotFoundError:
        return True


def _print(standing: Standing) -> None:
    course, out = standing.course, screen()
    out.print(
        f"{standing.passing} of {plural(len(course.exercises), 'exercise')} done", style="bold"
    )
    if standing.attempts:
        days = plural(len(history.days(standing.events)), "day")
        took = f", about {duration(standing.time)} of work" if standing.time else ""
        out.print(f"{plural(standing.attempts, 'attempt')} on {days}{took}")
    else:
        out.print(NOTHING)
    say()
    for line in progress.bars(course, standing.verdicts, course.chapters):
        out.print(line)
    if hardest := standing.hardest():
        say()
        out.print(_table(standing, hardest))
    say()
    for line in progress.next_lines(course, standing.following, course.exercises_dir):
        say(line)
    say("As a page to keep and to show: kata report --html", "dim")


def _table(standing: Standing, rows: list[tuple[Exercise, Work]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("took the most attempts", overflow="fold")
    table.add_column("attempts" if screen().width >= NARROW else "", justify="right")
    table.add_column("state", no_wrap=True)
    for exercise, work in rows:
        state = standing.states[exercise.slug]
        table.add_row(exercise.number, exercise.title, str(work.attempts), state)
    return table
