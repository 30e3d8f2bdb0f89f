"""The pytest plugin: options, the fixtures `answer`, `reference`, `device` and `real`, verdicts.

Only files like `tests/ch01_tokenizers/test_ex05_merge_pair.py` are graded; every other test is left
to pytest. The verdict travels on the report (`report.kata`), so that it is right under xdist too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from kata import grade, verdict
from kata.answer import Answer
from kata.check import explain
from kata.course import Course, Exercise, find_root
from kata.data import RealData
from kata.load import fresh
from kata.session import Run, is_strict, load_profile
from kata.verdict import Verdict

HELP = {
    "--answers": "grade the files of DIR instead of exercises/",
    "--own": "an exercise's imports come from the same tree, not from the reference solutions",
    "--grade": "strict: an exercise that is todo or missing is a failure (also when CI is set)",
    "--grade-json": "write the verdicts to FILE, kept up to date while the tests run",
    "--require": "a missing device (cuda or mps) is a failure, not a test that is not run",
    "--prove": "run every wrong version on every test, and write who catches what to FILE",
}
# Plugins of installed libraries that no test uses. They import hypothesis, numpy and asyncio in
# every session, and the first tells a learner how to patch the tests.
SLOW_PLUGINS = ("hypothesispytest", "jaxtyping", "anyio")
COURSE = pytest.StashKey[Course]()
RUN = pytest.StashKey[Run]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the options of the course."""
    for name in SLOW_PLUGINS:
        pluginmanager.set_blocked(name)
    group = parser.getgroup("kata", "LLM Katas")
    group.addoption("--answers", metavar="DIR", help=HELP["--answers"])
    group.addoption("--own", action="store_true", help=HELP["--own"])
    group.addoption("--grade", action="store_true", help=HELP["--grade"])
    group.addoption("--grade-json", metavar="FILE", help=HELP["--grade-json"])
    group.addoption(
        "--require",
        metavar="DEVICE",
        action="append",
        default=[],
        choices=["cuda", "mps"],
        help=HELP["--require"],
    )
    group.addoption("--prove", metavar="FILE", help=HELP["--prove"])


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """In strict mode run the tests in a child process, whose early end is then noticed."""
    course = Course(find_root(config.rootpath))
    if is_strict(config) and grade.needs_guard(config, course):
        return grade.guarded(config.invocation_params.args)
    return None


@pytest.hookimpl(specname="pytest_cmdline_main", wrapper=True, tryfirst=True)
def pytest_cmdline_main_interrupted(config: pytest.Config) -> Generator[None, Any, Any]:
    """Let Ctrl-C end a session without a traceback when it is at its end already, too."""
    try:
        return (yield)
    except KeyboardInterrupt:
        return pytest.ExitCode.INTERRUPTED


def pytest_configure(config: pytest.Config) -> None:
    """Find the course around pytest's root folder."""
    # Of a checkout that cannot be written: pytest's cache is no business of a learner's.
    config.addinivalue_line("filterwarnings", "ignore::pytest.PytestCacheWarning")
    course = Course(find_root(config.rootpath))
    config.stash[COURSE] = course
    answers = config.getoption("--answers")
    tree = Path(config.invocation_params.dir, answers) if answers else course.exercises_dir
    if not tree.is_dir():
        raise pytest.UsageError(f"--answers: there is no folder {tree}")
    in_parallel = hasattr(config, "workerinput") or config.getoption("numprocesses", None)
    if config.getoption("--prove") and in_parallel:
        raise pytest.UsageError("--prove runs in one process: leave out -n")
    if config.getoption("--prove"):  # before a test has settings of its own
        load_profile("kata-prove")
    config.stash[RUN] = Run(config, course, tree.resolve())
    config.pluginmanager.register(config.stash[RUN], "kata-run")


def pytest_report_teststatus(
    report: pytest.TestReport | pytest.CollectReport,
) -> tuple[str, str, Any] | None:
    """Letters and words: `t` for todo, `n` for not run, and one for each way to fail."""
    record = getattr(report, "kata", None)
    if record is None:
        return None
    kind = Verdict(record["verdict"])
    if kind is Verdict.TODO:  # strict or not, there is nothing to read about it
        return "todo", "t", ("TODO", {"yellow": True})
    if kind is Verdict.NOT_RUN and report.skipped:
        return "not run", "n", ("NOT RUN", {"yellow": True})
    if kind.failed and report.failed:
        return "failed", kind.upper()[0], (kind.upper(), {"red": True})
    return None


def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> list[str] | None:
    """Explain `assert actual == expected` in a graded test as `kata.check` does."""
    if op != "==" or config.option.verbose >= 2 or not config.stash[RUN].judging:
        return None
    with contextlib.suppress(Exception):
        if left == right:  # the other half of an `and`
            return None
    return [verdict.EXPLAINED, *explain(left, right)]


# ----------------------------------------------------------------------------------- fixtures


@pytest.fixture
def answer(request: pytest.FixtureRequest) -> Iterator[Answer]:
    """The learner's exercise: `answer.merge_pair(...)` calls what they wrote."""
    run = request.config.stash[RUN]
    exercise = _graded(request)
    if exercise not in run.warm:  # pay for `import torch` before the clock of a test starts
        with contextlib.suppress(FileNotFoundError), fresh(run.solution(exercise)) as module:
            module.get()
        run.warm.add(exercise)
    with run.answered(exercise, request) as answer:
        yield answer


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> Iterator[Answer]:
    """The reference solution of the same exercise, to compare with."""
    with fresh(request.config.stash[RUN].reference(_graded(request))) as module:
        yield Answer(module)


def _graded(request: pytest.FixtureRequest) -> Exercise:
    exercise = request.config.stash[COURSE].of_test_file(request.path)
    fixtures = request.node._fixtureinfo.name2fixturedefs
    for name, definitions in fixtures.items():
        if any("answer" in definition.argnames for definition in definitions):
            raise pytest.UsageError(
                f"{request.path.name}: the fixture {name!r} uses `answer`. Only the test itself "
                "may, for a wrong version takes its place there"
            )
    if exercise is None:
        raise pytest.UsageError(
            f"{request.path.name} asks for an answer, but no exercise belongs to it: "
            "tests/ch05_decoding/test_ex04_top_p.py grades ch05_decoding/ex04_top_p.py"
        )
    return exercise


@pytest.fixture
def real() -> RealData:
    """Real vocabularies, text and models, where they are found; else the test is not run."""
    return RealData(os.environ)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """`cpu`, and where there is one `cuda` or `mps`: a test that asks for it runs on each."""
    name = str(getattr(request, "param", "cpu"))
    if not device_available(name):
        message = f"not run: this machine has no {name} device"
        if name in request.config.getoption("--require"):
            pytest.fail(f"--require={name}: {message}", pytrace=False)
        pytest.skip(message)
    callspec = getattr(request.node, "callspec", None)
    if name == "mps" and callspec and "torch.float64" in map(str, callspec.params.values()):
        pytest.skip("not run: Apple GPUs have no float64")
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `device` once for each kind of device."""
    if "device" in metafunc.fixturenames:
        gpus = [
            pytest.param(name, marks=[getattr(pytest.mark, name), pytest.mark.gpu])
            for name in ("cuda", "mps")
        ]
        metafunc.parametrize("device", ["cpu", *gpus], indirect=True)


def device_available(name: str) -> bool:
    """Whether torch can compute on this device here."""
    if name == "cpu":
        return True
    import torch

    return torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()
