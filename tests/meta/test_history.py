"""What is remembered of the work: attempts and times, and that nothing breaks or loses them."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from kata import history, progress
from kata.course import Course
from kata.verdict import Verdict
from tests.meta.minicourse import answer, make_course

START = datetime(2031, 5, 6, 7, 0, tzinfo=UTC)


class Learner:
    """Runs the tests at given minutes; what they would say is given too."""

    def __init__(self, course, monkeypatch):
        self.course = course
        self._patch = monkeypatch

    def write(self, number, body=None):
        answer(self.course, number, body)

    def run(self, minute, passed=0, **verdicts):
        self._patch.setattr(history, "now", lambda: START + timedelta(minutes=minute))
        found = {f"demo/{name}": verdict for name, verdict in verdicts.items()}
        progress.save(self.course, found, dict.fromkeys(found, (passed, 5)))

    def work(self, name="double"):
        return history.work(history.read(self.course)).get(f"demo/{name}", history.Work())

    def minutes(self, name="double"):
        return self.work(name).time / timedelta(minutes=1)

    def lines(self):
        path = history.file(self.course)
        return path.read_text("utf-8").splitlines() if path.exists() else []


@pytest.fixture
def learner(tmp_path, monkeypatch):
    return Learner(make_course(tmp_path), monkeypatch)


def at(minute):
    return START + timedelta(minutes=minute)


# -------------------------------------------------------------------------------------- attempts


def test_each_run_on_a_changed_file_is_an_attempt(learner):
    for minute, body in enumerate(["return 1", "return 2", "return 3"]):
        learner.write("1.1", body)
        learner.run(minute, double=Verdict.WRONG)
    assert learner.work().attempts == 3


def test_the_same_file_again_is_no_attempt(learner):
    learner.write("1.1", "return 1")
    learner.run(0, double=Verdict.WRONG)
    learner.run(1, double=Verdict.WRONG)
    assert (learner.work().attempts, len(learner.lines())) == (1, 1)
    learner.run(2, double=Verdict.PASS)  # say, on a faster machine
    assert (learner.work().attempts, len(learner.lines())) == (1, 2)


def test_an_untouched_stub_leaves_no_line(learner):
    learner.run(0, double=Verdict.TODO, pick=Verdict.NOT_RUN)
    assert learner.lines() == []
    learner.write("1.1", "raise NotImplementedError  # of a later version")
    learner.run(1, double=Verdict.TODO)
    assert learner.lines() == []


def test_half_an_answer_is_an_attempt(learner):
    learner.write("1.1", "raise NotImplementedError")
    learner.run(0, passed=2, double=Verdict.TODO)
    assert learner.work().attempts == 1


def test_a_reset_is_no_attempt(learner):
    learner.write("1.1", "return 1")
    learner.run(0, double=Verdict.WRONG)
    learner.write("1.1", "raise NotImplementedError")
    learner.run(1, double=Verdict.TODO)
    assert learner.work().attempts == 1
    learner.write("1.1", "return 1")
    learner.run(2, double=Verdict.WRONG)
    assert learner.work().attempts == 2


def test_a_run_that_was_cut_short_says_nothing(learner):
    learner.write("1.1", "return 1")
    learner.run(0, double=Verdict.WRONG)
    learner.write("1.1")
    learner.run(1, double=Verdict.MISSING)
    assert len(learner.lines()) == 1
    learner.run(2, double=Verdict.PASS)
    assert (learner.work().attempts, learner.minutes()) == (2, 2)


def test_first_last_and_first_pass_are_told(learner):
    bodies = ["return 0", None, "return x", "return x + x"]
    verdicts = [Verdict.CRASH, Verdict.PASS, Verdict.WRONG, Verdict.PASS]
    for minute, (body, verdict) in enumerate(zip(bodies, verdicts, strict=True)):
        learner.write("1.1", body)
        learner.run(minute, double=verdict)
    work = learner.work()
    assert (work.first, work.passed, work.last) == (at(0), at(1), at(3))


def test_a_session_notes_how_many_tests_passed(lab):
    lab.answer("1.1", "return x * x")
    lab.run()
    (event,) = history.read(lab.course)
    assert (event.slug, event.verdict) == ("demo/double", Verdict.WRONG)
    assert (event.passed, event.of) == (2, 5)  # twice 0 and twice 2 are their squares


def test_parallel_workers_leave_one_line(lab):
    lab.answer("1.1")
    lab.run_outside("-n2")
    assert [event.verdict for event in history.read(lab.course)] == [Verdict.PASS]


# ------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize(("gap", "minutes"), [(4, 4), (15, 15), (15.5, 0), (300, 0)])
def test_a_long_gap_is_a_pause(learner, gap, minutes):
    for i, minute in enumerate([0, 3, 3 + gap]):
        learner.write("1.1", f"return {i}")
        learner.run(minute, double=Verdict.WRONG)
    assert learner.minutes() == 3 + minutes


def test_the_gap_belongs_to_what_was_tried_next(learner):
    learner.write("1.1")
    learner.run(0, double=Verdict.PASS)
    learner.write("1.2")
    learner.run(8, pick=Verdict.PASS)
    assert (learner.minutes("double"), learner.minutes("pick")) == (0, 8)


def test_a_gap_is_shared_and_never_counted_twice(learner):
    for minute, body in [(0, "return 1"), (6, "return 2")]:
        learner.write("1.1", body)
        learner.write("1.2", body)
        learner.run(minute, double=Verdict.WRONG, pick=Verdict.WRONG)
    assert (learner.minutes("double"), learner.minutes("pick")) == (3, 3)


def test_days_are_those_of_the_learners_clock(learner):
    for minute in (0, 1, 60 * 24):
        learner.write("1.1", f"return {minute}")
        learner.run(minute, double=Verdict.WRONG)
    local = {at(minute).astimezone().date() for minute in (0, 60 * 24)}
    assert history.days(history.read(learner.course)) == local


# ------------------------------------------------------------------------------------ renumbering


def renumber(course):
    """Make 1.1 and 1.2 of chapter 1 to 4.8 and 4.9, titles and imports included."""
    for tree in (course.solutions_dir, course.exercises_dir):
        chapter = (tree / "ch01_demo").rename(tree / "ch04_demo")
        for old, new in (("ex01_double", "ex08_double"), ("ex02_pick", "ex09_pick")):
            text = (chapter / f"{old}.py").read_text("utf-8").replace("ex01_", "ex08_")
            text = text.replace("1.1 Twice", "4.8 Twice").replace("1.2 Twice", "4.9 Twice")
            text = text.replace("exercise 1.1", "exercise 4.8")
            (chapter / f"{old}.py").unlink()
            (chapter / f"{new}.py").write_text(text, encoding="utf-8", newline="\n")
    return Course(course.root)


def test_renumbering_forgets_nothing(learner):
    learner.write("1.1", "return 1")
    learner.write("1.2")
    learner.run(0, double=Verdict.WRONG, pick=Verdict.PASS)
    before = learner.work("pick"), learner.work("double"), progress.read(learner.course)
    learner.course = renumber(learner.course)
    assert [e.number for e in learner.course.exercises] == ["4.8", "4.9"]
    assert progress.read(learner.course) == before[2]
    learner.run(5, double=Verdict.WRONG, pick=Verdict.PASS)
    assert (learner.work("pick"), learner.work("double")) == before[:2]


@pytest.mark.parametrize("change", ["return x+x", "return x + x  # mine", "return ex08 + x"])
def test_every_change_of_code_is_noticed(learner, change):
    learner.write("1.1", "return x + x")
    learner.run(0, double=Verdict.PASS)
    learner.write("1.1", change)
    assert progress.read(learner.course) == {}


def test_exercises_that_are_gone_are_kept(learner):
    learner.write("1.2")
    learner.run(0, double=Verdict.WRONG, pick=Verdict.PASS)
    for tree in (learner.course.solutions_dir, learner.course.exercises_dir):
        (tree / "ch01_demo" / "ex02_pick.py").rename(learner.course.root / f"{tree.name}.py")
    there, learner.course = learner.course, Course(learner.course.root)
    learner.write("1.1", "return 3")
    learner.run(1, double=Verdict.WRONG)
    assert set(progress.read(learner.course)) == {"demo/double"}
    for tree in (there.solutions_dir, there.exercises_dir):
        (there.root / f"{tree.name}.py").rename(tree / "ch01_demo" / "ex02_pick.py")
    assert progress.read(there)["demo/pick"] is Verdict.PASS
    assert learner.work("pick").passed == at(0)


# -------------------------------------------------------------------------------------- robustness

GOOD = (
    b'{"time":"2031-05-06T07:00:00Z","slug":"a/b","verdict":"pass","digest":"x","passed":1,"of":1}'
)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"null", b"[]", b"3", b"\xff\xfe\x00", GOOD[:50], b"[" * 100_000,
        GOOD.replace(b'"pass"', b'"splendid"'), GOOD.replace(b'"pass"', b"[]"),
        GOOD.replace(b"2031-05-06", b"2031-99-06"), GOOD.replace(b'"2031-05-06T07:00:00Z"', b"7"),
        GOOD.replace(b'"passed":1', b'"passed":1e999'), GOOD.replace(b'"of":1', b'"of":null'),
        GOOD.replace(b"2031-05-06T07:00:00Z", b"0001-01-01T00:00:00+14:00"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_skipped(learner, line):
    path = history.file(learner.course)
    path.parent.mkdir()
    path.write_bytes(GOOD + b"\n" + line + b"\n" + GOOD.replace(b"a/b", b"a/c") + b"\n")
    assert [event.slug for event in history.read(learner.course)] == ["a/b", "a/c"]


def test_half_a_line_spoils_no_other(learner):
    path = history.file(learner.course)
    path.parent.mkdir()
    path.write_bytes(GOOD + b"\n" + GOOD[:40])
    learner.write("1.1")
    learner.run(1, double=Verdict.PASS)
    assert [event.slug for event in history.read(learner.course)] == ["a/b", "demo/double"]


def test_processes_that_write_at_once_lose_nothing(learner):
    code = (
        "import sys; from pathlib import Path\n"
        "from kata import history; from kata.course import Course\n"
        "from kata.verdict import Verdict\n"
        "for i in range(150):\n"
        "    event = history.Event(history.now(), sys.argv[1] * 300, Verdict.WRONG, str(i))\n"
        "    history.append(Course(Path.cwd()), [event, event])\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, name], cwd=learner.course.root)
        for name in "abc"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    slugs = [event.slug for event in history.read(learner.course)]
    assert {slug: slugs.count(slug) for slug in slugs} == {name * 300: 300 for name in "abc"}


def test_a_folder_without_history_works(learner):
    learner.write("1.1")
    learner.run(0, double=Verdict.PASS)
    history.file(learner.course).unlink()
    assert learner.work() == history.Work()
    learner.run(1, double=Verdict.PASS)
    assert progress.read(learner.course) == {"demo/double": Verdict.PASS}
    assert learner.lines() == []  # when it first passed is not known, and not made up


def test_history_outlives_the_cache(learner):
    learner.write("1.1")
    learner.run(0, double=Verdict.PASS)
    progress.state_file(learner.course).unlink()
    learner.run(9, double=Verdict.PASS)
    assert (learner.work().attempts, learner.work().passed) == (1, at(0))


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", '{"exercises": []}', '{"exercises": {"a": 1}}', "[" * 100_000,
        r'{"exercises": {"\ud800": {"verdict": "pass", "digest": "x"}}}',
    ],
)  # fmt: skip
def test_a_damaged_cache_is_forgotten(learner, content):
    state = progress.state_file(learner.course)
    state.parent.mkdir()
    state.write_text(content)
    assert progress.read(learner.course) == {}
    learner.run(0, double=Verdict.TODO)
    assert json.loads(state.read_text())["exercises"].keys() == {"demo/double"}


def test_a_checkout_that_cannot_be_written_is_graded(lab):
    (lab.root / ".kata").write_text("not a folder")
    lab.answer("1.1")
    outcome = lab.run()
    assert (outcome.exit, outcome.exercise()) == (0, "pass")
    assert history.read(lab.course) == []
