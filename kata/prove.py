"""`kata prove`: whether one exercise is finished, in words and in seconds."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from kata import complete, stubs
from kata.course import Course, Exercise
from kata.new import left_to_write
from kata.terminal import say
from kata.text import described, plural
from kata.verdict import Verdict, relative
from kata.wrong import Bank, WrongVersion, disagreement, unproven

PARTS = ("test_course.py", "test_trees.py")  # what the project says about each exercise
SAID_HERE = ("test_every_test_of_a_stub_is_to_do", "test_wrong_versions_name_tests_that_there_are")


def prove(
    exercise: Annotated[
        str,
        typer.Argument(
            metavar="EXERCISE",
            help="a number (1.5), a name or a path",
            autocompletion=complete.exercises,
        ),
    ],
) -> None:
    """For authors: prove one exercise, and say what is missing."""
    from kata.cli import the_course

    course = the_course()
    found = course.find(exercise)
    missing = 0
    for problem in problems(course, found):
        missing += 1
        say(problem)
    if missing:
        say()
        say(f"{found}: {plural(missing, 'thing')} to do before it is finished.")
        raise typer.Exit(1)
    versions = len(Bank(course, found).versions())
    say(f"{found}: finished. Its tests and {plural(versions, 'wrong version')} prove each other.")
    say("The last word is that of the whole project: nox -s project", "dim")


def problems(course: Course, exercise: Exercise) -> Iterator[str]:
    """What keeps an exercise from being finished, a sentence each, as it is found out."""
    test = course.tests_dir / exercise.chapter / f"test_{exercise.name}.py"
    bank = Bank(course, exercise)
    for file in (test, bank.file):
        if not file.is_file():
            yield f"there is no {relative(file, course.root)}"
            return
    try:
        versions = bank.versions()
    except Exception as error:  # whatever an author's file raises
        yield f"{relative(bank.file, course.root)} cannot be read: {described(error)}"
        return
    with tempfile.TemporaryDirectory() as folder:
        yield from _solution(course, exercise, test, versions, Path(folder))
        yield from _stub(course, exercise, test, Path(folder))
    yield from _form(course, exercise)
    for line in left_to_write(course):
        if exercise.chapter in line:
            yield f"to be rewritten: {line}"


def _solution(
    course: Course, exercise: Exercise, test: Path, versions: list[WrongVersion], folder: Path
) -> Iterator[str]:
    """Whether the tests pass the solution, and fail the wrong versions that they should."""
    proof = folder / "proof.json"
    solutions = f"--answers={course.solutions_dir}"
    tests, said = _run(course, folder, solutions, f"--prove={proof}", str(test))
    bad = [
        name for name, verdict in tests.items() if verdict not in (Verdict.PASS, Verdict.NOT_RUN)
    ]
    if bad or not tests:
        where = relative(test, course.root)
        yield f"the solution does not pass: pytest --answers=solutions {where}\n{said}"
        return
    found = json.loads(proof.read_text("utf-8"))
    rows: dict[str, dict[str, str]] = found["rows"].get(exercise.slug, {})
    names = {name.partition("[")[0].removeprefix("test_") for name in tests}
    for version in versions:
        if unknown := sorted(version.fails - names):
            yield f"{version.name} names tests that are not there: {', '.join(unknown)}"
        elif wrong := disagreement(version, rows.get(version.name, {})):
            yield f"{version.name}: {wrong}"
    for name, unsaid in found["unnamed"].get(exercise.slug, {}).items():
        yield f"{name}: who makes this mistake is not told so by {', '.join(sorted({*unsaid}))}"
    for name in unproven(rows.values()):
        yield f"no wrong version fails test_{name}: add one that does, or take the test out"


def _stub(course: Course, exercise: Exercise, test: Path, folder: Path) -> Iterator[str]:
    """Whether a learner who has written nothing sees nothing but todo."""
    stub = stubs.stub_of(course, exercise)
    if not stubs.is_stub(course.exercises_dir / exercise.path, stub):
        yield f"the stub of {exercise} is not what its solution makes: kata stubs"
    answers = folder / "answers"
    path = answers / exercise.path
    path.parent.mkdir(parents=True)
    path.write_text(stub, "utf-8")
    tests, _ = _run(course, folder, f"--answers={answers}", str(test))
    for name, verdict in tests.items():
        if verdict not in (Verdict.TODO, Verdict.NOT_RUN):
            yield f"{name} is {verdict} on the stub, where all should be todo"


def _form(course: Course, exercise: Exercise) -> Iterator[str]:
    """What the project's own tests say about the form of the five files."""
    files = [str(course.tests_dir / "meta" / name) for name in PARTS]
    if not all(Path(file).is_file() for file in files):
        return
    chosen = " and not ".join([exercise.slug, *SAID_HERE])
    done = _pytest(course, "--tb=short", "-k", chosen, *files)
    if done.returncode:
        yield f"the project's rules:\n{done.stdout}{done.stderr}"


def _run(course: Course, folder: Path, *args: str) -> tuple[dict[str, str], str]:
    """The verdict on each test, and what pytest wrote."""
    verdicts = folder / "verdicts.json"
    done = _pytest(course, f"--grade-json={verdicts}", *args)
    document: dict[str, Any] = json.loads(verdicts.read_text("utf-8")) if verdicts.exists() else {}
    found = document.get("exercises", {}).values()
    tests = {name: test["verdict"] for entry in found for name, test in entry["tests"].items()}
    return tests, f"{done.stdout}{done.stderr}"


def _pytest(course: Course, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *args],
        cwd=course.root,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
