"""What surrounds the tool is not as it should be: machine, terminal, files, a person in a hurry."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.command import Kata
from tests.meta.minicourse import PROJECT, answer, make_course

FILE = Path("exercises", "ch01_demo", "ex01_double.py")
NEXT = f"next: {FILE}:18  1.1 Twice a number  (stuck? kata hint 1.1   start over? kata reset 1.1)"
READING = [  # what only reads
    ["list"],
    ["list", "--json"],
    ["hint", "1.1"],
    ["solution", "1.1", "--peek"],
    ["report"],
    ["report", "--html", "-"],
    ["doctor"],
    ["--help"],
]
WRITING = [["reset", "1.1", "--yes"], ["stubs", "--force"], ["report", "--html"]]
pytestmark = pytest.mark.timeout(120)  # a busy machine
posix = pytest.mark.skipif(os.name != "posix", reason="not run: needs POSIX")


@pytest.fixture
def kata(lab, monkeypatch, capsys):
    monkeypatch.setattr("kata.doctor._devices", lambda: iter(()))  # it would import torch
    return Kata(lab.course, monkeypatch, capsys)


# Commands one after the other in one process, and last of all pytest.
COMMANDS = """
import contextlib, io, json, pytest, sys
from kata import cli, doctor

doctor._devices = lambda: iter(())

def heard(call, *argv):
    sys.argv = [*argv]
    said = [io.TextIOWrapper(io.BytesIO(), sys.stdout.encoding) for _ in range(2)]
    with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
        try:
            code = call()
        except SystemExit as end:
            code = end.code
        sys.stdout.flush(), sys.stderr.flush()
    return [int(code or 0), *(it.buffer.getvalue().decode(it.encoding, "replace") for it in said)]

results = [heard(cli.main, "kata", *args) for args in json.loads(sys.argv[1])]
print("\\n" + json.dumps([*results, heard(pytest.main, "pytest")]))
"""


def child(root, code, job, **environ):
    """What Python code prints as JSON, in a process that knows hardly anything of this one."""
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT")}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(job)],
        cwd=root,
        env=keep | {"PYTHONPATH": str(PROJECT), "COLUMNS": "100"} | environ,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


def assert_calm(said, code=0):
    """Every command ended well; pytest with its code, its summary, and no warning."""
    assert [(code, err) for code, _, err in said[:-1]] == [(0, "")] * (len(said) - 1)
    assert (said[-1][0], said[-1][2]) == (code, "")
    assert "1 demo           [" in said[-1][1]
    assert "arning" not in said[-1][1]


# ------------------------------------------------------------------------------------ the machine

NO_POSIX = """
import asyncio, importlib, multiprocessing, os, pkgutil, select, signal, subprocess, sys
import platformdirs, pytest, pytest_timeout, rich.syntax, typer, watchfiles, xdist

for name in "fcntl grp pty pwd readline resource syslog termios tty".split():
    sys.modules[name] = None
for name in dir(signal):
    if name.startswith(("SIG", "set", "ITIMER", "pthread")) and name not in ("SIGINT", "SIGTERM"):
        name.startswith("SIG_") or name == "set_wakeup_fd" or delattr(signal, name)
for name in "fork getuid geteuid killpg setsid sched_getaffinity openpty statvfs poll".split():
    for module in (os, select):
        vars(module).pop(name, None)
for package in ("kata", "kata.show", "kata.updating"):
    path = importlib.import_module(package).__path__
    for found in pkgutil.iter_modules(path, f"{package}."):
        importlib.import_module(found.name)
"""


def test_nothing_of_posix_is_needed(tmp_path):
    answer(make_course(tmp_path), "1.2")
    by_path = [["hint", r"exercises\ch01_demo\ex01_double.py"], ["list", r".\exercises\ch01_demo"]]
    environ = {"MPLCONFIGDIR": str(tmp_path / "plots"), "PYTEST_ADDOPTS": "-W ignore::UserWarning"}
    said = child(tmp_path, NO_POSIX + COMMANDS, [*READING, *by_path], **environ)
    assert_calm(said)
    assert "1.1 Twice a number, hint 2/3" in said[-3][1]
    assert "4 passed, 5 todo" in said[-1][1]


def test_file_as_windows_writes_it_is_graded(lab, kata):
    text = lab.answer("1.1").read_text("utf-8").replace("\n", "\r\n")
    (lab.root / FILE).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert lab.run("-k", "double").exercise() == "pass"
    assert json.loads(kata("list", "--json").out)["exercises"][0]["state"] == "pass"
    (lab.root / FILE).write_bytes(b"\xef\xbb\xbf" + text.replace("x + x", "1 / 0").encode())
    assert f"at {FILE}:21\n" in lab.run("-k", "double").text


@pytest.mark.parametrize(
    "name", ["with spaces, h\xf6he, \u0434\u043e\u043c", "/".join(["long" * 20] * 15)]
)
def test_course_may_lie_anywhere(tmp_path, name):
    make_course(tmp_path / name)
    said = child(tmp_path / name, COMMANDS, READING, PYTHONIOENCODING="cp1252")
    assert_calm(said)
    assert NEXT in said[0][1]
    assert NEXT in said[-1][1]


HOME = str(Path(__file__) / "home")  # there can be no such folder
NOWHERE = {"HOME": HOME, "USERPROFILE": HOME, "TERM": "dumb", "FORCE_COLOR": "1"}


@pytest.mark.parametrize("environ", [{}, NOWHERE], ids=["nothing", "no such home"])
def test_environment_may_lack_everything(tmp_path, environ):
    make_course(tmp_path)
    assert_calm(child(tmp_path, COMMANDS, READING, **environ))


# An audit hook takes the rights away: root has them all, and not every system can mount.
DENIED = """
import errno, os, sys

def deny(event, args):
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.chmod"):
        reads = event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if str(args[0]).startswith({place!r}) and not (reads and {may_read}):
            raise OSError(errno.{error}, os.strerror(errno.{error}), args[0])

sys.addaudithook(deny)
"""


@pytest.mark.parametrize(("place", "error"), [("", "EROFS"), (".kata", "EACCES")])
def test_checkout_that_cannot_be_written_is_calm(tmp_path, place, error):
    answer(make_course(tmp_path), "1.1", "return 0")
    before = DENIED.format(place=str(tmp_path / place), may_read=True, error=error)
    said = child(tmp_path, before + COMMANDS, [*READING, *WRITING, ["show", "1"]])
    assert_calm([*said[: len(READING)], said[-1]], code=1)
    for code, out, err in said[len(READING) : -1]:
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert ("Read-only file system" if error == "EROFS" else "Permission denied") in err
    assert "kata hint 1.1 --level 2" in said[2][1]  # nothing can be remembered


def test_file_that_cannot_be_read_is_one_crash(tmp_path):
    answer(make_course(tmp_path), "1.2")
    before = DENIED.format(place=str(tmp_path / FILE), may_read=False, error="EACCES")
    said = child(tmp_path, before + COMMANDS, READING)
    assert_calm(said, code=1)
    assert "PermissionError: [Errno 13] Permission denied" in said[-1][1]
    assert "5 failed, 4 passed" in said[-1][1]


# ----------------------------------------------------------------------------------- the terminal


LIVE = """
import contextlib, pytest, sys
from kata import cli

for args in ["list"], ["report"], ["hint", "1.1"], ["solution", "1.1", "--peek"]:
    sys.argv = ["kata", *args]
    with contextlib.suppress(SystemExit):
        cli.main()
    print("----")
pytest.main(["-q"])
print("THE END")
"""


@posix
@pytest.mark.parametrize(("columns", "bar"), [(40, "[.......] "), (20, "")])
def test_narrow_terminal_without_colour_loses_nothing(tmp_path, columns, bar):
    from tests.meta.person import Person

    course = make_course(tmp_path)
    for tree in (course.solutions_dir, course.exercises_dir):
        file = tree / course.find("1.2").path
        file.write_text(file.read_text("utf-8").replace("Twice the", "Incomprehensible"), "utf-8")
    person = Person([sys.executable, "-c", LIVE], tmp_path, columns, FORCE_COLOR="1")
    try:
        person.sees("THE END")
        assert person.ends() == 0
    finally:
        person.kill()
    listed, *_, tested = person.seen.split("----\n")
    assert not {"\x1b", "\u2026"} & set(person.seen)  # no escape codes, and nothing is cut
    *table, following, _ = listed.split("\n")
    assert max(map(len, table)) <= columns
    assert (following, NEXT in tested) == (NEXT, True)
    assert f"1 demo {bar}0 of 2 done" in " ".join(listed.split())
    assert f"1 demo {bar}0 of 2 done" in " ".join(tested.split())


# Runs commands in forks of one process, which has imported them, with a Ctrl-C at some moment.
FORKS = """
import json, os, pathlib, shutil, signal, sys
import kata.__main__

commands, moments, stdout, file, kind = json.loads(sys.argv[1])
if kind == "warm":
    import gc, rich.syntax, kata.cli, kata.doctor, kata.show.report_page
    gc.freeze()
    kata.doctor._devices = lambda: iter(())
file, memory, count, err = map(pathlib.Path, (file, ".kata", "../count", "../err"))
before, seen, at = file.read_bytes(), 0, None
EVENTS = ("open", "import", "exec", "os.mkdir", "os.rename", "os.chmod")

def watch(event, args):
    global seen
    if at is not None and event in EVENTS:
        seen += 1
        if seen == at:
            signal.raise_signal(signal.SIGINT)

sys.addaudithook(watch)

def run(args, moment):
    global at
    file.write_bytes(before)
    shutil.rmtree(memory, ignore_errors=True)
    if not os.fork():
        gone, pipe = os.pipe()
        os.close(gone)
        os.dup2(pipe if stdout == "gone" else os.open(stdout, os.O_CREAT | os.O_WRONLY), 1)
        os.dup2(os.open(err, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", 1, closefd=False)
        sys.argv = ["kata", *args]
        at = moment
        try:
            kata.__main__.main()
        finally:
            at = None
            count.write_text(str(seen))
    code = os.waitstatus_to_exitcode(os.wait()[1])
    whole = file.read_bytes() == before or b"NotImplementedError" in file.read_bytes()
    for path in memory.rglob("*.json"):
        json.loads(path.read_text())
    beside = [path.name for place in (file.parent, memory) for path in place.rglob(".*")]
    return [code, err.read_text(), whole, beside]

results = []
for args in commands:
    results.append([args, 0, *run(args, 0)])
    events = int(count.read_text())
    for ago in moments if kind == "warm" else [events * i // 9 for i in range(1, 9)]:
        results.append([args, -ago, *run(args, events - ago)])
print(json.dumps(results))
"""


def forks(course, commands, moments=(), stdout=os.devnull, kind="warm"):
    file = answer(course, "1.1", "return 0")
    job = [commands, moments, str(stdout), str(file), kind]
    return child(course.root, FORKS, job)


@posix
@pytest.mark.parametrize(
    ("stdout", "said"), [("/dev/full", "kata: No space left on device\n"), ("gone", "")]
)
def test_stdout_that_takes_nothing_is_no_traceback(lab, stdout, said):
    for args, _, code, err, *_ in forks(lab.course, READING, stdout=stdout):
        assert (args, code, err) == (args, 1, said)


@posix
@pytest.mark.parametrize("module", [["kata", "list"], ["pytest", "-q"]])
def test_streams_may_be_closed(lab, module):
    closed = "<&- >&- 2>&-" if module[0] == "kata" else "<&-"
    run = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", *module],
        cwd=lab.root,
        check=False,
        capture_output=True,
    )
    assert (run.returncode, run.stderr) == (0, b"")


# ---------------------------------------------------------------------------------------- Ctrl-C


@posix
@pytest.mark.parametrize("kind", ["cold", "warm"])  # during the imports, and after them
def test_ctrl_c_at_any_moment_is_quiet(lab, kind):
    commands = [["list"]] if kind == "cold" else [*READING[:-1], *WRITING]
    found = forks(lab.course, commands, (300, 30, 20, 12, 6, 3), kind=kind)
    assert len(found) == (9 if kind == "cold" else 7 * len(commands))
    for args, moment, code, err, whole, beside in found:
        assert (args, moment, code, err) == (args, moment, 130 if moment else 0, "")
        assert (args, moment, whole, beside) == (args, moment, True, [])


HOOKS = [
    "pytest_collection_modifyitems",
    "pytest_runtest_call",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]


@pytest.mark.parametrize("hook", HOOKS)
def test_ctrl_c_ends_pytest_without_a_traceback(lab, kata, hook):
    stop = f"import signal\n\ndef {hook}():\n    signal.raise_signal(signal.SIGINT)\n"
    (lab.root / "conftest.py").write_text(stop, "utf-8")
    outcome = lab.run_outside()
    assert outcome.exit == 2
    assert "Traceback" not in outcome.text
    assert kata("list").code == 0
    assert not list((lab.root / ".kata").glob(".*"))


@posix
def test_ctrl_c_ends_a_strict_session_too(lab):
    lab.answer("1.1", "import os, signal\nos.kill(os.getppid(), signal.SIGINT)\nwhile True: pass")
    outcome = lab.run_outside("--grade")
    assert outcome.exit == 2
    assert "Traceback" not in outcome.text


# ------------------------------------------------------------------------------ a learner's files

BROKEN = {
    "a folder": lambda file: file.mkdir(),
    "a dangling link": lambda file: file.symlink_to("nowhere"),
    "a link to itself": lambda file: file.symlink_to(file.name),
    "not UTF-8": lambda file: file.write_bytes(b'"""1.1 Twice"""\nNAME = "\xe9"\n'),
    "empty": lambda file: file.write_bytes(b""),
    "zeros": lambda file: file.write_bytes(bytes(4096)),
    "gone": lambda file: None,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_file_stops_nothing_else(lab, kata, kind):
    lab.answer("1.2")
    (lab.root / FILE).unlink()
    try:
        for file in (lab.root / FILE, lab.root / FILE.parent / "ex09_of_my_own.py"):
            BROKEN[kind](file)
    except OSError:
        pytest.skip("not run: links need rights on Windows")
    outcome = lab.run()
    assert outcome.exit == 1
    assert (outcome.exercise(), outcome.exercise("demo/pick")) == ("crash", "pass")
    for args in READING:
        result = kata(*args)
        assert (args, result.err, result.code) == (args, "", int(result.out.find("problem:") > 0))
    result = kata("reset", "1.1", "--yes")
    if result.code:
        assert (result.err.count("\n"), result.err.startswith(f"kata: {FILE} ")) == (1, True)


def test_file_that_is_being_saved_has_a_verdict_at_any_byte(lab, kata):
    file = lab.answer("1.1")
    file.write_text(f"{file.read_text('utf-8')}# \xe9\u0436\u2b50\n", "utf-8")
    lab.answer("1.2")
    whole = file.read_bytes()
    hook = f"""
import pathlib

def pytest_runtest_setup(item):
    cut = item.callspec.params["cut"] if hasattr(item, "callspec") else None
    pathlib.Path({str(file)!r}).write_bytes({whole!r}[:cut])
"""
    (lab.root / "conftest.py").write_text(hook, "utf-8")
    lab.test_file(
        "import pytest\n\n\n"
        f"@pytest.mark.parametrize('cut', range(0, {len(whole) + 1}, 3))\n"
        "def test_three_becomes_six(answer, cut):\n    assert answer.double(3) == 6\n"
    )
    outcome = lab.run()
    verdicts = outcome.tests()
    assert set(verdicts.values()) == {"pass", "wrong", "crash"}
    assert outcome.exercise("demo/pick") == "pass"
    for length in range(0, len(whole), 20):
        file.write_bytes(whole[:length])
        assert [kata(*args).err for args in (["list"], ["hint"], ["report"])] == ["", "", ""]


# ------------------------------------------------------------------------------------- the memory

DAMAGED = {
    "folders": None,
    "too deep": "[" * 100_000,
    "too large": '{"demo/double": 1e999}',
    "no text": r'{"\ud800": 1}',
    "no UTF-8": "\xff\xfe",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_memory_is_no_obstacle(lab, kata, damage):
    lab.answer("1.1")
    for name in ("state.json", "history.jsonl", "hints.json"):
        path = lab.root / ".kata" / name
        path.mkdir(parents=True)
        if text := DAMAGED[damage]:
            path.rmdir()
            path.write_text(text, "latin-1")
    for args in READING:
        result = kata(*args)
        assert (args, result.code, result.err) == (args, 0, "")
    outcome = lab.run()
    assert (outcome.exit, outcome.exercise()) == (0, "pass")


def test_two_sessions_at_once_leave_a_readable_state(lab, kata):
    lab.answer("1.1")
    lab.answer("1.2")
    command = [sys.executable, "-m", "pytest", "-q", "-k"]
    both = [
        subprocess.Popen([*command, name], cwd=lab.root, stdout=subprocess.DEVNULL)
        for name in ("double", "pick")
    ]
    assert [session.wait() for session in both] == [0, 0]
    states = {e["state"] for e in json.loads(kata("list", "--json").out)["exercises"]}
    assert "pass" in states  # of two that end at the same moment one may win
    assert "2 attempts" in kata("report").out
    assert not list((lab.root / ".kata").glob(".*"))
