"""`kata.warm`: the tests of an exercise in a process that has everything imported already."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from kata import progress, warm
from kata.verdict import Verdict
from kata.warm import Job
from kata.warm_single import Single
from tests.meta.minicourse import PROJECT, answer, make_course
from tests.meta.processes import alive, below

pytestmark = pytest.mark.timeout(300)
SECONDS = 90  # for anything: the machine may be busy
WAYS = [Single]
if warm.CAN_FORK:
    from kata.warm_forked import Forked

    WAYS.append(Forked)
linux = pytest.mark.skipif(sys.platform != "linux", reason="not run: reads /proc")
GATE = """
import time
from pathlib import Path
here = Path(__file__).parent
(here / "started").touch()
while not (here / "open").exists():
    time.sleep(0.01)
"""


def until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Desk:
    """A learner's course, and the worker that checks it."""

    def __init__(self, way, root):
        self.course = make_course(root)
        self.limit(1000)
        self.worker = way(self.course.root)

    def job(self, number="1.1", own=False):
        return Job.of(self.course, self.course.find(number), own)

    def limit(self, seconds):
        """Give each test so much time."""
        file = self.course.root / "pyproject.toml"
        text = re.sub(r"(?m)^timeout = \d+$", f"timeout = {seconds}", file.read_text("utf-8"))
        file.write_text(text, "utf-8")

    def prepare(self):
        """Wait until a process has read the tests, and waits in its turn."""
        file = self.course.tests_dir / "ch01_demo" / "test_ex01_double.py"
        text = "from pathlib import Path\n\nPath(__file__).with_name('read').touch()\n"
        file.write_text(text + file.read_text("utf-8"), "utf-8")
        self.worker.prepare(self.job())
        until(file.with_name("read").exists)

    def check(self, body=None, number="1.1", own=False):
        """Write an answer, and run its tests."""
        answer(self.course, number, body)
        return self.worker.run(self.job(number, own))

    def gate(self, name):
        return self.course.exercises_dir / "ch01_demo" / name

    def begin(self, outcomes):
        """Start a run that waits at a gate, in a thread."""
        answer(self.course, "1.1", f"{GATE}\nreturn 2 * x")
        thread = threading.Thread(target=lambda: outcomes.append(self.worker.run(self.job())))
        thread.start()
        until(self.gate("started").exists)
        return thread


@pytest.fixture(params=WAYS)
def desk(request, tmp_path, monkeypatch):
    for name in warm.NOT_TAKEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(warm.tempfile, "tempdir", None)
    desk = Desk(request.param, tmp_path / "course")
    yield desk
    desk.worker.close()


def test_wrong_answer_is_told_as_pytest_tells_it(desk):
    outcome = desk.check("return x * x")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "tests/ch01_demo/test_ex01_double.py"],
        cwd=desk.course.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.verdict is Verdict.WRONG
    assert outcome.text.startswith("1.1 Twice a number: wrong answer\n\n  >>> double(3)\n  9\n")
    assert "looks like: The number was multiplied by itself." in outcome.text
    assert outcome.text.rstrip() in done.stdout
    assert (outcome.test, outcome.position, outcome.tests) == ("three_becomes_six", 1, 5)


def test_only_the_first_failing_test_is_told(desk):
    outcome = desk.check("return 2 * x if x in (-1, 3) else 0")
    assert outcome.verdict is Verdict.WRONG
    assert (outcome.test, outcome.position, outcome.passed) == ("negative_number_is_refused", 2, 1)


def test_right_answer_passes_and_a_stub_is_to_do(desk):
    outcome = desk.worker.run(desk.job())
    assert (outcome.verdict, outcome.passed, outcome.tests) == (Verdict.TODO, 0, 5)
    outcome = desk.check()
    assert (outcome.verdict, outcome.passed, outcome.text) == (Verdict.PASS, 5, "")


def test_each_run_sees_the_file_as_it_is_now(desk):
    verdicts = []
    for body in ("return 0", None, "return 0", "raise NotImplementedError"):
        desk.worker.prepare(desk.job())  # the process that will run it is there before
        verdicts.append(desk.check(body).verdict)
    assert verdicts == [Verdict.WRONG, Verdict.PASS, Verdict.WRONG, Verdict.TODO]


def test_progress_is_kept_as_by_pytest(desk):
    desk.check()
    desk.check("return 0", "1.2")
    assert progress.read(desk.course) == {"demo/double": Verdict.PASS, "demo/pick": Verdict.WRONG}
    desk.check("return 0")
    assert progress.read(desk.course)["demo/double"] is Verdict.WRONG


def test_imports_come_from_the_solutions_or_with_own_from_the_learner(desk):
    answer(desk.course, "1.1", "return 0")
    assert desk.check(number="1.2").verdict is Verdict.PASS
    assert desk.check(number="1.2", own=True).verdict is Verdict.WRONG


def test_changed_tests_are_read_again(desk):
    answer(desk.course, "1.1")
    desk.prepare()
    file = desk.course.tests_dir / "ch01_demo" / "test_ex01_double.py"
    file.write_text("def test_is_seven(answer):\n    assert answer.double(1) == 7\n")
    os.utime(file, ns=(1, 1))
    outcome = desk.worker.run(desk.job())
    assert (outcome.verdict, outcome.test, outcome.tests) == (Verdict.WRONG, "is_seven", 1)


def test_settings_of_strict_sessions_are_left_out(desk, monkeypatch, tmp_path):
    desk.worker.close()
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    desk.worker = type(desk.worker)(desk.course.root)
    assert desk.worker.run(desk.job()).verdict is Verdict.TODO


def test_process_that_is_ready_waits_for_its_run(desk):
    answer(desk.course, "1.1", f"{GATE}\nreturn 0")
    desk.gate("open").touch()
    desk.prepare()
    time.sleep(0.5)  # for one that does not wait to betray itself
    assert desk.check().verdict is Verdict.PASS
    assert not desk.gate("started").exists()


# -------------------------------------------------------------------------- answers that misbehave


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("import os; os._exit(3)", "it ended the process that ran it (exit code 3)"),
        ("import os; os._exit(0)", "it ended the process that ran it (exit code 0)"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "the process that ran it was ended by SIGKILL",
        ),
        ("raise KeyboardInterrupt", "the tests did not come to their end"),
    ],
)
def test_answer_that_ends_the_process_is_one_line(desk, body, problem):
    outcome = desk.check(body)
    assert outcome.problem == problem
    assert desk.check().verdict is Verdict.PASS


@pytest.mark.parametrize("depth", [0, 60])
def test_place_of_a_crash_in_c_is_in_the_output(desk, depth):
    crash = "import ctypes\nf = lambda n: f(n - 1) if n else ctypes.string_at(0)\n"
    outcome = desk.check(f"{crash}return f({depth})")
    assert outcome.problem == "the process that ran it was ended by SIGSEGV"
    assert f'{desk.gate("ex01_double.py")}", line 19' in outcome.output
    assert len(outcome.output) > 4000 or not depth


def test_megabytes_of_output_are_cut(desk):
    outcome = desk.check("print('x' * 10_000_000 + 'end')\nreturn 0")
    assert outcome.verdict is Verdict.WRONG
    assert outcome.printed.endswith("xxxend\n")
    assert len(outcome.printed) < 10_000


def test_control_characters_that_were_printed_are_escaped(desk):
    assert desk.check(r"print('\x1b[2J')" + "\nreturn 0").printed == "\\x1b[2J\n"


def test_closed_files_are_no_trouble(desk):
    desk.check("import os\nos.closerange(0, 200)\nreturn 0")
    assert desk.check().verdict is Verdict.PASS


def test_endless_loop_ends_with_the_line_it_was_on(desk):
    desk.limit(1)
    outcome = desk.check("while True:\n    pass")
    assert outcome.verdict is Verdict.TIMEOUT
    assert "did not end within 1 s" in outcome.text
    assert os.path.join("ch01_demo", "ex01_double.py:") in outcome.text


def test_files_of_tests_do_not_pile_up(desk, tmp_path):
    file = desk.course.tests_dir / "ch01_demo" / "test_ex01_double.py"
    file.write_text(
        "def test_is_six(answer, tmp_path):\n"
        "    (tmp_path / 'file').touch()\n"
        "    assert answer.double(3) == 6\n"
    )
    for _ in range(3):
        assert desk.check().verdict is Verdict.PASS
    assert len(list(tmp_path.glob("kata-watch-*/pytest/*[0-9]"))) == 1
    desk.worker.close()
    assert list(tmp_path.glob("kata-watch-*")) == []


def test_broken_tests_are_told_with_what_pytest_wrote(desk):
    file = desk.course.tests_dir / "ch01_demo" / "test_ex01_double.py"
    file.write_text("import nowhere_to_be_found\n")
    outcome = desk.worker.run(desk.job())
    assert outcome.problem == "the tests did not come to their end"
    assert "No module named 'nowhere_to_be_found'" in outcome.output
    settings = desk.course.root / "pyproject.toml"
    settings.write_text("[tool.pytest.ini_options]\naddopts = '--no-such-option'\n", "utf-8")
    outcome = desk.worker.run(desk.job("1.2"))
    assert outcome.problem == "pytest could not start"
    assert "--no-such-option" in outcome.output


# ----------------------------------------------------------------------------------- ends


def test_run_can_be_ended_from_another_thread(desk):
    outcomes = []
    thread = desk.begin(outcomes)
    desk.worker.cancel()
    thread.join(SECONDS)
    assert [o.verdict for o in outcomes] == [None]
    assert desk.check().verdict is Verdict.PASS


def test_to_end_nothing_is_harmless(desk):
    desk.worker.cancel()
    desk.worker.prepare(desk.job())
    desk.worker.cancel()
    assert desk.check().verdict is Verdict.PASS
    desk.worker.cancel()
    assert desk.check("return 0").verdict is Verdict.WRONG


@linux
def test_no_process_is_left_when_it_is_closed(desk):
    before = below(os.getpid())
    code = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'input()'], "
    code += "stdin=subprocess.PIPE)\nreturn 0"
    outcomes = []
    desk.check(code)
    desk.worker.prepare(desk.job())
    thread = desk.begin(outcomes)
    started = below(os.getpid()) - before
    assert started
    desk.worker.close()
    thread.join(SECONDS)
    until(lambda: not started & alive().keys())


LEFT_ALONE = """
import os, sys, threading
from pathlib import Path
from importlib import import_module
from kata import warm
from kata.course import Course
course = Course(Path.cwd())
worker = getattr(import_module(sys.argv[1]), sys.argv[2])(course.root)
worker.run(warm.Job.of(course, course.find("1.1")))
"""


@linux
@pytest.mark.parametrize("waits", [False, True])
def test_no_process_is_left_when_its_owner_is_killed(desk, waits):
    code = LEFT_ALONE.replace(".run(", ".prepare(") + "input()" if waits else LEFT_ALONE
    answer(desk.course, "1.1", GATE)
    way = type(desk.worker).__name__
    with subprocess.Popen(
        [sys.executable, "-c", code, type(desk.worker).__module__, way],
        cwd=desk.course.root,
        stdin=subprocess.PIPE,
    ) as owner:
        needed = 2 if way == "Forked" else 1
        until(lambda: len(below(owner.pid)) >= needed)
        if not waits:
            until(desk.gate("started").exists)
        started = below(owner.pid)
        owner.send_signal(signal.SIGKILL)
        until(lambda: not started & alive().keys())


@linux
def test_server_that_died_is_started_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    desk = Desk(Forked, tmp_path)
    with contextlib.closing(desk.worker):
        assert desk.check().verdict is Verdict.PASS
        desk.worker._server.kill()
        desk.worker._server.wait()
        assert desk.check("return 0").verdict is Verdict.WRONG
        desk.worker.prepare(desk.job())
        desk.worker._server.kill()
        desk.worker._server.wait()
        assert desk.check().problem == "the process that ran it was ended by SIGKILL"
        assert desk.check().verdict is Verdict.PASS


@linux
def test_what_a_server_has_forked_ends_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    desk, outcomes = Desk(Forked, tmp_path), []
    with contextlib.closing(desk.worker):
        thread = desk.begin(outcomes)
        started = below(desk.worker._server.pid)
        assert started
        desk.worker._server.kill()
        thread.join(SECONDS)
        assert outcomes[0].problem == "the process that ran it was ended by SIGKILL"
        until(lambda: not started & alive().keys())


# -------------------------------------------------------------------------------- imports


def test_what_the_tests_need_is_imported_before(desk):
    file = desk.course.tests_dir / "ch01_demo" / "test_ex01_double.py"
    file.write_text("def test_it(answer):\n    answer.double(1)\n    import colorsys\n")
    assert "colorsys" in desk.job().needs
    body = "import sys\nassert 'colorsys' in sys.modules and 'hypothesis' in sys.modules"
    assert desk.check(body).verdict is Verdict.PASS


def test_what_one_run_has_imported_is_there_for_the_next(desk):
    module = "hypothesis.extra.numpy"
    desk.check(f"import {module}\nreturn 0")
    outcome = desk.check(f"import sys\nassert {module!r} in sys.modules\nreturn 0")
    kept = Verdict.WRONG if type(desk.worker) is not Single else Verdict.CRASH
    assert outcome.verdict is kept


def test_chapter_one_does_not_wait_for_torch(desk):
    outcome = desk.check("import sys\nassert 'torch' not in sys.modules, 'torch'\nreturn 0")
    assert (outcome.verdict, "not 2" in outcome.text) == (Verdict.WRONG, False)
    assert "torch" not in outcome.text


def test_torch_is_imported_before_and_keeps_to_one_thread(desk):
    file = desk.course.tests_dir / "ch01_demo" / "test_ex01_double.py"
    file.write_text(f"import torch\n\n{file.read_text('utf-8')}")
    body = "import torch\na = torch.ones(512, 512)\nassert (a @ a).sum() == 512 ** 3\n"
    body += "assert torch.get_num_threads() == 1\nreturn abs(2 * x) if x >= 0 else 0"
    assert desk.check(body).test == "negative_number_is_refused"
    if type(desk.worker) is not Single:
        body = "import sys\nassert 'torch.fx.experimental.symbolic_shapes' in sys.modules\nreturn 0"
        assert desk.check(body).verdict is Verdict.WRONG
