"""`kata reset` and `kata stubs`, which replace files: nothing that a person wrote is ever lost."""

import errno
import io
import os
import sys
import tempfile
import time

import pytest

from kata import stubs
from kata.verdict import Verdict
from tests.meta.command import Kata
from tests.meta.minicourse import answer, make_course

MINE = "return x * x  # my own \N{WHITE MEDIUM STAR} work"
NAME = os.path.join("exercises", "ch01_demo", "ex01_double.py")
STALE_STUB = '''\
"""1.1 Two times a number   [easy, ~5 min]"""

import math


def twice(x):
    """Return `x`, twice."""
    raise NotImplementedError("twice")  # your code here
'''


@pytest.fixture
def kata(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(time, "strftime", lambda form: "2031-05-06_070809")
    return Kata(make_course(tmp_path), monkeypatch, capsys)


def stub(kata, number="1.1"):
    return stubs.stub_of(kata.course, kata.course.find(number))


def copies(kata):
    """The copies in `.kata/backup`, by name."""
    found = (kata.course.root / ".kata" / "backup").rglob("*")
    return {p.name: p.read_text("utf-8") for p in found if p.is_file()}


# ----------------------------------------------------------------------------------------- reset


def test_reset_keeps_a_copy_and_writes_the_stub(kata):
    path = answer(kata.course, "1.1", MINE)
    mine = path.read_text("utf-8")
    result = kata("reset", "1.1", "--yes")
    copy = os.path.join(".kata", "backup", "ch01_demo", "ex01_double.2031-05-06_070809.py")
    assert (result.code, result.err) == (0, "")
    assert result.lines == [f"Your file is kept: {copy}", f"Start again: {NAME}:18"]
    assert path.read_text("utf-8") == stub(kata)
    assert (kata.course.root / copy).read_text("utf-8") == mine


def test_copy_is_the_file_byte_by_byte(kata):
    path = kata.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    content = b"\xef\xbb\xbfnot = 'utf-8 \xff'\r\n\x00"
    path.write_bytes(content)
    assert kata("reset", "1.1", "--yes").code == 0
    copy = kata.course.root / ".kata" / "backup" / "ch01_demo" / "ex01_double.2031-05-06_070809.py"
    assert copy.read_bytes() == content


def test_copies_of_the_same_second_are_all_kept(kata):
    for i in range(3):
        answer(kata.course, "1.1", f"return {i}")
        assert kata("reset", "1.1", "--yes").code == 0
    found = copies(kata)
    assert sorted(found) == [
        "ex01_double.2031-05-06_070809.py",
        "ex01_double.2031-05-06_070809_2.py",
        "ex01_double.2031-05-06_070809_3.py",
    ]
    assert [text.splitlines()[-1] for _, text in sorted(found.items())] == [
        "    return 0",
        "    return 1",
        "    return 2",
    ]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_reset_of_an_untouched_file_does_nothing(kata, ends):
    path = kata.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    path.write_bytes(stub(kata).replace("\n", ends).encode())
    before = path.read_bytes()
    result = kata("reset", "1.1")
    assert result.lines == [f"{NAME} is as it was at the start. There is nothing to do."]
    assert (result.code, path.read_bytes(), copies(kata)) == (0, before, {})


def test_reset_brings_a_lost_file_back(kata):
    path = kata.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    path.unlink()
    result = kata("reset", "1.1")
    assert result.lines == [f"Start again: {NAME}:18"]
    assert path.read_text("utf-8") == stub(kata)


def test_reset_makes_the_exercise_todo(kata):
    answer(kata.course, "1.1")
    kata.verdict(double=Verdict.PASS)
    kata("reset", "1.1", "--yes")
    assert kata("list").lines[1].endswith("todo")


@pytest.mark.parametrize("said", ["y\n", "yes\n"])
def test_reset_asks_and_goes_on(kata, monkeypatch, said):
    path = answer(kata.course, "1.1", MINE)
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))
    result = kata("reset", "1.1")
    question = "Start over with 1.1 Twice a number? A copy of your file is kept. [y/N]: "
    assert result.out.startswith(question)
    assert (result.code, path.read_text("utf-8")) == (0, stub(kata))


@pytest.mark.parametrize("said", ["n\n", "\n", ""])
def test_reset_asks_and_stops(kata, monkeypatch, said):
    path = answer(kata.course, "1.1", MINE)
    before = path.read_bytes()
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))
    result = kata("reset", "1.1")
    assert (result.code, result.err) == (1, "kata: nothing was changed\n")
    assert (path.read_bytes(), copies(kata)) == (before, {})


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("module", "function", "kept"),
    [(os, "replace", 1), (tempfile, "mkstemp", 1), (os, "fsync", 0), (os, "mkdir", 0)],
)
def test_failed_reset_leaves_the_file_as_it_is(kata, monkeypatch, module, function, kept):
    path = answer(kata.course, "1.1", MINE)
    before = path.read_text("utf-8")
    monkeypatch.setattr(module, function, full_disk)
    result = kata("reset", "1.1", "--yes")
    assert (result.code, result.out) == (1, "")
    assert result.err == f"kata: {NAME} was not changed: No space left on device\n"
    assert path.read_text("utf-8") == before
    assert list(copies(kata).values()) == [before] * kept  # whole, or none at all
    assert [p.name for p in path.parent.glob(".*")] == []  # and nothing half-written beside it


def test_interrupted_reset_leaves_the_file_as_it_is(kata, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    path = answer(kata.course, "1.1", MINE)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", interrupt)
    assert kata("reset", "1.1", "--yes").code != 0
    assert path.read_bytes() == before


def test_file_in_the_place_of_the_backup_folder_stops_the_reset(kata):
    path = answer(kata.course, "1.1", MINE)
    before = path.read_bytes()
    (kata.course.root / ".kata").write_text("in the way")
    result = kata("reset", "1.1", "--yes")
    assert result.code == 1
    assert result.err.startswith(f"kata: {NAME} was not changed: ")
    assert path.read_bytes() == before


def test_reset_without_a_solution_says_so(kata):
    path = answer(kata.course, "1.1", MINE)
    (kata.course.solutions_dir / "ch01_demo" / "ex01_double.py").unlink()
    before = path.read_bytes()
    result = kata("reset", "1.1", "--yes")
    message = "kata: there is no solution of 1.1 Twice a number to make its stub from\n"
    assert (result.code, result.err, path.read_bytes()) == (2, message, before)


# ----------------------------------------------------------------------------------------- stubs


def test_stubs_are_up_to_date(kata):
    for args in ([], ["--check"], ["--force"]):
        result = kata("stubs", *args)
        assert (result.code, result.lines) == (0, ["Every stub is up to date."])


def test_stubs_check_lists_what_is_stale_and_writes_nothing(kata):
    path = answer(kata.course, "1.1", MINE)
    (kata.course.exercises_dir / "ch01_demo" / "ex02_pick.py").unlink()
    before = path.read_bytes()
    result = kata("stubs", "--check")
    assert result.code == 1
    assert result.lines == [
        "stale: exercises/ch01_demo/ex01_double.py",
        "stale: exercises/ch01_demo/ex02_pick.py",
        "2 stubs are stale; write them with: kata stubs",
    ]
    assert (path.read_bytes(), copies(kata)) == (before, {})


def test_one_stale_stub_is_one(kata):
    answer(kata.course, "1.1", MINE)
    assert kata("stubs", "--check").lines[-1] == "1 stub is stale; write it with: kata stubs"


def test_stubs_writes_what_nobody_has_worked_on(kata):
    path = kata.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    path.write_text(STALE_STUB, encoding="utf-8")
    result = kata("stubs")
    copy = os.path.join(".kata", "backup", "ch01_demo", "ex01_double.2031-05-06_070809.py")
    assert result.code == 0
    assert result.lines == ["written: exercises/ch01_demo/ex01_double.py", f"kept: {copy}"]
    assert path.read_text("utf-8") == stub(kata)
    assert (kata.course.root / copy).read_text("utf-8") == STALE_STUB


def test_a_file_that_is_no_exercise_is_copied_as_it_is(kata):
    given = kata.course.solutions_dir / "ch01_demo" / "shared.py"
    given.write_text("SHARED = 1\n", encoding="utf-8")
    assert kata("stubs", "--check").lines[0] == "stale: exercises/ch01_demo/shared.py"
    assert kata("stubs").lines == ["written: exercises/ch01_demo/shared.py"]
    assert (kata.course.exercises_dir / "ch01_demo" / "shared.py").read_text() == "SHARED = 1\n"
    assert kata("stubs", "--check").code == 0


def test_stubs_leaves_an_edited_file_alone(kata):
    path = answer(kata.course, "1.1", MINE)
    before = path.read_bytes()
    lost = kata.course.exercises_dir / "ch01_demo" / "ex02_pick.py"
    lost.unlink()
    result = kata("stubs")
    assert result.code == 1
    assert result.lines == [
        "written: exercises/ch01_demo/ex02_pick.py",
        "left alone, somebody has worked on it: exercises/ch01_demo/ex01_double.py",
        "To replace it too, with a copy kept: kata stubs --force",
    ]
    assert path.read_bytes() == before
    assert lost.read_text("utf-8") == stub(kata, "1.2")


def test_stubs_force_replaces_an_edited_file_and_keeps_it(kata):
    path = answer(kata.course, "1.1", MINE)
    mine = path.read_text("utf-8")
    result = kata("stubs", "--force")
    assert (result.code, path.read_text("utf-8")) == (0, stub(kata))
    assert list(copies(kata).values()) == [mine]


def test_stubs_on_a_full_disk_loses_nothing(kata, monkeypatch):
    path = answer(kata.course, "1.1", MINE)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", full_disk)
    result = kata("stubs", "--force")
    assert (result.code, result.err) == (1, "kata: No space left on device\n")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    # solution\n", "", "ch01_demo/ex01_double.py: no line `# solution`"),
        ("return x + x", "return x +", "ch01_demo/ex01_double.py:21: invalid syntax"),
    ],
)
def test_solution_that_cannot_be_cut_is_named(kata, old, new, message):
    path = kata.course.solutions_dir / "ch01_demo" / "ex01_double.py"
    path.write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")
    for args in (["stubs"], ["stubs", "--check"], ["reset", "1.1"]):
        result = kata(*args)
        assert (result.code, result.err) == (2, f"kata: {message}\n".replace("/", os.sep))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    raise", "    half = x / 2\n    raise"),
        ("    raise", "    # twice means x + x\n    raise"),
        ("    raise", "    def inner(): return x\n    raise"),
        ("raise NotImplementedError", "return x + x  # NotImplementedError"),
        ("def double", "def helper(x):\n    return x\n\n\ndef double"),
        ("def double", "LIMIT = 3\n\n\ndef double"),
        ("    raise", "  raise"),
        ("double(x: int)", "double(x: int"),
        ("your code here", "my notes"),
        ("Return", "\x00"),
    ],
)
def test_work_in_a_stub_is_noticed(kata, old, new):
    assert stubs.is_edited(stub(kata).replace(old, new), stub(kata))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Return twice", "Give back twice"),
        ("double(x: int)", "twice(number)"),
        ("def double", "import math\n\n\ndef double"),
        (
            "def double",
            "class Old:\n    def f(self):\n        raise NotImplementedError('f')\n\n\ndef double",
        ),
        ("\n", "\r\n"),
    ],
)
def test_old_stub_is_not_taken_for_work(kata, old, new):
    assert not stubs.is_edited(stub(kata).replace(old, new), stub(kata))
