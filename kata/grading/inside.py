"""Tests that cannot cross a process boundary: they run in the worker, with canaries among them.

A canary is the same test on a wrong version, which must fail. A worker in which it passes has been
tampered with. This is weaker than a judge of its own: what shares a process with the test can lie
about it. So there are few such tests, each with its reason in its mark.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import random
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kata import grade, session
from kata.course import Exercise
from kata.grading.needs import needed, needed_solutions
from kata.grading.wire import Wire, reading
from kata.load import fresh
from kata.verdict import Finding, Verdict
from kata.wrong import Bank, WrongVersion

MARK = "in_worker"
TAMPERED = "the process of this test was tampered with: a person will look at it"
CANARIES = 2
CANARY_SECONDS = 20.0


def canaries(run: session.Run, item: pytest.Function, seed: int) -> list[str]:
    """The names of some wrong versions that the test must fail, by chance."""
    exercise = run.course.of_test_file(item.path)
    assert exercise is not None
    name = session.test_name(item)
    known = [v for v in Bank(run.course, exercise).versions() if name in v.fails]
    random.Random(f"{seed} {item.nodeid}").shuffle(known)
    # A wrong version that fails a test with parameters need not fail it with each of them.
    fail = (v for v in known if not hasattr(item, "callspec") or _fails(run, item, v))
    return [v.name for v in itertools.islice(fail, CANARIES)]


def _fails(run: session.Run, item: pytest.Function, version: WrongVersion) -> bool:
    return run._call_with(item, version.exercise, version, CANARY_SECONDS).verdict.failed


def read(head: Mapping[str, Any], wanted: list[str]) -> tuple[Finding, list[str]]:
    """What a worker says about a test: the finding, and those of the `wanted` canaries that passed.

    Raises:
        WireError: it says something else.
    """
    with reading():
        shown = head["finding"]
        message, where = (str(shown[key])[:10_000] for key in ("message", "where"))
        calls = [str(line)[:2000] for line in shown["calls"][:30]]
        finding = Finding(Verdict(shown["verdict"]), message, where, calls)
        verdicts = {str(name): Verdict(v) for name, v in head["canaries"].items()}
        # One that it says nothing about counts as well: it has not been seen to fail.
        return finding, [name for name in wanted if not verdicts.get(name, Verdict.PASS).failed]


class _Inside:
    """The plugin of the session in the worker."""

    def __init__(self, wanted: list[str], tampering_shows: random.Random) -> None:
        self.wanted = wanted
        self.order = tampering_shows
        self.finding: dict[str, Any] = {"verdict": str(Verdict.MISSING), "calls": []}
        self.finding |= {"message": "the test session in the worker broke off", "where": ""}
        self.verdicts: dict[str, str] = {}
        self._run: session.Run

    def pytest_configure(self, config: pytest.Config) -> None:
        from kata.plugin import RUN

        self._run = config.stash[RUN]

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        exercise = self._run.course.of_test_file(pyfuncitem.path)
        assert exercise is not None
        with contextlib.suppress(Exception), fresh(self._run.source(exercise)) as module:
            module.get()  # what it does to this process is done before the first canary
        versions = [v for v in Bank(self._run.course, exercise).versions() if v.name in self.wanted]
        cut = self.order.randrange(len(versions) + 1)
        self._try(pyfuncitem, versions[:cut])
        try:
            return (yield)
        finally:
            self._try(pyfuncitem, versions[cut:])

    def _try(self, item: pytest.Function, versions: list[WrongVersion]) -> None:
        for version in versions:
            found = self._run._call_with(item, version.exercise, version, CANARY_SECONDS)
            self.verdicts[version.name] = str(found.verdict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record = getattr(report, "kata", None)
        if record:
            self.finding = {k: record[k] for k in ("verdict", "message", "where", "calls")}


def files(
    run: session.Run, exercise: Exercise, test: Path, answer: Mapping[str, Path]
) -> dict[str, str]:
    """A course that holds one exercise, with its answer: all that the worker gets to see.

    Args:
        run: the session of the judge.
        exercise: the exercise.
        test: its test file.
        answer: the learner's files, by `chapter/name`.
    """
    course = run.course
    wrong = Bank(course, exercise).file
    solutions: dict[str, Path] = {}
    for known in (exercise, *needed_solutions(wrong, course)):
        source = run.reference(known)
        solutions |= needed(source, source)
    paths = {
        "pyproject.toml": course.root / "pyproject.toml",
        f"tests/{exercise.chapter}/{test.name}": test,
        f"tests/{exercise.chapter}/{wrong.name}": wrong,
        f"exercises/{exercise.path.as_posix()}": course.exercises_dir / exercise.path,
        **{f"solutions/{key}.py": path for key, path in solutions.items()},
        **{f"answers/{key}.py": path for key, path in answer.items()},
    }
    return {name: base64.b64encode(path.read_bytes()).decode() for name, path in paths.items()}


def main(wire: Wire, job: Mapping[str, Any]) -> None:
    """Run one test in this worker, and send what came out.

    Args:
        wire: to the judge.
        job: `files` (see `files`), `chapter`, `test` (file and name), `canaries`, `own`, `tree`
            (how messages call the folder of the answer).
    """
    os.environ[grade.GUARD] = os.devnull
    root = Path("course").resolve()
    for name, data in job["files"].items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(data))
    os.chdir(root)
    plugin = _Inside(list(job["canaries"]), random.Random(job["test"]))
    args = [f"tests/{job['chapter']}/{job['test']}", "--answers=answers", "--grade", "-q"]
    args += ["--color=no", "-p", "no:xdist", "-p", "no:cacheprovider", f"--basetemp={root}/pytest"]
    args += ["--own"] if job["own"] else []
    pytest.main(args, plugins=[plugin])
    text = json.dumps(plugin.finding).replace(str(root / "answers"), job["tree"])
    wire.send({"finding": json.loads(text), "canaries": plugin.verdicts}, [])
