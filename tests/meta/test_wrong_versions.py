"""The two rules that prove the graded tests: every wrong version is caught by exactly the tests
that it names, and every test is failed by a wrong version.

One run of each chapter finds out who catches whom; the tests below only look it up.
"""

import ast
import json

import pytest

from kata.wrong import Bank, disagreement, unproven
from tests.meta.conftest import EXERCISES, PROJECT, run_pytest

pytestmark = pytest.mark.timeout(900)
HEAVY = ("torch", "transformers", "datasets", "numpy")


def names(exercise):
    """The wrong versions of an exercise, read without importing torch while tests are collected."""
    file = Bank(PROJECT, exercise).file
    nodes = ast.parse(file.read_text("utf-8")).body if file.is_file() else []
    for node in nodes:
        marks = [ast.unparse(mark) for mark in getattr(node, "decorator_list", [])]
        if any(mark.startswith("wrong(") for mark in marks):
            yield node.name


VERSIONS = [
    pytest.param(exercise, name, id=f"{exercise.slug}-{name}")
    for exercise in PROJECT.exercises
    for name in names(exercise)
]


@pytest.fixture
def prove(once, tmp_path):
    """Who catches whom in a chapter, how its tests ended, and the heavy modules they imported."""

    def run(chapter):
        file = tmp_path / "proof.json"
        done = run_pytest(
            f"print('\\nimported', *[m for m in {HEAVY} if m in sys.modules])",
            "--answers=solutions",
            f"--prove={file}",
            f"tests/{chapter}",
        )
        text = done.stdout + done.stderr
        return {
            "exit": done.returncode,
            "text": text,
            "imported": text.rpartition("\nimported")[2].split("\n")[0].split(),
            **(json.loads(file.read_text("utf-8")) if file.exists() else {"rows": {}}),
        }

    return lambda chapter: once(f"proof-{chapter}", lambda: run(chapter))


@pytest.mark.parametrize("chapter", PROJECT.chapters)
def test_solutions_pass(prove, chapter):
    proof = prove(chapter)
    assert proof["exit"] == 0, proof["text"]


def test_chapter_one_imports_nothing_heavy(prove):
    assert prove("ch01_tokenizers")["imported"] == []


@pytest.mark.parametrize(("exercise", "name"), VERSIONS)
def test_fails_exactly_the_tests_it_names(prove, exercise, name):
    row = prove(exercise.chapter)["rows"][exercise.slug][name]
    version = next(v for v in Bank(PROJECT, exercise).versions() if v.name == name)
    assert disagreement(version, row) == ""


@pytest.mark.parametrize("exercise", EXERCISES)
def test_every_mistake_is_named_to_who_makes_it(prove, exercise):
    assert prove(exercise.chapter)["unnamed"][exercise.slug] == {}


@pytest.mark.parametrize("exercise", EXERCISES)
def test_every_graded_test_is_failed_by_a_wrong_version(prove, exercise):
    rows = prove(exercise.chapter)["rows"].get(exercise.slug, {})
    assert rows, "no test was run on a wrong version"
    assert unproven(rows.values()) == []
