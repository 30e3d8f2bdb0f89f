"""What the meta-tests share: a small course to break, and pytest run on it as a learner does."""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

import kata.properties  # noqa: F401  (sessions inside of a test would import hypothesis each)
from kata.course import Course
from kata.files import write_json
from kata.grade import GUARD
from tests.meta import minicourse

REAL_DATA = {k: v for k, v in os.environ.items() if k in ("KATA_DATA", "TIKTOKEN_CACHE_DIR")}
ENVIRONMENT = ("CI", "BUILD_NUMBER", "KATA_DATA", "TIKTOKEN_CACHE_DIR", "PYTEST_ADDOPTS", GUARD)


def pytest_addoption(pluginmanager):
    # A list `pytest_plugins` is refused in a conftest that is not at the root.
    pluginmanager.import_plugin("pytester")


def pytest_configure(config):
    for option, default in (("runpytest", "inprocess"), ("lsof", False)):
        if not hasattr(config.option, option):  # `pytest tests` reads this file after the options
            setattr(config.option, option, default)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.filterwarnings("error"))


@dataclasses.dataclass
class Outcome:
    """What one pytest session said."""

    exit: int
    text: str
    verdict_file: Path

    @property
    def document(self) -> dict:
        return json.loads(self.verdict_file.read_text("utf-8"))

    def tests(self, slug: str = "demo/double") -> dict[str, str]:
        """The verdict on each test of an exercise."""
        return {name: t["verdict"] for name, t in self.document["exercises"][slug]["tests"].items()}

    def verdicts(self, slug: str = "demo/double") -> set[str]:
        return set(self.tests(slug).values())

    def exercise(self, slug: str = "demo/double") -> str:
        """The verdict on an exercise."""
        return self.document["exercises"][slug]["verdict"]

    def failure(self, test: str) -> str:
        """What the learner reads about one failed test."""
        after = self.text.split(f" {test} _", 1)[1].split("\n", 1)[1]
        lines = []
        for line in after.splitlines():
            if line.startswith(("____", "====", "----")) or (lines and line.startswith("1 demo")):
                break
            lines.append(line)
        return "\n".join(lines).strip()

    def summary(self) -> list[str]:
        """The bars and what follows them."""
        lines = self.text.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("1 demo"))
        end = next(i for i, line in enumerate(lines) if line.startswith("next:"))
        return lines[start : end + 1]


class Lab:
    """A course of two exercises in a folder of its own, and a learner who works on it."""

    def __init__(self, course: Course, pytester: pytest.Pytester) -> None:
        self.course = course
        self.root = course.root
        self.pytester = pytester
        self.verdict_file = self.root / "verdicts.json"

    def answer(self, number: str, body: str | None = None) -> Path:
        """Write an answer: the whole solution, or `body` in place of the stub's line."""
        return minicourse.answer(self.course, number, body)

    def answer_file(self, number: str, text: str) -> Path:
        """Write an answer's whole file."""
        path = self.course.exercises_dir / self.course.find(number).path
        path.write_text(text, "utf-8")
        return path

    def test_file(self, text: str, number: str = "1.1") -> Path:
        """Put other graded tests in the place of an exercise's own."""
        exercise = self.course.find(number)
        path = self.course.tests_dir / exercise.chapter / f"test_{exercise.name}.py"
        path.write_text(text, "utf-8")
        return path

    def wrong_file(self, text: str, number: str = "1.1") -> Path:
        """Put other wrong versions in the place of an exercise's own."""
        exercise = self.course.find(number)
        path = self.course.tests_dir / exercise.chapter / f"wrong_{exercise.name}.py"
        path.write_text(f"from kata.wrong import wrong\n\n{text}", "utf-8")
        return path

    def arguments(self, args: tuple[str, ...]) -> list[str]:
        self.verdict_file.unlink(missing_ok=True)
        quiet = [] if {"-v", "-vv"} & set(args) else ["-q", "--no-header"]
        return [*quiet, f"--grade-json={self.verdict_file}", *map(str, args)]

    def run(self, *args: str) -> Outcome:
        """Run pytest in this process: in strict mode without the guard around it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(GUARD, str(self.root / "end"))
            out = self._inline(self.arguments(args))
        return Outcome(int(out[0]), out[1], self.verdict_file)

    def _inline(self, args: list[str]) -> tuple[int, str]:
        out = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(out):
            warnings.simplefilter("default")
            code = self.pytester.inline_run(
                *args, "-p", "no:cacheprovider", no_reraise_ctrlc=True
            ).ret
        return code, out.getvalue()

    def run_outside(self, *args: str, **environ: str) -> Outcome:
        """Run pytest in a process of its own, as a learner does."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *self.arguments(args)],
            cwd=self.root,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            check=False,
        )
        return Outcome(done.returncode, done.stdout + done.stderr, self.verdict_file)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lab(pytester: pytest.Pytester) -> Lab:
    return Lab(minicourse.make_course(pytester.path), pytester)


PROJECT = Course(minicourse.PROJECT)
EXERCISES = [pytest.param(e, id=e.slug) for e in PROJECT.exercises]
"""Every exercise of the real tree, to parametrize with."""


def each_exercise(test):
    """Run a test once for each exercise of the real tree."""
    return pytest.mark.parametrize("exercise", EXERCISES)(test)


def run_pytest(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the graded tests of the real tree in another process, then `code` there."""
    program = f"import sys, pytest\nstatus = pytest.main(sys.argv[1:])\n{code}\nsys.exit(status)"
    return subprocess.run(
        [sys.executable, "-c", program, "-q", "--no-header", "-p", "no:cacheprovider", *args],
        cwd=PROJECT.root,
        env=os.environ | REAL_DATA | {GUARD: os.devnull},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a JSON document at the first call with a name, in whichever xdist worker that is."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def document(name, make):
        file, taken = folder / f"{name}.json", folder / f"{name}.taken"
        with contextlib.suppress(FileExistsError):
            taken.touch(exist_ok=False)
            write_json(file, make())
        while not file.exists():
            time.sleep(0.1)
        return json.loads(file.read_text("utf-8"))

    return document
