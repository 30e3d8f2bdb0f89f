"""The trees agree: what one has, the others have, and exercises/ is what the generator writes."""

import ast
import json

import pytest

from kata import stubs
from tests.meta.conftest import EXERCISES, PROJECT, each_exercise, run_pytest


def files(tree, prefix):
    """`chapter/name` of the files of a tree, without the prefix of their names."""
    return {
        f"{path.parent.name}/{path.stem.removeprefix(prefix)}"
        for path in tree.glob(f"ch*/{prefix}*.py")
        if path.stem.startswith(f"{prefix}ex")
    }


def test_every_exercise_file_is_an_exercise():
    known = {f"{e.chapter}/{e.name}" for e in PROJECT.exercises}
    assert files(PROJECT.solutions_dir, "") == known
    assert files(PROJECT.exercises_dir, "") == known
    assert files(PROJECT.tests_dir, "test_") == known
    assert files(PROJECT.tests_dir, "wrong_") == known


def test_graded_folders_hold_nothing_else():
    allowed = ("test_ex", "wrong_ex", "hints.toml", "__pycache__")
    strange = [p for p in PROJECT.tests_dir.glob("ch*/*") if not p.name.startswith(allowed)]
    assert strange == []


def test_every_chapter_has_a_page():
    missing = [
        c for c in PROJECT.chapters if not (PROJECT.exercises_dir / c / "README.md").is_file()
    ]
    assert missing == []


def test_numbers_and_slugs_are_unique():
    for names in ([e.number for e in PROJECT.exercises], [e.slug for e in PROJECT.exercises]):
        assert len(set(names)) == len(names)


def test_exercises_of_a_chapter_are_numbered_without_gaps():
    for chapter in PROJECT.chapters.values():
        assert [int(e.name[2:4]) for e in chapter] == list(range(1, len(chapter) + 1))


def test_stubs_are_what_the_generator_writes():
    assert stubs.stale(PROJECT) == []


@each_exercise
def test_graded_tests_are_of_the_agreed_form(exercise):
    path = PROJECT.tests_dir / exercise.chapter / f"test_{exercise.name}.py"
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    tests = [function for function in functions if function.name.startswith("test_")]
    assert 3 <= len(tests) <= 24
    for test in tests:
        arguments = [argument.arg for argument in test.args.args]
        assert "answer" in arguments, test.name
    for function in functions:
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        if any("fixture" in decorator for decorator in decorators):
            assert "answer" not in [argument.arg for argument in function.args.args], function.name


@each_exercise
def test_wrong_versions_name_tests_that_there_are(exercise):
    from kata.wrong import Bank

    path = PROJECT.tests_dir / exercise.chapter / f"test_{exercise.name}.py"
    names = {
        node.name.removeprefix("test_")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    for version in Bank(PROJECT, exercise).versions():
        assert version.fails, version.name
        assert version.fails <= names, version.name


# ------------------------------------------------------------------------------------- the stubs


@pytest.fixture
def untouched(once, tmp_path):
    """The verdict file of a run on freshly written stubs, and the exit code."""

    def run():
        for exercise in PROJECT.exercises:
            path = tmp_path / "answers" / exercise.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(stubs.stub_of(PROJECT, exercise), "utf-8")
        verdicts = tmp_path / "verdicts.json"
        done = run_pytest("", f"--answers={tmp_path / 'answers'}", f"--grade-json={verdicts}")
        text = done.stdout + done.stderr
        document = json.loads(verdicts.read_text("utf-8")) if verdicts.exists() else {}
        return {"exit": done.returncode, "text": text, "exercises": document.get("exercises", {})}

    return once("untouched", run)


@pytest.mark.timeout(300)
def test_an_untouched_course_ends_well(untouched):
    assert untouched["exit"] == 0, untouched["text"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("exercise", EXERCISES)
def test_every_test_of_a_stub_is_to_do(untouched, exercise):
    entry = untouched["exercises"][exercise.slug]
    assert {t["verdict"] for t in entry["tests"].values()} <= {"todo", "not run"}
    assert entry["verdict"] == "todo"
