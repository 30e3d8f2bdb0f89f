"""`kata new` and `kata prove`: an exercise is made whole, and it is said what is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kata import new, stubs
from kata.course import Course
from kata.templates import MARK
from tests.meta.command import Kata
from tests.meta.conftest import PROJECT, each_exercise
from tests.meta.minicourse import make_course

TABLE = """\
# Demo

| topic | 1.1 |
| --- | --- |
| other | 9 |

| number | file | title | difficulty | minutes |
| --- | --- | --- | --- | ---: |
| 1.1 | [ex01_double.py](ex01_double.py) | Twice a number | easy | 5 |
| 1.2 | [ex02_pick.py](ex02_pick.py) | Twice the value at a place | medium | 10 |

About a quarter of an hour.
"""
ROW = "| 1.3 | [ex03_add_up.py](ex03_add_up.py) | Add up | easy | 10 |\n"
MADE = [
    "tests/ch01_demo/wrong_ex03_add_up.py",
    "solutions/ch01_demo/ex03_add_up.py",
    "tests/ch01_demo/test_ex03_add_up.py",
    "exercises/ch01_demo/ex03_add_up.py",
]
CHANGED = ["tests/ch01_demo/hints.toml", "exercises/ch01_demo/README.md"]
DOUBLE = Path("solutions", "ch01_demo", "ex01_double.py")
WRONG = Path("tests", "ch01_demo", "wrong_ex01_double.py")
TEST = Path("tests", "ch01_demo", "test_ex01_double.py")
PROVEN = "1.1 Twice a number: finished. Its tests and 3 wrong versions prove each other."


@pytest.fixture
def kata(tmp_path, monkeypatch, capsys):
    course = make_course(tmp_path)
    page(course).write_text(TABLE, "utf-8")
    return Kata(course, monkeypatch, capsys)


def page(course):
    return course.exercises_dir / "ch01_demo" / "README.md"


def hints(course):
    return course.tests_dir / "ch01_demo" / "hints.toml"


def everything(course):
    """All files of a course, byte by byte."""
    return {p: p.read_bytes() for p in course.root.rglob("*") if p.is_file()}


def shown(names):
    return [name.replace("/", os.sep) for name in names]


def replace(kata, file, old, new):
    path = kata.course.root / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


# ------------------------------------------------------------------------------------------- new


def test_new_makes_all_files_and_says_the_steps(kata):
    before = everything(kata.course)
    result = kata("new", "1.3", "add_up")
    assert (result.code, result.err) == (0, "")
    made, changed = shown(MADE), shown(CHANGED)
    assert result.lines[:7] == [f"made: {p}" for p in made] + [f"changed: {p}" for p in changed] + [
        ""
    ]
    steps = [line for line in result.lines if re.match(r"\d\. ", line)]
    assert [step.split()[-1] for step in steps[:4]] == [made[0], made[1], made[2], changed[0]]
    assert steps[4].startswith("5. kata prove 1.3 ")
    root = kata.course.root
    new_files = everything(kata.course).keys() - before.keys()
    assert {str(p.relative_to(root)) for p in new_files} == set(made)
    assert page(kata.course).read_text("utf-8") == TABLE.replace("\n\nAbout", f"\n{ROW}\nAbout")


def test_title_difficulty_and_minutes_are_taken(kata):
    kata("new", "1.3", "add_up", "--title", "Adding up?", "--difficulty", "hard", "--minutes", "45")
    line = (kata.course.root / MADE[1]).read_text("utf-8").splitlines()[0]
    assert line == '"""1.3 Adding up?   [hard, ~45 min]'
    assert "| 1.3 | [ex03_add_up.py](ex03_add_up.py) | Adding up? | hard | 45 |\n" in page(
        kata.course
    ).read_text("utf-8")
    assert stubs.stale(Course(kata.course.root)) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["1.2", "add_up"], "1.2 Twice the value at a place is there; the next number of chapter"),
        (["1.4", "add_up"], "the next number of chapter 1 is 1.3"),
        (["1.0", "add_up"], "the next number of chapter 1 is 1.3"),
        (["2.1", "add_up"], "no chapter '2'; there are: 1 demo"),
        (["demo", "add_up"], "a number is that of a chapter and an exercise, 5.16; got 'demo'"),
        (["1.3", "pick"], "the name pick is taken: 1.2 Twice the value at a place"),
        (["1.3", "Add"], "a name is that of a function, such as top_a_filter; got 'Add'"),
        (["1.3", "add__up"], "a name is that of a function, such as top_a_filter; got 'add__up'"),
        (["1.3", "../up"], "a name is that of a function, such as top_a_filter; got '../up'"),
        (["1.3", "lambda"], "a name is that of a function, such as top_a_filter; got 'lambda'"),
        (["1.3", "a" * 41], "a name is that of a function, such as top_a_filter; got 'aaaa"),
        (["1.3", "add_up", "--title", "a\nb"], 'a title is one line without ", \\ and |; got '),
        (["1.3", "add_up", "--title", 'a"b'], 'a title is one line without ", \\ and |; got '),
        (["1.3", "add_up", "--title", "a|b"], 'a title is one line without ", \\ and |; got '),
        (["1.3", "add_up", "--title", "a\tb"], 'a title is one line without ", \\ and |; got '),
        (["1.3", "add_up", "--title", "a "], 'a title is one line without ", \\ and |; got '),
    ],
)
def test_what_cannot_be_made_is_said(kata, args, message):
    before = everything(kata.course)
    result = kata("new", *args)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"kata: {message}")
    assert everything(kata.course) == before


@pytest.mark.parametrize("name", [*MADE, "solutions/ch01_demo/ex03_other.py"])
def test_a_file_that_is_there_is_not_overwritten(kata, name):
    (kata.course.root / name).write_text("mine")
    before = everything(kata.course)
    result = kata("new", "1.3", "add_up")
    assert result.err == f"kata: {name} is there already\n".replace("/", os.sep)
    assert (result.code, everything(kata.course)) == (2, before)


def test_hints_that_are_there_already_are_left_alone(kata):
    hints(kata.course).write_text('[ex03_add_up]\nquestion = "mine"\n', "utf-8")
    before = everything(kata.course)
    assert kata("new", "1.3", "add_up").err.endswith("hints.toml has ex03_add_up already\n")
    assert everything(kata.course) == before


@pytest.mark.parametrize("content", [b"[ex01_double\n", b"# caf\xe9\n"])
def test_hints_that_cannot_be_read_are_left_alone(kata, content):
    hints(kata.course).write_bytes(content)
    before = everything(kata.course)
    result = kata("new", "1.3", "add_up")
    assert result.code == 2
    assert re.match(r"kata: \S+hints\.toml cannot be read: ", result.err)
    assert everything(kata.course) == before


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_was_written_before_stays_byte_by_byte(kata, ends):
    old = '[ex01_double]\nquestion = "x"  # mine'.replace("\n", ends).encode()
    hints(kata.course).write_bytes(old)
    page(kata.course).write_bytes(TABLE.replace("\n", ends).encode())
    assert kata("new", "1.3", "add_up").code == 0
    there = hints(kata.course).read_bytes()
    assert there.startswith(old + ends.encode() * 2 + b"[ex03_add_up]" + ends.encode())
    assert there.count(b"\n") == there.count(ends.encode())
    text = page(kata.course).read_bytes()
    assert text == TABLE.replace("\n\nAbout", f"\n{ROW}\nAbout").replace("\n", ends).encode()


def test_a_page_without_a_table_is_named(kata):
    page(kata.course).write_text("# Demo\n", "utf-8")
    result = kata("new", "1.3", "add_up")
    where = os.path.join("exercises", "ch01_demo", "README.md")
    assert f"{where} has no table of exercises: tell of this one there" in result.lines
    assert (result.code, page(kata.course).read_text("utf-8")) == (0, "# Demo\n")


def test_an_unknown_column_is_left_to_the_author(kata):
    text = TABLE.replace(" | minutes |", " | GPU | minutes |")
    page(kata.course).write_text(text, "utf-8")
    kata("new", "1.3", "add_up")
    assert f"| Add up | easy | {MARK} | 10 |\n" in page(kata.course).read_text("utf-8")


class Fault:
    """Stands in for a function and fails at its call number `at`, before or after the work."""

    def __init__(self, function, at, error, after):
        self.function, self.at, self.error, self.after, self.calls = function, at, error, after, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls != self.at:
            return self.function(*args, **kwargs)
        done = self.function(*args, **kwargs) if self.after else None
        if hasattr(done, "close"):
            done.close()
        raise self.error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("function", "at"),
    [("open", at) for at in range(1, 5)] + [("replace", at) for at in range(1, 3)],
)
def test_failure_at_any_step_leaves_all_as_it_was(kata, monkeypatch, function, at, after, error):
    before = everything(kata.course)
    owner = Path if function == "open" else os
    fault = Fault(getattr(owner, function), at, error, after)
    opened = fault.function

    def making(path, mode="r", *args, **kwargs):  # only files that are made
        return (fault if mode == "x" else opened)(path, mode, *args, **kwargs)

    monkeypatch.setattr(owner, function, making if function == "open" else fault)
    result = kata("new", "1.3", "add_up")
    assert fault.calls >= at
    assert result.code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert everything(kata.course) == before


def test_new_exercise_passes_the_style_of_the_project(kata):
    kata("new", "1.3", "add_up")
    for command in (["check"], ["format", "--check"]):
        run = [sys.executable, "-m", "ruff", *command, "--no-cache", *MADE[:3]]
        done = subprocess.run(run, cwd=kata.course.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


# ----------------------------------------------------------------------------------------- prove


def test_new_exercise_is_finished_but_for_its_marks(kata):
    kata("new", "1.3", "add_up")
    result = kata("prove", "1.3")
    *marks, blank, last = result.lines
    assert {line.partition(": ")[0] for line in marks} == {"to be rewritten"}
    places = {line.split(": ")[1].rpartition(":")[0] for line in marks}
    assert places == set(shown([*MADE[:3], CHANGED[0]]))
    assert (blank, last) == ("", f"1.3 Add up: {len(marks)} things to do before it is finished.")
    for name in [*MADE, CHANGED[0]]:
        replace(kata, name, MARK, "Rewritten")
    result = kata("prove", "1.3")
    assert (result.code, result.lines[0]) == (0, PROVEN.replace("1.1 Twice a number", "1.3 Add up"))


def test_what_is_missing_is_said_in_words(kata):
    replace(
        kata, WRONG, 'crashes=["three_becomes_six", "agrees_with_the_reference"]', 'crashes=["six"]'
    )
    replace(kata, WRONG, '@wrong(caught_by=["negative_number_is_refused"])', "@wrong()")
    replace(kata, TEST, "import pytest\n", "import pytest\n\ndef test_runs(answer):\n    answer\n")
    replace(kata, DOUBLE, "Return twice", "Give twice")
    result = kata("prove", "double")
    assert result.code == 1
    assert result.lines == [
        "double__takes_any_number: caught_by lacks negative_number_is_refused",
        "double__takes_a_list names tests that are not there: six",
        "no wrong version fails test_runs: add one that does, or take the test out",
        "the stub of 1.1 Twice a number is not what its solution makes: kata stubs",
        "test_runs is pass on the stub, where all should be todo",
        "",
        "1.1 Twice a number: 5 things to do before it is finished.",
    ]


def test_a_solution_that_fails_is_shown(kata):
    replace(kata, DOUBLE, "return x + x", "return x + 1")
    result = kata("prove", "1.1")
    where = os.path.join("tests", "ch01_demo", "test_ex01_double.py")
    assert result.lines[0] == f"the solution does not pass: pytest --answers=solutions {where}"
    assert "  >>> double(3)" in result.lines
    assert result.code == 1
    assert result.lines[-1] == "1.1 Twice a number: 1 thing to do before it is finished."


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (WRONG, None, f"there is no {WRONG}"),
        (TEST, None, f"there is no {TEST}"),
        (WRONG, "def double(\n", f"{WRONG} cannot be read: SyntaxError: '(' was never closed"),
    ],
)
def test_a_file_that_is_no_use_is_named(kata, file, content, message):
    path = kata.course.root / file
    path.unlink() if content is None else path.write_text(content)
    result = kata("prove", "1.1")
    assert (result.code, result.lines[0][: len(message)]) == (1, message)


def test_the_rules_of_the_project_are_asked_too(kata):
    meta = kata.course.tests_dir / "meta"
    meta.mkdir()
    for name in ("test_course.py", "test_trees.py"):
        (meta / name).write_text(
            "import pytest\n"
            "@pytest.mark.parametrize('slug', ['demo/double', 'demo/pick'])\n"
            "def test_rule(slug):\n    assert slug != 'demo/pick'\n"
        )
    assert kata("prove", "1.1").lines[0] == PROVEN
    result = kata("prove", "1.2")
    assert (result.code, result.lines[0]) == (1, "the project's rules:")
    assert "FAILED tests/meta/test_course.py::test_rule[demo/pick]" in result.out


def test_ctrl_c_ends_the_proof_without_a_word(kata, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupt)
    result = kata("prove", "1.1")
    assert (result.code, result.out, "Traceback" in result.err) == (130, "", False)


# ----------------------------------------------------------------------------- the real exercises


def test_nothing_is_left_for_an_author_to_rewrite():
    assert list(new.left_to_write(PROJECT)) == []


def test_a_line_that_is_left_is_found(kata):
    kata("new", "1.3", "add_up")
    (hints(kata.course).parent / ".DS_Store").write_bytes(b"\xff\x00")
    assert len(list(new.left_to_write(Course(kata.course.root)))) >= 10


@each_exercise
def test_the_page_of_the_chapter_lists_it(exercise):
    text = (PROJECT.exercises_dir / exercise.chapter / "README.md").read_text("utf-8")
    rows = [re.split(r"\s*\|\s*", line.strip("| \n")) for line in text.splitlines() if "|" in line]
    head = next(row for row in rows if row[0] == "number")
    row = next(row for row in rows if row[0] == exercise.number)
    known = {
        "number": exercise.number,
        "file": f"[{exercise.name}.py]({exercise.name}.py)",
        "title": exercise.title,
        "difficulty": exercise.difficulty,
        "minutes": str(exercise.minutes),
    }
    cells = dict(zip(head, row, strict=True))
    assert {name: cell for name, cell in cells.items() if name in known} == known
