"""The tests that run wholly in the worker: each with a reason, few, and listed for instructors."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from kata.course import Course

ROOT = Path(__file__).resolve().parents[3]
ROW = re.compile(r"^\| (\d+\.\d+) \| (\d+) \| (.+) \|$", re.MULTILINE)


def reason(marks):
    """The reason in a mark `in_worker`, where there is one."""
    found = (ast.unparse(mark) for mark in marks)
    texts = [re.match(r"pytest\.mark\.in_worker\('([^']+)'", mark) for mark in found]
    return next((text[1] for text in texts if text), None)


@pytest.fixture(scope="module")
def tests():
    """Every graded test: the number of its exercise, and why it cannot cross, or None."""
    found = []
    for exercise in Course(ROOT).exercises:
        file = ROOT / "tests" / exercise.chapter / f"test_{exercise.name}.py"
        body = ast.parse(file.read_text(encoding="utf-8")).body
        own = [
            n.value for n in body if isinstance(n, ast.Assign) and "pytestmark" in ast.unparse(n)
        ]
        of_file = [m for v in own for m in (v.elts if isinstance(v, ast.List) else [v])]
        functions = [n for n in body if isinstance(n, ast.FunctionDef) and n.name[:5] == "test_"]
        found += [(exercise.number, reason([*of_file, *f.decorator_list])) for f in functions]
    return found


def test_the_table_for_instructors_lists_them_all(tests):
    counts = Counter((number, why) for number, why in tests if why)
    text = (ROOT / "kata/grading/README.md").read_text(encoding="utf-8")
    assert {(n, why): int(count) for n, count, why in ROW.findall(text)} == counts


def test_every_mark_gives_a_reason():
    files = (ROOT / "tests").glob("ch*/test_*.py")
    marks = sum(file.read_text(encoding="utf-8").count("in_worker") for file in files)
    given = sum(
        len(re.findall(r'in_worker\("[^"]{10,}"', f.read_text("utf-8")))
        for f in (ROOT / "tests").glob("ch*/test_*.py")
    )
    assert given == marks > 0


def test_none_is_in_the_first_six_chapters_and_they_are_few(tests):
    cannot = [number for number, why in tests if why]
    assert not [number for number in cannot if int(number.split(".")[0]) <= 6]
    assert len(cannot) <= 0.05 * len(tests)
