"""Whatever fails at whatever step: what a learner wrote is in its file or, whole, in the backup.

Every step that `kata reset`, `kata stubs --force` and `kata update` take on the file system fails
once in each of three ways; then the same command is given again, and must come to the same end.
"""

import os
import re
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from kata import backup, cli, files
from kata.course import Course
from tests.meta.command import Kata
from tests.meta.faults import Faults, full_disk, interrupt, kill
from tests.meta.minicourse import answer, make_course
from tests.meta.versions import add, change, put

WORK = "# what I wrote \N{WHITE MEDIUM STAR}, {}\n"
HALF_WRITTEN = re.compile(r"\..+\.\w{8}")  # the file that is about to take the place of another
COMMANDS = {
    "reset": ["reset", "1.1", "--yes"],
    "stubs": ["stubs", "--force"],
    "update": ["update", "--yes", "--from", os.path.join("..", "second")],
}
WAYS = {
    "full disk": (full_disk, False),
    "interrupted": (interrupt, True),  # just after it, which is just before the next one
    "killed": (kill, False),
}


@dataclass
class Place:
    """A folder with the learner's copy as it is before the command, and copies of that."""

    first: Path
    kata: Kata

    @property
    def root(self) -> Path:
        return self.kata.course.root

    def again(self) -> None:
        """Put everything back as it was."""
        for child in self.root.iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        shutil.copytree(self.first, self.root, dirs_exist_ok=True)

    def contents(self) -> set[bytes]:
        """What a person would find: no file that is half-written beside another."""
        return {
            path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and not HALF_WRITTEN.fullmatch(path.name)
        }

    def result(self) -> dict[str, bytes]:
        """All files that a command leaves, but for the copies."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
            and not path.is_relative_to(self.root / ".kata" / "backup")
            and not HALF_WRITTEN.fullmatch(path.name)
        }

    def half_written(self) -> list[Path]:
        return [p for p in self.root.rglob(".*") if HALF_WRITTEN.fullmatch(p.name)]


def work(number: int) -> bytes:
    return WORK.format(number).encode()


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    first, second = Course(tmp_path / "first"), Course(tmp_path / "second")
    for course in (first, second):
        make_course(course.root)
        for name in ("wrong_ex01_double.py", "wrong_ex02_pick.py", "test_ex02_pick.py"):
            (course.tests_dir / "ch01_demo" / name).unlink()
    for path in ("solutions/ch01_demo/ex02_pick.py", "exercises/ch01_demo/ex02_pick.py"):
        change(second, path, "1.2", "1.3")
        (second.root / path).rename(second.root / path.replace("ex02", "ex03"))
    change(second, "solutions/ch01_demo/ex01_double.py", "x: int", "x")
    add(second, "ch01_demo/ex02_half", "Half", "x // 2", 1)
    change(second, "tests/ch01_demo/test_ex01_double.py", "== 6", "== 6  # twice three")
    for number in (1, 2):
        path = answer(first, f"1.{number}", "return 7")
        path.write_bytes(path.read_bytes() + work(number))
    put(first, "exercises/ch01_demo/ex09_mine.py", work(3).decode())
    put(first, "tests/ch01_demo/test_ex01_double.py", work(4).decode())
    put(first, "notes.txt", work(5).decode())
    root = tmp_path / "mine"
    root.mkdir()
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # counted all the same, and slow
    monkeypatch.setattr(cli, "app", typer.main.get_command(cli.app))  # made once: it takes longest
    kata = Kata(Course(root), monkeypatch, capsys)
    found = Place(first.root, kata)
    found.again()
    return found


def killed(place: Place, faults: Faults, args: list[str]) -> bool:
    """Run the command in a process of its own, and say whether it ended before its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # on a fork beside threads
        child = os.fork()
    if not child:
        try:
            with faults.armed():
                place.kata(*args)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def run_with(place: Place, way: str, at: int, args: list[str]) -> bool:
    """Run the command with its step `at` failing; whether there was such a step."""
    fault, after = WAYS[way]
    faults = Faults(at, fault, after)
    if fault is kill:
        return killed(place, faults, args)
    with faults.armed():
        result = place.kata(*args)
    if faults.count >= at:
        assert "Traceback" not in result.err
        assert result.err.count("\n") <= 2
    return faults.count >= at


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_lost_at_any_step(place, command, way):
    if way == "killed" and not hasattr(os, "fork"):
        pytest.skip("not run: this system cannot fork")
    args = COMMANDS[command]
    assert place.kata(*args).code == 0
    expected = place.result()
    written = {
        path.read_bytes()
        for path in place.first.rglob("*")
        if path.is_file() and work(0)[:15] in path.read_bytes()
    }
    assert len(written) == 5
    at = 0
    while True:
        at += 1
        place.again()
        if not run_with(place, way, at, args):
            break
        assert written - place.contents() == set(), f"lost at step {at}"
        if way == "full disk":
            assert place.half_written() == [], f"left behind at step {at}"
        assert place.kata(*args).code == 0, f"not finished after step {at}"
        assert place.result() == expected, f"another end after step {at}"
        assert written - place.contents() == set(), f"lost after step {at}"
    assert at > 8
    print(f"{command}, {way}: {at - 1} steps")


def test_change_before_the_replacement_is_kept_too(place, monkeypatch):
    path = place.kata.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    first, late = path.read_bytes(), iter([b"saved late\r\n", b"saved later \xff\n"])
    chmod = os.chmod

    def save_late(name, mode):
        chmod(name, mode)
        if data := next(late, b""):
            path.write_bytes(data)

    monkeypatch.setattr(os, "chmod", save_late)
    assert place.kata("reset", "1.1", "--yes").code == 0
    assert b"raise NotImplementedError" in path.read_bytes()
    assert {first, b"saved late\r\n", b"saved later \xff\n"} <= place.contents()


def test_file_that_never_rests_is_not_replaced(place, monkeypatch):
    path = place.kata.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    numbers = iter(range(1000))
    chmod = os.chmod

    def save_late(name, mode):
        chmod(name, mode)
        path.write_text(f"late {next(numbers)}")

    monkeypatch.setattr(os, "chmod", save_late)
    result = place.kata("reset", "1.1", "--yes")
    assert result.code == 1
    name = path.relative_to(place.root)
    assert result.err == f"kata: {name} was not changed: another program has just changed it\n"
    assert path.read_text() == f"late {backup.TRIES - 1}"
    assert place.half_written() == []


def test_read_only_file_can_be_reset(place):
    path = place.kata.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    before = path.read_bytes()
    path.chmod(0o444)
    assert place.kata("reset", "1.1", "--yes").code == 0
    assert b"raise NotImplementedError" in path.read_bytes()
    assert before in place.contents()
    path.chmod(0o644)


def test_file_that_appears_is_not_replaced(tmp_path):
    path = tmp_path / "new.py"
    path.write_text("mine")
    with pytest.raises(files.Changed, match="another program has just changed it"):
        files.write(path, b"theirs", expected=None)
    with pytest.raises(files.Changed):
        files.remove(path, b"theirs")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]


def test_unwritable_backup_stops_the_update(place):
    put(place.kata.course, ".kata/backup", "a file in the way")
    before = place.result()
    result = place.kata(*COMMANDS["update"])
    assert result.code == 1
    assert result.err.startswith(f"kata: {os.path.join('.kata', 'backup')} cannot be written: ")
    assert place.result() == before
