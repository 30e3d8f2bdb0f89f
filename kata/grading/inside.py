"""Tests that cannot cross a process boundary: they run in the worker, with canaries among them.

A canary is the same test on a wrong version, which must fail. A worker in which it passes has been
tampered with. This is weaker than a judge of its own: what shares a process with the test can lie
about it. So there are few such tests, each with its reason in its mark.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kata import grade, session
from kata.grading.wire import Wire, WireError
from kata.load import fresh
from kata.verdict import Finding, Verdict
from kata.wrong import Bank, WrongVersion

CANARIES = 2
CANARY_SECONDS = 20.0


def canaries(run: session.Run, item: pytest.Item, seed: int) -> list[str]:
    """The names of some wrong versions that the test must fail, by chance."""
    exercise = run.course.of_test_file(item.path)
    assert exercise is not None
    name = session.test_name(item)
    known = [v.name for v in Bank(run.course, exercise).versions() if name in v.fails]
    return random.Random(f"{seed} {item.nodeid}").sample(known, min(CANARIES, len(known)))


def read(head: Mapping[str, Any], wanted: list[str]) -> tuple[Finding, list[str]]:
    """What a worker says about a test: the finding, and those of the `wanted` canaries that passed.

    Raises:
        WireError: it says something else.
    """
    try:
        shown = head["finding"]
        message, where = (str(shown[key])[:10_000] for key in ("message", "where"))
        calls = [str(line)[:2000] for line in shown["calls"]][:30]
        finding = Finding(Verdict(shown["verdict"]), message, where, calls)
        verdicts = {str(name): Verdict(v) for name, v in head["canaries"].items()}
        # One that it says nothing about counts as well: it has not been seen to fail.
        return finding, [name for name in wanted if not verdicts.get(name, Verdict.PASS).failed]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError(f"not a verdict: {error}") from None


class _Inside:
    """The plugin of the session in the worker."""

    def __init__(self, wanted: list[str], tampering_shows: random.Random) -> None:
        self.wanted = wanted
        self.order = tampering_shows
        self.finding: dict[str, Any] = {"verdict": str(Verdict.MISSING)}
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


def main(wire: Wire, job: Mapping[str, Any]) -> None:
    """Run one test in this worker, and send what came out.

    Args:
        wire: to the judge.
        job: `root`, `tree` (how messages call it), `files` (what is in it), `test` (a node id),
            `canaries`, `own`.
    """
    os.environ[grade.GUARD] = os.devnull
    tree = Path("tree").resolve()
    for key, (_, data) in job["files"].items():
        file = tree / f"{key}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(data))
    plugin = _Inside(list(job["canaries"]), random.Random(job["test"]))
    args = [job["test"], f"--answers={tree}", "--grade", "-q", "--color=no"]
    args += ["-c", str(Path(job["root"], "pyproject.toml")), f"--rootdir={job['root']}"]
    args += ["-p", "no:xdist", "-p", "no:cacheprovider", f"--basetemp={os.getcwd()}/pytest"]
    args += ["--own"] if job["own"] else []
    pytest.main(args, plugins=[plugin])
    finding = json.loads(json.dumps(plugin.finding).replace(str(tree), job["tree"]))
    wire.send({"finding": finding, "canaries": plugin.verdicts}, [])
