"""The class run: what it keeps, what it grades again, and what it does when something breaks."""

import json
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from kata.course import CourseError
from kata.grading import classrun
from kata.grading.classrun import Watcher, grade_class
from kata.grading.model import Graded, Submission
from kata.grading.station import Settings
from tests.meta.minicourse import make_course

PLAIN = Settings()


class FakeStation:
    """A station that does what a submission's first file says, such as `break` or `slow`."""

    opened: list["FakeStation"] = []  # noqa: RUF012
    graded: list[str] = []  # noqa: RUF012
    together: list[int] = []  # noqa: RUF012

    def __init__(self, course, *, settings):
        self.course, self.settings = course, settings
        self.closed = threading.Event()
        self.at_work = False
        self.opened.append(self)

    def grade(self, submission, to, exercises):
        self.graded.append(submission.name)
        self.at_work = True
        self.together.append(sum(station.at_work for station in self.opened))
        try:
            return self._grade(submission, to / submission.name / "grade.json", exercises)
        finally:
            self.at_work = False

    def _grade(self, submission, file, exercises):
        orders = (submission.tree / "ch01_demo/ex01_double.py").read_text().split()
        graded = Graded(submission.name, {"exercises": {}, "orders": orders})
        graded.save(file)
        for place, exercise in enumerate(exercises, 1):
            if "slow" in orders and self.closed.wait(0.3):
                raise ConnectionError("the station was closed")
            if "break" in orders and place == 2:
                raise ConnectionError("the judge is gone")
            if "once" in orders and self.graded.count(submission.name) == 1:
                raise ConnectionError("the judge is gone")
            graded.seconds[exercise.slug] = 0.1
            graded.complete = place == len(exercises) and "half" not in orders
            graded.save(file)
        return graded

    def close(self):
        self.closed.set()


class Notes(Watcher):
    """Remembers what it is told."""

    def __init__(self):
        self.standings = []
        self.done = []

    def moved(self, standing):
        self.standings.append(standing)

    def graded(self, graded, standing):
        self.done.append((graded.submission, standing.graded, standing.of))


class Class:
    """Hand-ins in a folder, and the class run on them."""

    def __init__(self, folder):
        self.course = make_course(folder / "course")
        self.folder = folder
        self.to = folder / "out"
        self.submissions = []

    def add(self, name, text="fine"):
        """Hand in, or hand in something else."""
        tree = self.folder / "trees" / name
        (tree / "ch01_demo").mkdir(parents=True, exist_ok=True)
        (tree / "ch01_demo" / "ex01_double.py").write_text(text)
        if all(s.name != name for s in self.submissions):
            self.submissions.append(Submission(name, tree, tree))

    def run(self, settings=PLAIN, *, workers=1, **options):
        """Grade; returns the submissions that were at a station."""
        FakeStation.graded.clear()
        self.graded = grade_class(
            self.course,
            self.submissions,
            self.to,
            options.pop("exercises", self.course.exercises),
            settings,
            workers=workers,
            **options,
        )
        return list(FakeStation.graded)

    def kept(self, name):
        return Graded.load(json.loads((self.to / name / "grade.json").read_text("utf-8")))


@pytest.fixture
def room(tmp_path, monkeypatch):
    for notes in (FakeStation.opened, FakeStation.graded, FakeStation.together):
        notes.clear()
    monkeypatch.setattr(classrun, "Station", FakeStation)
    monkeypatch.setattr(classrun, "POLL_SECONDS", 0.05)
    yield Class(tmp_path)
    assert all(station.closed.is_set() for station in FakeStation.opened)
    assert not classrun._stations


# ------------------------------------------------------------------------------------- what is kept


def test_every_submission_is_graded_and_kept(room):
    for name in ("anna", "ben", "carl"):
        room.add(name)
    assert room.run() == ["anna", "ben", "carl"]
    assert [graded.submission for graded in room.graded] == ["anna", "ben", "carl"]
    assert all(graded.complete for graded in room.graded)
    assert room.kept("ben") == room.graded[1]


def test_an_empty_class_is_graded_at_once(room):
    assert room.run() == []
    assert room.graded == []


def test_a_station_serves_many_submissions(room):
    for name in ("anna", "ben", "carl"):
        room.add(name)
    room.run()
    assert len(FakeStation.opened) == 1


def test_each_worker_has_a_station(room):
    for name in ("anna", "ben", "carl", "dora"):
        room.add(name, "slow")
    room.run(workers=2)
    assert len(FakeStation.opened) == 2
    assert max(FakeStation.together) == 2


def test_results_come_as_they_are_ready(room):
    room.add("anna", "slow")
    room.add("ben")
    watcher = Notes()
    room.run(workers=2, watcher=watcher)
    assert watcher.done == [("ben", 1, 2), ("anna", 2, 2)]
    assert [graded.submission for graded in room.graded] == ["anna", "ben"]


def test_progress_names_the_exercise_and_guesses_the_time(room):
    room.add("anna", "slow")
    watcher = Notes()
    room.run(watcher=watcher)
    first, half = watcher.standings[0], next(s for s in watcher.standings if s.share == 0.5)
    assert (first.graded, first.of, first.share, first.seconds_left) == (0, 1, 0.0, None)
    assert half.now == (("anna", "demo/pick"),)
    assert 0.1 < half.seconds_left < 2
    assert watcher.standings[-1].share == 1.0


# ------------------------------------------------------------------------------------------- resume


def test_resume_leaves_out_what_is_graded(room):
    room.add("anna")
    room.run()
    room.add("ben")
    watcher = Notes()
    assert room.run(resume=True, watcher=watcher) == ["ben"]
    assert [graded.submission for graded in room.graded] == ["anna", "ben"]
    assert watcher.done == [("anna", 1, 2), ("ben", 2, 2)]


def test_without_resume_all_is_graded_again(room):
    room.add("anna")
    assert room.run() == room.run() == ["anna"]


def change_test(room):
    file = room.course.tests_dir / "ch01_demo" / "test_ex02_pick.py"
    file.write_text(file.read_text() + "\n")


def change_hidden(room):
    (room.folder / "hidden" / "test_more.py").write_text("def test_more(answer): pass\n")


CHANGES = {
    "the answer": lambda room: room.add("anna", "other"),
    "another file": lambda room: (room.submissions[0].tree / "more.py").write_text(""),
    "a test": change_test,
    "a hidden test": change_hidden,
    "a verdict file that is damaged": lambda room: (room.to / "anna/grade.json").write_text("{"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_resume_grades_again_what_has_changed(room, what):
    (room.folder / "hidden").mkdir()
    settings = Settings(hidden=room.folder / "hidden")
    room.add("anna")
    room.add("ben")
    room.run(settings)
    CHANGES[what](room)
    only_anna = what in ("the answer", "another file", "a verdict file that is damaged")
    expected = ["anna"] if only_anna else ["anna", "ben"]
    assert room.run(settings, resume=True) == expected
    assert room.run(settings, resume=True) == []


@pytest.mark.parametrize("change", [{"seed": 1}, {"own": True}, {"seconds": 3.0}, {"off": ("x",)}])
def test_resume_grades_again_with_other_settings(room, change):
    room.add("anna")
    room.run()
    assert room.run(replace(PLAIN, **change), resume=True) == ["anna"]


def test_resume_grades_again_for_another_choice_of_exercises(room):
    room.add("anna")
    room.run(exercises=room.course.exercises[:1])
    assert room.run(resume=True) == ["anna"]


def test_resume_does_not_ask_where_the_tree_lies(room):
    room.add("anna")
    room.run()
    room.submissions[0].tree.rename(room.folder / "moved")
    room.submissions[:] = [replace(room.submissions[0], tree=room.folder / "moved")]
    assert room.run(resume=True) == []


# -------------------------------------------------------------------------------------- what breaks


@pytest.mark.parametrize("how", ["once", "break", "half"])
def test_what_breaks_off_is_graded_once_more_alone(room, how):
    room.add("anna", how)
    for name in ("ben", "carl"):
        room.add(name, "slow")
    order = room.run(workers=2)
    assert order.count("anna") == 2
    assert order[-1] == "anna"
    assert FakeStation.together[-1] == 1
    anna, ben, carl = room.graded
    assert (anna.complete, ben.complete, carl.complete) == (how == "once", True, True)


def test_what_broke_off_twice_is_kept_and_reported(room):
    room.add("anna", "break")
    room.run()
    kept = room.kept("anna")
    assert list(kept.seconds) == ["demo/double"]
    reason = f"{classrun.TWICE} (ConnectionError: the judge is gone)"
    assert (kept.complete, kept.problems, kept.fingerprint) == (False, [reason], "")


def test_what_never_began_is_reported_with_every_exercise_missing(room, monkeypatch):
    def broken(self, course, *, settings):
        raise OSError("no more processes")

    monkeypatch.setattr(FakeStation, "__init__", broken)
    room.add("anna")
    room.run()
    kept = room.kept("anna")
    assert kept.problems == [f"{classrun.TWICE} (OSError: no more processes)"]
    assert kept.document["counts"]["missing"] == 2


def test_resume_grades_again_what_broke_off(room):
    room.add("anna", "break")
    room.add("ben")
    room.run()
    assert room.run(resume=True) == ["anna", "anna"]


def test_a_broken_station_is_replaced(room):
    room.add("anna", "once")
    room.add("ben")
    room.run()
    assert [graded.complete for graded in room.graded] == [True, True]
    assert len(FakeStation.opened) == 3  # one for each round, and one after the break


class Broken(Executor):
    """Does `good` tasks, and then breaks as a pool of processes does."""

    def __init__(self, good):
        self.good = good

    def submit(self, fn, *args):
        future = Future()
        if self.good > 0:
            future.set_result(fn(*args))
        elif self.good == 0:
            future.set_exception(BrokenExecutor("a process died"))
        else:
            raise BrokenExecutor("a process died earlier")
        self.good -= 1
        return future


def test_an_executor_that_breaks_is_replaced(room):
    for name in ("anna", "ben", "carl"):
        room.add(name)
    made = iter([Broken(1), Broken(1), ThreadPoolExecutor(1)])
    assert room.run(executor=lambda: next(made)) == ["anna", "ben", "carl"]
    assert all(graded.complete for graded in room.graded)


def test_executors_that_always_break_come_to_an_end(room):
    for name in ("anna", "ben"):
        room.add(name)
    assert room.run(executor=lambda: Broken(0)) == []
    assert [graded.complete for graded in room.graded] == [False, False]
    assert room.kept("ben").problems == [f"{classrun.TWICE} (BrokenExecutor: a process died)"]


def test_an_interrupt_ends_it_quickly_and_keeps_what_is_graded(room):
    class Impatient(Watcher):
        def graded(self, graded, standing):
            raise KeyboardInterrupt

    room.add("anna")
    for name in ("ben", "carl", "dora"):
        room.add(name, "slow " * 50)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        room.run(workers=2, watcher=Impatient())
    assert time.monotonic() - start < 1
    assert room.kept("anna").complete
    assert not [t for t in threading.enumerate() if t.name.startswith("kata-station")]


# ----------------------------------------------------------------------------------- other machines


def test_a_machine_without_the_folders_gets_the_files(room, monkeypatch):
    room.add("anna", "fine files")
    far = []
    real = FakeStation.grade

    def grade(self, submission, to, exercises):
        far.append((submission.tree, to))
        return real(self, submission, to, exercises)

    monkeypatch.setattr(FakeStation, "grade", grade)

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, fn, task):
            nowhere = room.folder / "not" / "here"
            there = replace(task.submission, tree=nowhere)
            return super().submit(fn, replace(task, to=nowhere, submission=there))

    room.run(executor=lambda: Elsewhere(1))
    assert room.kept("anna").document["orders"] == ["fine", "files"]
    assert [path.exists() for path in far[0]] == [False, False]


def test_a_machine_with_another_course_is_refused(room, monkeypatch):
    room.add("anna")

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, fn, task):
            return super().submit(fn, replace(task, version="1234"))

    with pytest.raises(CourseError, match=r"another version of the course.*: got \w+, wanted 1234"):
        room.run(executor=lambda: Elsewhere(1))
