"""A whole class: one task per submission, run by any executor, kept as it comes, resumable."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass, replace
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from kata.course import Course, CourseError, Exercise, find_root
from kata.grade import Ledger
from kata.grading.model import Graded, Submission
from kata.grading.station import Settings, Station
from kata.text import described

POLL_SECONDS = 0.5
FILE = "grade.json"
TWICE = "grading broke off twice, and what follows is missing"
OTHER_COURSE = (
    "a worker has another version of the course or of the hidden tests: "
    "got {got}, wanted {wanted} (update it there, then start the worker again)"
)
Files = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Task:
    """One submission to grade, with all that another process or another machine needs for it.

    Attributes:
        root: the folder of the course; where there is none, the course that kata comes from.
        version: of the course, see `version`.
        submission: what is graded.
        to: the folder of the class, in which each submission has one.
        exercises: the slugs of the exercises to grade, in their order.
        settings: of the station.
        files: what the submission's tree holds.
    """

    root: Path
    version: str
    submission: Submission
    to: Path
    exercises: tuple[str, ...]
    settings: Settings
    files: Files

    @property
    def kept(self) -> Path:
        """Where the verdicts are kept."""
        return self.to / self.submission.name / FILE

    @property
    def fingerprint(self) -> str:
        """A key of all that the verdicts depend on.

        What is only counted with, such as the points of an exercise, is no part of it.
        """
        settings = replace(self.settings, hidden=None)  # its content is in the version
        key = (self.version, self.exercises, str(settings), self.submission.problems, self.files)
        return hashlib.sha256(repr(key).encode()).hexdigest()


@dataclass(frozen=True)
class Standing:
    """How far a class run is.

    Attributes:
        graded: how many submissions are done.
        of: how many there are.
        share: how much of the work is done, from 0 to 1, exercise by exercise.
        now: the submissions at work and the exercise that each is at.
        seconds_left: a guess, once there is something to guess from.
    """

    graded: int
    of: int
    share: float
    now: tuple[tuple[str, str], ...] = ()
    seconds_left: float | None = None


class Watcher:
    """Is told about a class run while it goes on. This one says nothing."""

    def moved(self, standing: Standing) -> None:
        """Some time has passed."""

    def partly(self, graded: Graded) -> None:
        """An exercise of a submission is done."""

    def graded(self, graded: Graded, standing: Standing) -> None:
        """A submission is done."""


def grade_class(
    course: Course,
    submissions: Iterable[Submission],
    to: Path,
    exercises: Sequence[Exercise],
    settings: Settings,
    *,
    executor: Callable[[], Executor] | None = None,
    workers: int | None = None,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> list[Graded]:
    """Grade every submission, and keep what comes out in `to/<name>/grade.json`.

    A submission whose grading breaks off is graded once more when all others are done, with
    nothing beside it; then what there is of it counts, and `complete` is false.

    Args:
        course: whose tests grade.
        submissions: with names that differ.
        to: the folder of the class; it is made.
        exercises: what to grade.
        settings: of the stations.
        executor: makes an executor of concurrent.futures; it is called again when one has broken.
            Without it there are threads: each has a station, whose processes do the work.
        workers: how many threads; as many as this process may use cores, without it.
        resume: leave out what is graded already and has not changed since, nor has the course.
        watcher: is told about it.

    Returns:
        One for each submission, in their order.

    Raises:
        CourseError: a Dask worker has another version of the course.
    """
    to.mkdir(parents=True, exist_ok=True)
    current = _versions[course.root, settings.hidden] = version(course, settings)
    slugs = tuple(exercise.slug for exercise in exercises)
    tasks = [
        Task(course.root, current, s, to, slugs, settings, contents(s.tree)) for s in submissions
    ]
    run = _ClassRun(tasks, executor or _threads(workers), watcher or Watcher())
    if resume:
        run.take_over()
    run.grade_all()
    return [run.graded[task.submission.name] for task in tasks]


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads(workers: int | None) -> Callable[[], Executor]:
    return lambda: ThreadPoolExecutor(workers or cores(), "kata-station")


@contextlib.contextmanager
def dask(address: str) -> Iterator[Callable[[], Executor]]:
    """The executor of a Dask cluster, for `grade_class`.

    Args:
        address: of its scheduler, `tcp://host:8786`.

    Raises:
        CourseError: there is no such cluster, or the package is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        text = "--dask needs a package: python -m pip install distributed"
        raise CourseError(text) from None
    try:
        client = Client(address, timeout=10)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        text = f"--dask: no scheduler answers at {address!r} (example: tcp://localhost:8786)"
        raise CourseError(text) from error
    with client:
        try:
            # pure: Dask would remember the outcome of a task that is to be tried again.
            yield lambda: client.get_executor(pure=False)  # type: ignore[no-untyped-call]
        finally:
            client.run(close_stations)


# ------------------------------------------------------------------------------------- a version


def contents(tree: Path) -> Files:
    """Every file below a folder, by its name inside of it."""
    names = sorted(f.relative_to(tree).as_posix() for f in tree.rglob("*") if f.is_file())
    return tuple((name, (tree / name).read_bytes()) for name in names)


def version(course: Course, settings: Settings) -> str:
    """A key of the files that decide about verdicts: the tool, solutions, tests, hidden tests."""
    digest = hashlib.sha256()
    tool = Path(__file__).parents[1]
    for folder in (tool, course.solutions_dir, course.tests_dir, settings.hidden):
        files = sorted(folder.rglob("*.py")) if folder else []
        for file in files:
            name = file.relative_to(folder or tool).as_posix()
            if not name.startswith("meta/"):
                digest.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


# ---------------------------------------------------------------------------------- the stations

# A thread grades one submission after the other at the same station. (Dask's workers run tasks in
# threads, too.)
_stations: dict[int, tuple[Any, Station]] = {}
# As this process found them first: what it has imported since does not change with the files.
_versions: dict[tuple[Path, Path | None], str] = {}
_lock = threading.Lock()


def grade_one(task: Task) -> dict[str, Any]:
    """Grade one submission, and return the fields of its `Graded`.

    Raises:
        CourseError: this machine has another version of the course.
        Exception: the station broke.
    """
    here = task.root if (task.root / "tests").is_dir() else find_root(Path(__file__))
    course = Course(here)
    key = (course.root, task.settings.hidden)
    with _lock:
        got = _versions[key] = _versions.get(key) or version(course, task.settings)
    if got != task.version:
        raise CourseError(OTHER_COURSE.format(got=got, wanted=task.version))
    exercises = [course.find(slug) for slug in task.exercises]
    try:
        with _folders(task) as (submission, to):
            graded = _station(course, task).grade(submission, to, exercises)
    except BaseException:
        _close(threading.get_ident())
        raise
    if not graded.complete:
        _close(threading.get_ident())
    return vars(graded)


@contextlib.contextmanager
def _folders(task: Task) -> Iterator[tuple[Submission, Path]]:
    """The submission and where it is graded; in a folder of its own if this disk has neither."""
    if task.to.is_dir() and contents(task.submission.tree) == task.files:
        yield task.submission, task.to
        return
    with tempfile.TemporaryDirectory(prefix="kata-grade-") as folder:
        tree = Path(folder, "tree")
        tree.mkdir()
        for name, content in task.files:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content)
        yield replace(task.submission, tree=tree), Path(folder, "graded")


def _station(course: Course, task: Task) -> Station:
    """The station of this thread, opened when it is needed first."""
    me, key = threading.get_ident(), (course.root, task.version, task.settings)
    with _lock:
        known, station = _stations.get(me, (None, None))
    if station is not None and known == key:
        return station
    _close(me)
    station = Station(course, settings=task.settings)
    with _lock:
        _stations[me] = key, station
    return station


def _close(thread_id: int) -> None:
    with _lock:
        _, station = _stations.pop(thread_id, (None, None))
    if station is not None:
        station.close()


def close_stations() -> None:
    """Close every station of this process: what is being graded ends."""
    for thread_id in list(_stations):
        _close(thread_id)


# Unlike atexit's, this is called in the child processes of multiprocessing as well.
Finalize(None, close_stations, exitpriority=10)


# --------------------------------------------------------------------------------------- the run

Outcome = Graded | BaseException


class _ClassRun:
    """The state of one class run."""

    def __init__(
        self, tasks: list[Task], executor: Callable[[], Executor], watcher: Watcher
    ) -> None:
        self.executor = executor
        self.watcher = watcher
        self.graded: dict[str, Graded] = {}
        self.left = {task.submission.name: task for task in tasks}
        self.partly: dict[str, Graded] = {}  # of what is left: as far as it has come
        self.broken: list[Task] = []
        self.of = len(tasks)
        self.work = 0
        self.start = 0.0
        self.began = 0.0  # to grade: stations need seconds to open
        self.written = {name: _written(task.kept) for name, task in self.left.items()}

    def take_over(self) -> None:
        """Leave out what an earlier run has graded."""
        for task in list(self.left.values()):
            kept = _read(task.kept)
            if kept and kept.complete and kept.fingerprint == task.fingerprint:
                self._done(task, kept)

    def grade_all(self) -> None:
        """Grade what is left; what breaks off, once more alone."""
        self.start = time.monotonic()
        self.work = sum(len(task.exercises) for task in self.left.values())
        waiting = list(self.left.values())
        while waiting:
            # A broken executor says nothing about the tasks that it had not begun.
            unseen = []
            with contextlib.closing(self._round(waiting)) as outcomes:
                for task, outcome in outcomes:
                    if not self._has_ended(task, outcome):
                        unseen.append(task)
            if len(unseen) == len(waiting):
                self.broken += unseen
                break
            waiting = unseen
        while self.broken:
            with contextlib.closing(self._round([self.broken.pop(0)])) as outcomes:
                for task, outcome in outcomes:
                    self._done(task, self._as_far_as_known(task, outcome))

    def _has_ended(self, task: Task, outcome: Outcome) -> bool:
        """Note what came of a task; false when it has not even begun."""
        self._look(task)
        if isinstance(outcome, Graded) and outcome.complete:
            self._done(task, outcome)
        elif not isinstance(outcome, BrokenExecutor) or task.submission.name in self.partly:
            self.broken.append(task)
        else:
            return False
        return True

    def _round(self, tasks: list[Task]) -> Generator[tuple[Task, Outcome], None, None]:
        """Run the tasks in an executor of their own; yields each with what came of it."""
        executor = self.executor()
        futures: dict[Future[dict[str, Any]], Task] = {}
        refused: list[tuple[Task, Outcome]] = []
        try:
            for task in tasks:
                try:
                    futures[executor.submit(grade_one, task)] = task
                except BrokenExecutor as error:
                    refused.append((task, error))
            left = set(futures)
            while left:
                done, left = wait(left, POLL_SECONDS, FIRST_COMPLETED)
                for future in done:
                    yield futures[future], _outcome(future)
                for future in left:
                    self._look(futures[future])
                self.watcher.moved(self._standing())
            yield from refused
        except BaseException:  # GeneratorExit as well
            _stop(futures)
            self._gather(futures)
            raise
        finally:
            executor.shutdown()
            close_stations()

    def _gather(self, futures: Mapping[Future[dict[str, Any]], Task]) -> None:
        """Keep what is there when all has come to its end before time."""
        for future, task in futures.items():
            self._look(task)
            if task.submission.name in self.left and not future.cancelled():
                outcome = _outcome(future)
                if isinstance(outcome, Graded) and outcome.complete:
                    self._done(task, outcome)

    def _done(self, task: Task, graded: Graded) -> None:
        """Keep what came out, and tell."""
        submitted = task.submission.submitted
        graded.submitted = submitted.isoformat() if submitted else ""
        graded.fingerprint = task.fingerprint if graded.complete else ""
        graded.save(task.kept)
        name = task.submission.name
        self.graded[name] = graded
        del self.left[name]
        self.partly.pop(name, None)
        self.watcher.graded(graded, self._standing())

    def _as_far_as_known(self, task: Task, outcome: Outcome) -> Graded:
        """What is kept of a submission that was tried twice."""
        self._look(task)
        known = [outcome, self.partly.get(task.submission.name)]
        found = [graded for graded in known if isinstance(graded, Graded)]
        graded = max(found, key=lambda graded: len(graded.seconds), default=None)
        if graded is None:
            graded = Graded(task.submission.name, {}, [*task.submission.problems])
        if not graded.document:
            course = Course(task.root)
            ledger = Ledger(course, task.submission.tree, None)
            ledger.expect([], [course.find(slug) for slug in task.exercises])
            graded.document = ledger.document()
        if not graded.complete:
            why = f" ({described(outcome)})" if isinstance(outcome, BaseException) else ""
            graded.problems.append(f"{TWICE}{why}")
        return graded

    def _look(self, task: Task) -> None:
        """Read how far a submission has come, if that has changed."""
        name = task.submission.name
        if name in self.graded or self.written[name] == (written := _written(task.kept)):
            return
        self.written[name] = written
        graded, known = _read(task.kept), self.partly.get(name)
        if graded and (known is None or len(graded.seconds) >= len(known.seconds)):
            self.began = self.began or time.monotonic()
            self.partly[name] = graded
            self.watcher.partly(graded)

    def _standing(self) -> Standing:
        now, ahead = [], 0
        for name, task in self.left.items():
            seen = self.partly[name].seconds if name in self.partly else {}
            unseen = [slug for slug in task.exercises if slug not in seen]
            ahead += len(unseen)
            if name in self.partly and unseen and task not in self.broken:
                now.append((name, unseen[0]))
        share = 1 - ahead / self.work if self.work else 1.0
        passed = time.monotonic() - (self.began or self.start)
        seconds_left = passed * (1 - share) / share if share > 0 else None
        return Standing(len(self.graded), self.of, share, tuple(now), seconds_left)


def _outcome(future: Future[dict[str, Any]]) -> Outcome:
    """What came of a task.

    Raises:
        CourseError: it could not be done anywhere.
    """
    error = future.exception()
    if isinstance(error, CourseError):
        raise error
    return error or Graded(**future.result())


def _stop(futures: Iterable[Future[dict[str, Any]]]) -> None:
    """End what runs and what waits; a station can be just opening, so look again."""
    left = set(futures)
    for future in left:
        future.cancel()
    while left:
        close_stations()
        _, left = wait(left, 0.1)


def _read(file: Path) -> Graded | None:
    """What is kept in a file, or None where there is none that can be read."""
    try:
        return Graded.load(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
