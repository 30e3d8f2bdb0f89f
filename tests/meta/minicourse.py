"""A course of one chapter and two exercises, small enough to break on purpose in a test."""

import shutil
from pathlib import Path

from kata import stubs
from kata.course import Course

PROJECT = Path(__file__).resolve().parents[2]

FILES = {
    "solutions/ch01_demo/ex01_double.py": '''\
"""1.1 Twice a number   [easy, ~5 min]

The smallest exercise there can be.

Source: Euclid, Elements, book VII, https://example.org/elements.
"""


def double(x: int) -> int:
    """Return twice `x`.

    Raises:
        ValueError: `x` is negative.

    >>> double(2)
    4
    """
    # solution
    if x < 0:
        raise ValueError(f"x must not be negative, got {x}")
    return x + x
''',
    "solutions/ch01_demo/ex02_pick.py": '''\
"""1.2 Twice the value at a place   [medium, ~10 min]

Builds on exercise 1.1.

Source: Euclid, Elements, book VII, https://example.org/elements.
"""

from .ex01_double import double


def pick(values: list[int], place: int) -> int:
    """Return twice the value at `place`, where the first place is 1. `values` is not modified.

    Raises:
        IndexError: there is no such place.

    >>> pick([10, 20], 1)
    20
    """
    # solution
    if not 1 <= place <= len(values):
        raise IndexError(f"place must be from 1 to {len(values)}, got {place}")
    return double(values[place - 1])
''',
    "tests/ch01_demo/test_ex01_double.py": """\
import pytest

from kata.check import raises


def test_three_becomes_six(answer):
    assert answer.double(3) == 6


def test_negative_number_is_refused(answer):
    with raises(ValueError, match="must not be negative"):
        answer.double(-1)


@pytest.mark.parametrize("x", [0, 2, 10])
def test_agrees_with_the_reference(answer, reference, x):
    expected = reference.double(x)
    assert answer.double(x) == expected
""",
    "tests/ch01_demo/test_ex02_pick.py": """\
from kata.check import raises


def test_first_place_is_one(answer):
    assert answer.pick([10, 20, 30], 1) == 20


def test_last_value_can_be_picked(answer):
    assert answer.pick([10, 20, 30], 3) == 60


def test_place_zero_is_refused(answer):
    with raises(IndexError, match="place must be"):
        answer.pick([10, 20], 0)


def test_input_is_not_modified(answer):
    values = [10, 20]
    answer.pick(values, 1)
    assert values == [10, 20]
""",
    "tests/ch01_demo/wrong_ex01_double.py": '''\
from kata.wrong import wrong


@wrong(caught_by=["three_becomes_six", "agrees_with_the_reference"])
def double__squares(x):
    """The number was multiplied by itself. Twice means two times the number."""
    if x < 0:
        raise ValueError("x must not be negative")
    return x * x


@wrong(caught_by=["negative_number_is_refused"])
def double__takes_any_number(x):
    """A negative number was doubled. It must be refused with a ValueError."""
    return 2 * x


@wrong(
    caught_by=["negative_number_is_refused"],
    crashes=["three_becomes_six", "agrees_with_the_reference"],
)
def double__takes_a_list(x):
    """The number was used as a list."""
    return x[0] + x[0]
''',
    "tests/ch01_demo/wrong_ex02_pick.py": '''\
from kata.wrong import wrong


def checked(values, place):
    if not 1 <= place <= len(values):
        raise IndexError(f"place must be from 1 to {len(values)}, got {place}")


@wrong(
    caught_by=["first_place_is_one", "place_zero_is_refused"],
    crashes=["last_value_can_be_picked"],
)
def pick__counts_from_zero(values, place):
    """The first place was called 0. Here it is called 1."""
    return 2 * values[place]


@wrong(caught_by=["first_place_is_one", "last_value_can_be_picked"])
def pick__forgets_to_double(values, place):
    """The value itself came back. Twice the value is asked for."""
    checked(values, place)
    return values[place - 1]


@wrong(caught_by=["input_is_not_modified"])
def pick__removes_the_value(values, place):
    """The value was taken out of the learner's list. Read it, and leave the list as it is."""
    checked(values, place)
    return 2 * values.pop(place - 1)
''',
    "tests/ch01_demo/hints.toml": """\
[ex01_double]
question = "What is twice 3, and how would you say it to a child?"
direction = "Add the number to itself, after a look at its sign."
nearly = "Raise the ValueError when `x < 0`; else it is `x + x`."

[ex02_pick]
question = "Which index does Python give to the first value of a list?"
direction = "Check the place first, then go from places to indices."
nearly = "The value at place 1 is `values[0]`."
""",
    "exercises/ch01_demo/README.md": "# Demo\n\nTwo exercises.\n",
}


def make_course(root: Path) -> Course:
    """Write the course below `root`, its stubs untouched, with pytest set up as in the project."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    shutil.copy(PROJECT / "pyproject.toml", root)
    course = Course(root)
    stubs.write_all(course)
    return course


def answer(course: Course, number: str, body: str | None = None) -> Path:
    """Write a learner's answer: `body` in place of the stub's line, or the whole solution."""
    exercise = course.find(number)
    text = (course.solutions_dir / exercise.path).read_text("utf-8")
    if body is not None:
        lines = stubs.stub_of(course, exercise).splitlines()
        lines[-1:] = [f"    {line}" if line else "" for line in body.splitlines()]
        text = "\n".join(lines) + "\n"
    path = course.exercises_dir / exercise.path
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
