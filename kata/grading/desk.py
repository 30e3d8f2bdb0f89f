"""One assignment, from the hand-ins to the reports: what `kata grade` does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column, Table

from kata.catalogue import DONE, find_chapter
from kata.course import Course, CourseError, Exercise
from kata.files import write_json, write_text
from kata.grading import classrun, intake, reports
from kata.grading import similar as similarity
from kata.grading.classrun import Standing, Watcher
from kata.grading.marks import Marks, marks
from kata.grading.model import Graded, Submission
from kata.grading.points import Points
from kata.grading.reports import github, words
from kata.grading.sandbox import NAMES
from kata.grading.station import Settings
from kata.text import plural
from kata.verdict import relative

ANSWERS = "answers"
CLASS = "class.json"
SIMILAR = "similar.txt"
PARTLY_SECONDS = 5.0  # the reports on a hand-in at work are no older
MOST_NUMBERS = 6
MOST_SUMMARY = 1_000_000  # bytes; GitHub drops a summary of more than 1 MiB
NO_FORK = (
    "kata grade forks a process for each test, which {system} cannot: "
    "use Linux, macOS or, on Windows, WSL"
)
NOT_OURS = "--to: {to} is not empty, and kata grade has not made it; name a folder of its own"
NOTHING = "there is no hand-in in {places}; wanted folders, zip files, or a folder of them"


# ------------------------------------------------------------------------------- what is asked


def rules(course: Course, points: Path | None, exercises: str) -> Points:
    """The assignment: its points file, and of that only the exercises that are asked for.

    Raises:
        CourseError: there is no such file or exercise.
    """
    if points and not points.is_file():
        raise CourseError(f"--points: there is no file {points}")
    found = Points.read(points, course) if points else Points.default(course)
    if not exercises:
        return found
    wanted = chosen(course, exercises, "--exercises")
    selected = [e for e in found.selected if e in wanted]
    if not selected:
        raise CourseError(f"--exercises: the assignment has none of {exercises}")
    return replace(found, selected=selected)


def chosen(course: Course, text: str, option: str) -> list[Exercise]:
    """The exercises that `1.5,2-3,ch05` means: exercises, chapters, and ranges of them.

    Raises:
        CourseError: one of them is not there.
    """
    found: set[Exercise] = set()
    every = list(course.exercises)
    for key in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = (part.strip() for part in key.partition("-"))
        start, end = _named(course, first, option), _named(course, last if dash else first, option)
        inside = every[every.index(start[0]) : every.index(end[-1]) + 1]
        if not inside:
            raise CourseError(f"{option}: got {key}, wanted the first exercise first")
        found.update(inside)
    if not found:
        raise CourseError(f"{option}: got {text!r}, wanted exercises such as 1.5,2-3,ch05")
    return [e for e in every if e in found]


def _named(course: Course, key: str, option: str) -> list[Exercise]:
    with contextlib.suppress(CourseError):
        return [course.find(key)]
    with contextlib.suppress(CourseError):
        return course.chapters[find_chapter(course, key)]
    raise CourseError(f"{option}: there is no exercise or chapter {key!r}; `kata list` shows all")


def settings(points: Points, own: bool, off: Sequence[str]) -> Settings:
    """How the stations grade.

    Raises:
        CourseError: this machine cannot, or there is no such protection.
    """
    if not hasattr(os, "fork"):
        raise CourseError(NO_FORK.format(system=sys.platform))
    for name in set(off) - set(NAMES):
        raise CourseError(f"--off: there is no protection {name!r}; there are: {', '.join(NAMES)}")
    return Settings(hidden=points.hidden, seed=points.seed, own=own, off=tuple(off))


# ---------------------------------------------------------------------------------- the hand-ins


def take(course: Course, hand_ins: Sequence[Path], to: Path) -> list[Submission]:
    """Take the answers out of the hand-ins, each into `to/NAME/answers`.

    Raises:
        CourseError: there is nothing to take, or `to` has files of somebody else.
    """
    for place in hand_ins:
        if not place.exists():
            raise CourseError(f"there is no file or folder {place}")
    found = [(name, at) for name, at in intake.find(hand_ins) if not at.is_relative_to(to)]
    if not found:
        raise CourseError(NOTHING.format(places=", ".join(map(str, hand_ins))))
    if to.exists() and not to.is_dir():
        raise CourseError(f"--to: {to} is a file, wanted a folder")
    if to.exists() and any(to.iterdir()) and not (to / CLASS).is_file():
        raise CourseError(NOT_OURS.format(to=to))
    if not (to / CLASS).is_file():
        write_json(to / CLASS, {"schema": 1})
    return [_taken(course, name, at, to / name / ANSWERS) for name, at in found]


def _taken(course: Course, name: str, place: Path, tree: Path) -> Submission:
    if tree.exists():  # of an earlier run
        shutil.rmtree(tree)
    return intake.take(place, tree, course, name)


# ------------------------------------------------------------------------------------ the grading


def grade(
    outcome: Outcome,
    submissions: Sequence[Submission],
    how: Settings,
    dask: str,
    workers: int | None,
    resume: bool,
) -> bool:
    """Grade the class, and tell `outcome`; false when it was interrupted.

    Ctrl-C interrupts, and so does a polite request to end, as batch systems and harnesses make it.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    outcome.of = len(submissions)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with classrun.dask(dask) if dask else contextlib.nullcontext() as executor:
            results = classrun.grade_class(
                outcome.course,
                submissions,
                outcome.folder,
                outcome.points.selected,
                how,
                executor=executor,
                workers=workers,
                resume=resume,
                watcher=outcome,
            )
    except KeyboardInterrupt:
        return False
    finally:
        signal.signal(signal.SIGTERM, before)
    outcome.order(results)
    return True


class Outcome(Watcher):
    """What has come out so far, and the reports on it.

    Args:
        course: the course.
        points: the assignment.
        folder: where the reports go.
        display: is told what this is told.
    """

    def __init__(self, course: Course, points: Points, folder: Path, display: Watcher) -> None:
        self.course = course
        self.points = points
        self.folder = folder
        self.display = display
        self.of = 0
        self.results: dict[str, tuple[Graded, Marks]] = {}
        self.pairs: list[similarity.Pair] | None = None
        self._reported: dict[str, float] = {}

    # ----------------------------------------------------------------------- while it goes on

    def moved(self, standing: Standing) -> None:
        """Show it."""
        self.display.moved(standing)

    def partly(self, graded: Graded) -> None:
        """Keep the reports on a hand-in at work about as new as its verdicts."""
        self.results[graded.submission] = graded, marks(graded, self.points)
        now = time.monotonic()
        if now - self._reported.get(graded.submission, 0.0) > PARTLY_SECONDS:
            self._report(graded)

    def graded(self, graded: Graded, standing: Standing) -> None:
        """Write the reports on a hand-in that is done."""
        self.results[graded.submission] = graded, marks(graded, self.points)
        self._report(graded)
        self.display.graded(graded, standing)

    def _report(self, graded: Graded) -> None:
        self._reported[graded.submission] = time.monotonic()
        own = self.folder / graded.submission
        reports.write_student(own, *self.results[graded.submission], self.points)

    def order(self, results: Sequence[Graded]) -> None:
        """Put them in the order of the hand-ins."""
        self.results = {g.submission: self.results[g.submission] for g in results}

    def compare(self, submissions: Sequence[Submission]) -> None:
        """Look for answers that are nearly the same."""
        trees = {s.name: s.tree for s in submissions}
        self.pairs = [
            pair
            for pair in similarity.similar(trees, self.course)
            if pair.exercise in self.points.selected
        ]

    # -------------------------------------------------------------------------- when it is done

    @property
    def all_graded(self) -> bool:
        """Whether nothing was left out, and nothing of the points file either."""
        graded = [graded for graded, _ in self.results.values()]
        return all(g.complete for g in graded) and not self.points.problems

    def write(self) -> None:
        """Write what is about the whole class."""
        for graded, _ in self.results.values():
            if not graded.complete:
                self._report(graded)
        reports.write_class(self.folder, list(self.results.values()), self.points)
        write_json(self.folder / CLASS, self.document())
        if self.pairs is not None:
            write_text(self.folder / SIMILAR, "".join(f"{pair}\n" for pair in self.pairs))

    def document(self) -> dict[str, Any]:
        """The class for other programs."""
        document = {
            "schema": 1,
            "title": self.points.title,
            "folder": str(self.folder),
            "points_file": self.points.problems,
            "submissions": [self._row(*result) for result in self.results.values()],
        }
        if self.pairs is not None:
            document["similar"] = [
                {
                    "exercise": pair.exercise.number,
                    "share": round(pair.share, 4),
                    "submissions": [pair.first, pair.second],
                    "at": [pair.first_at, pair.second_at],
                }
                for pair in self.pairs
            ]
        return document

    def _row(self, graded: Graded, earned: Marks) -> dict[str, Any]:
        return {
            "name": graded.submission,
            "points": earned.total,
            "possible": earned.possible,
            "failing": [e.number for e in _failing(earned)],
            "complete": graded.complete,
            "tampered": graded.tampered,
            "problems": graded.problems,
            "late": earned.late.reason,
            "submitted": graded.submitted,
        }

    def tell_github(self) -> None:
        """Write the summary and the annotations of a step of GitHub Actions, if this is one."""
        if not (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
            return
        with open(summary, "a", encoding="utf-8") as file:
            for name in self.results:
                text = (self.folder / name / github.SUMMARY).read_text("utf-8")
                if file.tell() + len(text.encode()) < MOST_SUMMARY:
                    file.write(text)
        if len(self.results) == 1:  # the lines of several hand-ins are in no one's checkout
            name = next(iter(self.results))
            text = (self.folder / name / github.ANNOTATIONS).read_text("utf-8")
            print(text, end="", file=sys.stderr)  # GitHub reads both, a program only stdout

    def interrupted(self) -> str:
        """What to say after Ctrl-C."""
        done = sum(graded.complete for graded, _ in self.results.values())
        place = relative(self.folder, Path.cwd())
        return f"interrupted: {done} of {self.of} are graded, see {place} (--resume goes on)"

    def show(self, console: Console) -> None:
        """Print the class in a table, and where the reports are."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("hand-in", no_wrap=True)
        table.add_column("points", justify="right", no_wrap=True)
        table.add_column("not passing")
        table.add_column("to look at")
        for graded, earned in self.results.values():
            scored = words.score(earned.total, earned.possible).removesuffix("s")
            scored = scored.removesuffix(" point")
            table.add_row(graded.submission, scored, _numbers(earned), _note(graded, earned))
        console.print(table)
        for problem in self.points.problems:
            console.print(f"problem: {words.line(problem, 400)}", soft_wrap=True)
        for pair in self.pairs or ():
            console.print(words.line(pair, 400), soft_wrap=True)
        if self.pairs == []:
            console.print("No two answers are nearly the same.")
        place = relative(self.folder, Path.cwd())
        names = list(self.results)
        page = f"{names[0] if len(names) == 1 else 'NAME'}/{reports.student_page.FILE}"
        console.print(
            f"\nreports: {place}/{reports.class_page.FILE}, {reports.gradebook.FILE}, {page}",
            soft_wrap=True,
        )


def _failing(earned: Marks) -> list[Exercise]:
    return [m.exercise for m in earned.exercises if m.verdict not in DONE or m.withheld]


def _numbers(earned: Marks) -> str:
    """Which exercises do not pass, in one short line."""
    failing = _failing(earned)
    if len(failing) == len(earned.exercises) > 1:
        return f"all {len(failing)}"
    shown = " ".join(e.number for e in failing[:MOST_NUMBERS])
    more = len(failing) - MOST_NUMBERS
    return f"{shown} and {more} more" if more > 0 else shown


def _note(graded: Graded, earned: Marks) -> str:
    """Why somebody should look at a hand-in."""
    said = [f"tampered: {sentence}" for sentence in graded.tampered]
    said += [] if graded.complete else ["not graded to the end"]
    said += [*graded.problems, *([earned.late.reason] if earned.late.reason else [])]
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return words.line(said[0], 100) + more if said else ""


# ------------------------------------------------------------------------------------ the progress


class Lines(Watcher):
    """A line for each hand-in that is done, as a log or a pipe takes it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def graded(self, graded: Graded, standing: Standing) -> None:
        """Say it."""
        left = f", {duration(standing.seconds_left)} left" if standing.seconds_left else ""
        end = "" if graded.complete else ", but not to the end"
        line = f"graded {standing.graded} of {standing.of}: {graded.submission}{end}{left}"
        self._console.print(line, soft_wrap=True)


class Bar(Watcher):
    """A bar that moves with each exercise, for a terminal."""

    def __init__(self, progress: Progress, course: Course) -> None:
        self._progress = progress
        self._course = course
        self._task = progress.add_task("opening the stations", total=1.0, left="")

    def moved(self, standing: Standing) -> None:
        """Move it."""
        left = "" if not standing.seconds_left else f"{duration(standing.seconds_left)} left"
        at = ", ".join(f"{name} {self._course.find(slug).number}" for name, slug in standing.now)
        said = f"{standing.graded} of {standing.of} graded" + (f", at {at}" if at else "")
        self._progress.update(self._task, completed=standing.share, description=said, left=left)

    def graded(self, graded: Graded, standing: Standing) -> None:
        """Move it."""
        self.moved(standing)


COLUMNS = (
    BarColumn(20),
    TaskProgressColumn(),
    TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
    TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
)


@contextlib.contextmanager
def display(course: Course) -> Iterator[Watcher]:
    """What shows how far it is, on stderr: stdout is for what comes out."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        yield Lines(console)
        return
    with Progress(*COLUMNS, console=console, transient=True) as progress:
        yield Bar(progress, course)


def duration(seconds: float) -> str:
    """`40 seconds`, `5 minutes`, `2 h 10 min`: about, for nobody knows."""
    if seconds < 90:
        return plural(max(1, round(seconds)), "second")
    minutes = round(seconds / 60)
    return plural(minutes, "minute") if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
