"""`kata watch`, at a terminal as a learner uses it, and in a pipe."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys

import pytest

from kata import progress, warm, watcher
from kata.verdict import Verdict
from kata.warm_worker import NOT_STARTED
from tests.meta.minicourse import PROJECT, answer, make_course

pytest.importorskip("termios")

from tests.meta.person import SECONDS, Person, until
from tests.meta.processes import alive, below

pytestmark = pytest.mark.timeout(600)
linux = pytest.mark.skipif(sys.platform != "linux", reason="not run: reads /proc")
FILE = os.path.join("exercises", "ch01_demo", "ex01_double.py")
BAR = "1 demo           [....................] 0 of 2 done"
KEYS = "h hint   n next   l list   s solution   x start over   q quit"
WITHOUT_FORK = """
import sys
from kata import cli, warm
warm.CAN_FORK = False
sys.argv[0] = "kata"
cli.main()
"""
WAYS = {"fork": ["-m", "kata"], "single": ["-c", WITHOUT_FORK]}
if not warm.CAN_FORK:
    del WAYS["fork"]
GATE = """
import time
from pathlib import Path
gate = Path(__file__).parent
(gate / "started").touch()
while not (gate / "open").exists():
    time.sleep(0.01)
"""


class Learner(Person):
    """Watches the miniature course."""

    def __init__(self, course, *args, way="fork" if warm.CAN_FORK else "single", **options):
        self.course = course
        super().__init__([sys.executable, *WAYS[way], "watch", *args], course.root, **options)

    def path(self, number="1.1"):
        return self.course.exercises_dir / self.course.find(number).path

    def saves(self, body=None, number="1.1"):
        """Write an answer over the old one."""
        self.acts()
        answer(self.course, number, body)

    def saves_bytes(self, content, number="1.1"):
        """Put another file in the place of the old one, as many editors do."""
        self.acts()
        path = self.path(number)
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(content)
        beside.replace(path)

    def gate(self, name):
        return self.path().with_name(name)


@pytest.fixture
def environ(monkeypatch):
    for name in (*warm.NOT_TAKEN, "FORCE_COLOR", "COLUMNS", "KATA_DATA", "TIKTOKEN_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))


@pytest.fixture
def watch(tmp_path, environ):
    """Starts `kata watch`, and waits for its first verdict."""
    with contextlib.ExitStack() as stack:

        def start(*args, sees=("1.1 Twice a number: still to do", KEYS), course=None, **options):
            course = course or make_course(tmp_path / "course")
            learner = Learner(course, *args, **options)
            stack.callback(learner.kill)
            learner.sees(*sees)
            return learner

        yield start


# ------------------------------------------------------------------------------ a learner's way


@pytest.mark.parametrize("way", WAYS)
def test_learner_goes_from_a_stub_to_the_next_exercise(watch, way):
    learner = watch(way=way)
    assert f"your code: {FILE}:18\n\n{BAR}" in learner.screen
    learner.saves("print('six?')\nreturn x * x")
    learner.sees("1.1 Twice a number: wrong answer", KEYS)
    assert "  >>> double(3)\n  9\n" in learner.screen
    assert "looks like: The number was multiplied by itself." in learner.screen
    assert f"your code: {FILE}:9" in learner.screen
    assert "it says:   three becomes six (test 1 of 5)" in learner.screen
    assert "your code printed:\n    six?\n" in learner.screen
    learner.presses("h")
    learner.sees("wrong answer", "hint 1/3\nWhat is twice 3", KEYS)
    learner.presses("h")
    learner.sees("hint 2/3\nAdd the number to itself", KEYS)
    learner.saves()
    learner.sees("1.1 Twice a number: pass", "all 5 tests pass", "1 of 2 done", KEYS)
    assert "hint" not in learner.screen.removesuffix(f"{KEYS}\n")
    assert "next: 1.2 Twice the value at a place" in learner.screen
    learner.presses("n")
    learner.sees("1.2 Twice the value at a place: still to do", KEYS)
    learner.presses("q")
    learner.sees("Stopped watching.")
    assert learner.ends() == 0
    assert learner.left_as_before()
    assert progress.read(learner.course)["demo/double"] is Verdict.PASS


def test_pass_does_not_go_on_by_itself(watch):
    learner = watch()
    learner.saves()
    learner.sees("1.1 Twice a number: pass", KEYS)
    learner.saves("return 0")
    learner.sees("1.1 Twice a number: wrong answer", KEYS)


def test_exercise_that_breaks_again_is_pending_again(watch):
    learner = watch()
    learner.saves()
    learner.sees("1 of 2 done", KEYS)
    learner.saves("return 2 * x")
    learner.sees("wrong answer", "it says:   negative number is refused (test 2 of 5)", BAR, KEYS)
    assert progress.read(learner.course)["demo/double"] is Verdict.WRONG


def test_saving_another_exercise_moves_to_it(watch):
    learner = watch()
    learner.saves("return 0", "1.2")
    learner.sees("1.2 Twice the value at a place: wrong answer", KEYS)
    learner.saves("return 0", "1.1")
    learner.sees("1.1 Twice a number: wrong answer", KEYS)


def test_exercise_that_is_named_comes_first(watch):
    watch("1.2", sees=("1.2 Twice the value at a place: still to do", KEYS))


def test_without_a_name_the_failing_one_comes_first(watch, tmp_path):
    course = make_course(tmp_path / "other")
    answer(course, "1.2", "return 0")
    progress.save(course, {"demo/pick": Verdict.WRONG})
    watch(course=course, sees=("1.2 Twice the value at a place: wrong answer", KEYS))


def test_own_option_serves_the_learners_imports(watch, tmp_path):
    course = make_course(tmp_path / "other")
    answer(course, "1.1", "return 0")
    answer(course, "1.2")
    watch("1.2", course=course, sees=("1.2 Twice the value at a place: pass", KEYS))
    watch("1.2", "--own", course=course, sees=("1.2 Twice the value at a place: wrong", KEYS))


# ------------------------------------------------------------------------------------- keys


def test_next_before_a_pass_is_the_one_after(watch):
    learner = watch()
    learner.presses("n")
    learner.sees("1.2 Twice the value at a place: still to do", KEYS)
    learner.presses("n")
    learner.sees("1.1 Twice a number: still to do", KEYS)
    learner.saves()
    learner.sees("pass", KEYS)
    learner.presses("n")
    learner.sees("1.2 Twice", KEYS)
    learner.presses("n")
    learner.sees("This is the last one that is not done.", KEYS)
    learner.saves(number="1.2")
    learner.sees("pass", "next: nothing left to do here.", KEYS)
    learner.presses("n")
    learner.sees("nothing left to do here", KEYS)


def test_list_shows_the_chapter(watch):
    learner = watch()
    learner.presses("l")
    learner.sees("1.1  Twice a number", "todo", "1.2  Twice the value at a place", BAR, KEYS)


def test_solution_is_shown_after_a_pass_only(watch):
    learner = watch()
    learner.presses("s")
    learner.sees("It is shown when yours passes.", "kata solution 1.1 --peek", KEYS)
    assert "return x + x" not in learner.screen
    learner.saves("if x < 0:\n    raise ValueError('x must not be negative')\nreturn 2 * x")
    learner.sees("pass", KEYS)
    learner.presses("s")
    learner.sees("# solution", "return x + x", KEYS)
    learner.saves("return 0")
    learner.sees("wrong answer", KEYS)
    learner.presses("s")
    learner.sees("It is shown when yours passes.", KEYS)


def test_starting_over_asks_and_keeps_a_copy(watch):
    learner = watch()
    learner.presses("x")
    learner.sees("is as it was at the start. There is nothing to do.", KEYS)
    learner.saves("return 12345")
    learner.sees("wrong answer", KEYS)
    mine = learner.path().read_bytes()
    learner.presses("x")
    learner.sees("Start over with 1.1 Twice a number? A copy of your file is kept. (y/n)")
    learner.presses("n")
    learner.sees("Nothing was changed.", KEYS)
    assert learner.path().read_bytes() == mine
    learner.presses("x")
    learner.sees("(y/n)")
    learner.presses("y")
    learner.sees("still to do", "Your file is kept: ", KEYS)
    kept = re.search(r"Your file is kept: (.+)", learner.screen)[1]
    assert (learner.course.root / kept).read_bytes() == mine
    assert b"raise NotImplementedError" in learner.path().read_bytes()


def test_save_takes_the_question_away(watch):
    learner = watch()
    learner.saves("return 1")
    learner.sees("wrong answer", KEYS)
    learner.presses("x")
    learner.sees("(y/n)")
    learner.saves("return 2")
    learner.sees("wrong answer", KEYS)
    learner.presses("y")
    learner.presses("q")
    assert learner.ends() == 0
    assert "return 2" in learner.path().read_text("utf-8")


def test_other_keys_do_nothing(watch):
    learner = watch()
    learner.presses("y\x1b[Au7 \n")
    learner.presses("l")
    learner.sees("1.2  Twice", KEYS)
    assert learner.news.count(KEYS) == 1


def test_keys_during_a_check_are_ignored(watch):
    learner = watch()
    learner.saves(f"{GATE}\nreturn 0")
    until(learner.gate("started").exists)
    learner.presses("hxyq")
    learner.gate("open").touch()
    learner.sees("wrong answer", KEYS)
    learner.presses("l")
    learner.sees("1.2  Twice", KEYS)
    assert "hint 1/3" not in learner.seen
    assert "(y/n)" not in learner.seen


def test_missing_hints_are_told(watch):
    learner = watch()
    (learner.course.tests_dir / "ch01_demo" / "hints.toml").unlink()
    learner.presses("h")
    learner.sees("there are no hints on 1.1 Twice a number yet", KEYS)


# ------------------------------------------------------------------------------------ saves


@pytest.mark.parametrize("way", WAYS)
def test_save_during_a_check_is_what_counts(watch, way):
    learner = watch(way=way)
    learner.saves(f"{GATE}\nreturn 0")
    until(learner.gate("started").exists)
    learner.saves("return 1")
    learner.saves()
    learner.sees("1.1 Twice a number: pass", KEYS)
    learner.presses("l")
    learner.sees("1.1  Twice a number", "pass", KEYS)


def test_file_that_is_saved_unchanged_is_not_checked_again(watch):
    learner = watch()
    learner.saves("return 0")
    learner.sees("wrong answer", KEYS)
    learner.acts()
    for _ in range(3):
        learner.path().write_bytes(learner.path().read_bytes())
    other = learner.path("1.2")
    other.write_bytes(other.read_bytes())
    learner.presses("l")
    learner.sees("1.2  Twice", KEYS)
    assert "checking" not in learner.news


def test_save_in_several_steps_ends_in_the_right_verdict(watch):
    learner = watch()
    whole = (learner.course.solutions_dir / "ch01_demo" / "ex01_double.py").read_bytes()
    learner.acts()
    with learner.path().open("wb", buffering=0) as file:
        for i in range(0, len(whole), 50):
            file.write(whole[i : i + 50])
    learner.sees("1.1 Twice a number: pass", KEYS)


def test_file_that_is_removed_may_come_back(watch):
    learner = watch()
    learner.saves("return 0")
    learner.sees("wrong answer", KEYS)
    old = learner.path().rename(learner.path().with_name("ex01_double.py~"))
    learner.acts()
    learner.sees("FileNotFoundError: there is no ", KEYS)
    learner.acts()
    old.rename(learner.path())
    learner.sees("1.1 Twice a number: wrong answer", KEYS)


def test_polling_sees_a_save_too(watch):
    learner = watch("--poll")
    learner.saves("return 0", "1.2")
    learner.sees("1.2 Twice the value at a place: wrong answer", KEYS)


WITHOUT_EVENTS = """
import sys
import watchfiles
from kata import cli
def watch(*args, **options):
    raise OSError("no space left for watches")
watchfiles.watch = watch
sys.argv[0] = "kata"
cli.main()
"""


def test_lost_event_costs_a_second_and_no_verdict(watch, monkeypatch):
    monkeypatch.setitem(WAYS, "deaf", ["-c", WITHOUT_EVENTS])
    learner = watch(way="deaf")
    learner.saves()
    learner.sees("1.1 Twice a number: pass", KEYS)


class Idle:
    """Stands in for the worker: notes what it is asked for."""

    def __init__(self):
        self.asked = queue.SimpleQueue()

    def run(self, job):
        self.asked.put(job.slug)
        return warm.Outcome(Verdict.PASS)

    def prepare(self, job):
        """Nothing is needed."""

    def cancel(self):
        """Nothing is under way."""

    def close(self):
        """Nothing is open."""


@pytest.fixture
def loop(tmp_path, environ, monkeypatch):
    """The loop of a learner at 1.1, with nobody who works and a clock that stands still."""
    course = make_course(tmp_path)
    idle, clock = Idle(), [100.0]
    monkeypatch.setattr(watcher, "worker", lambda root: idle)
    monkeypatch.setattr(watcher.time, "monotonic", lambda: clock[0])
    loop = watcher.Watcher(course, course.find("1.1"), own=False, poll=False)
    loop.course, loop.idle, loop.clock = course, idle, clock
    return loop


def test_several_files_at_once_are_no_reason_to_move(loop):
    both = [loop.course.find(n) for n in ("1.1", "1.2")]
    answer(loop.course, "1.1", "return 0")
    answer(loop.course, "1.2", "return 0")
    loop._saved(both)
    assert loop.idle.asked.get(timeout=SECONDS) == "demo/double"
    loop._saved(both[1:])  # an event that comes late
    loop._check()
    assert loop.idle.asked.get(timeout=SECONDS) == "demo/double"


@pytest.mark.parametrize("empty", [False, True])
def test_file_that_is_gone_for_a_moment_is_not_judged(loop, empty):
    path = loop.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    path.write_text("") if empty else path.unlink()
    loop._look()
    assert not loop._running
    loop.clock[0] += 0.29
    loop._look()
    assert not loop._running
    loop.clock[0] += 0.02
    loop._look()
    assert loop._running


def test_verdict_on_what_was_there_before_is_not_shown(loop, capsys):
    loop._check()
    run = loop._run
    answer(loop.course, "1.1", "return 0")
    loop._done(run, warm.Outcome(Verdict.PASS, 5, 0, 5))
    assert loop._run == run + 1
    loop._done(run, warm.Outcome(Verdict.PASS, 5, 0, 5))
    assert capsys.readouterr().out == ""
    loop._done(run + 1, warm.Outcome(Verdict.PASS, 5, 0, 5))
    assert "all 5 tests pass" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (warm.Outcome(Verdict.NOT_RUN, 0, 2, 2, "not run: no GPU"), ["not run: no GPU"]),
        (warm.Outcome(Verdict.PASS, 3, 2, 5), ["all 3 tests pass; 2 cannot run here"]),
        (warm.Outcome(Verdict.PASS, 1, 0, 1), ["its test passes"]),
        (warm.Outcome(Verdict.TODO, 2, 1, 5), ["2 of 4 tests pass already"]),
        (
            warm.Outcome(None, problem=NOT_STARTED, output="ERROR: what\n  is wrong"),
            ["pytest could not start", "  ERROR: what\n    is wrong"],
        ),
    ],
)
def test_outcomes_that_are_no_failure_are_put_in_words(loop, capsys, outcome, told):
    loop._check()
    loop._done(loop._run, outcome)
    shown = capsys.readouterr().out
    for words in told:
        assert words in shown


def test_broken_worker_is_told_and_not_the_end(loop, capsys, monkeypatch):
    def run(job):
        raise OSError("no more processes")

    monkeypatch.setattr(loop.idle, "run", run)
    loop._check()
    loop._step()
    assert "1.1 Twice a number: the check broke down: no more processes" in capsys.readouterr().out


# -------------------------------------------------------------------------- files and answers


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"def double(x):\n    return (\n", "SyntaxError: '(' was never closed"),
        (b"name = '\xff'\n", "SyntaxError: (unicode error) 'utf-8' codec"),
        (b"", "MissingName: "),
        (b"x = 1\x00", "SyntaxError: source code string cannot contain null bytes"),
    ],
)
def test_broken_file_is_a_crash_and_not_the_end(watch, content, told):
    learner = watch()
    learner.saves_bytes(content)
    learner.sees("1.1 Twice a number: it crashed", told, KEYS)
    learner.saves()
    learner.sees("1.1 Twice a number: pass", KEYS)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import os\nos._exit(5)", "it ended the process that ran it (exit code 5)"),
        (
            "import ctypes\nctypes.string_at(0)",
            f"the process that ran it was ended by SIGSEGV\n\n  at {FILE}:19\n",
        ),
        ("print('=' * 5_000_000)\nreturn 0", "wrong answer"),
        (
            "raise KeyboardInterrupt",
            f"the tests did not come to their end\n\n  at {FILE}:18\n",
        ),
    ],
)
def test_answer_that_misbehaves_costs_one_line(watch, body, told):
    learner = watch()
    learner.saves(body)
    learner.sees(f"1.1 Twice a number: {told}", KEYS)
    assert len(learner.screen) < 3000
    learner.saves()
    learner.sees("1.1 Twice a number: pass", KEYS)


def test_endless_loop_ends_with_the_next_save(watch, tmp_path):
    course = make_course(tmp_path / "other")
    settings = course.root / "pyproject.toml"
    patient = settings.read_text("utf-8").replace("timeout = 20", "timeout = 1000")
    settings.write_text(patient, "utf-8")
    learner = watch(course=course)
    in_c = "import re\n(__import__('pathlib').Path(__file__).parent / 'started').touch()\n"
    learner.saves(f"{in_c}re.match('(a+)+$', 'a' * 60 + 'b')")
    until(learner.gate("started").exists)
    learner.saves()
    learner.sees("1.1 Twice a number: pass", KEYS)


# -------------------------------------------------------------------------------------- ends


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_ends_with_one_line(watch, way, busy):
    learner = watch(way=way)
    if busy:
        learner.saves(GATE)
        until(learner.gate("started").exists)
    started = below(learner.process.pid) if sys.platform == "linux" else set()
    learner.presses("\x03")
    learner.sees("Stopped watching.")
    assert learner.ends() == 130
    assert "Traceback" not in learner.seen
    assert learner.left_as_before()
    until(lambda: not started & alive().keys())


@linux
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_is_left_when_it_is_ended(watch, way, how):
    learner = watch(way=way)
    learner.saves(f"import subprocess\nsubprocess.Popen(['sleep', '1000'])\n{GATE}")
    until(learner.gate("started").exists)
    started = below(learner.process.pid)
    os.kill(learner.process.pid, how)
    expected = -how if how == signal.SIGKILL else 128 + how
    assert learner.ends() == expected
    if how != signal.SIGKILL:
        assert learner.left_as_before()
        assert "Traceback" not in learner.seen
    if way == "fork" or how != signal.SIGKILL:
        until(lambda: not started & alive().keys())
    else:  # what learner code has started is nobody's then
        ours = {pid for pid in started if b"sleep" not in command(pid)}
        until(lambda: not ours & alive().keys())
        for pid in started & alive().keys():
            os.kill(pid, signal.SIGKILL)


def command(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
    return b""


@linux
def test_no_process_is_left_when_the_terminal_goes_away(watch):
    learner = watch()
    started = below(learner.process.pid)
    learner.goes_away()
    learner.ends()
    until(lambda: not started & alive().keys())


# --------------------------------------------------------------------------- other surroundings


def test_narrow_terminal_breaks_between_the_keys(watch):
    learner = watch(
        columns=40, sees=("still to do", "h hint   n next   l list   s solution\nx start")
    )
    assert "q quit\n" in learner.screen


def test_colour_is_used_where_it_is_wanted(watch):
    learner = watch(NO_COLOR="")
    learner.saves()
    learner.sees("pass", KEYS)
    assert "\x1b[1;32m1.1 Twice a number: pass" in learner.seen


def test_terminal_that_cannot_clear_is_not_cleared(watch):
    learner = watch(TERM="dumb")
    learner.saves()
    learner.sees("pass", KEYS)
    assert "\x1b" not in learner.seen


def test_read_only_state_costs_nothing_but_memory(watch, tmp_path):
    course = make_course(tmp_path / "other")
    (course.root / ".kata").write_text("in the way")
    learner = watch(course=course)
    learner.saves()
    learner.sees("pass", "1 of 2 done", KEYS)
    learner.presses("n")
    learner.sees("1.2 Twice the value at a place: still to do", "1 of 2 done", KEYS)


def piped(course, *args, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "kata", "watch", *args],
        cwd=course.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_pipe_gets_verdicts_without_keys_until_it_ends(tmp_path, environ):
    course = make_course(tmp_path)
    with piped(course, stdin=subprocess.PIPE) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[0] == "There is no keyboard here: the keys are off, and Ctrl-C ends.\n"
        assert lines[1:] == ["\n", "1.1 Twice a number: still to do\n"]
        answer(course, "1.1")
        while process.stdout.readline() != "1.1 Twice a number: pass\n":
            pass
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert "Stopped watching." in out
    assert KEYS not in out
    assert "\x1b" not in out


def test_reader_that_has_gone_ends_it(tmp_path, environ):
    course = make_course(tmp_path)
    with piped(course, stdin=subprocess.DEVNULL) as process:
        process.stdout.readline()
        process.stdout.close()
        answer(course, "1.1")
        process.wait(SECONDS)
        assert "Traceback" not in process.stderr.read()


def test_what_is_asked_for_must_be_there(tmp_path, environ):
    course = make_course(tmp_path)
    with piped(course, "7.7", stdin=subprocess.DEVNULL) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("kata: no exercise '7.7'")


def test_course_that_is_done_asks_for_a_name(tmp_path, environ):
    course = make_course(tmp_path)
    progress.save(course, {"demo/double": Verdict.PASS, "demo/pick": Verdict.PASS})
    with piped(course, stdin=subprocess.DEVNULL) as process:
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert err.startswith("kata: nothing left to do; name an exercise")
