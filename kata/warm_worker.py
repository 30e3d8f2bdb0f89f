"""The processes behind kata.warm: pytest is started, its tests are collected, and then it waits.

So all that is left to do after a file was saved are the tests themselves. A process waits for one
byte on an open file, and ends when nothing can come any more.

`python -P -m kata.warm_worker FD FOLDER` forks such processes, each with what it needs already
imported; the jobs come from the socket FD. `python -P -m kata.warm_worker` is one, for a machine
without a safe fork; its job is the first line of standard input.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kata.files import remove_folder
from kata.text import ascii_safe
from kata.verdict import Verdict

if TYPE_CHECKING:
    from kata.session import Run

# pytest takes some from an entry point or at its start, which is of no use to import every time.
ALWAYS = ("pytest_timeout", "kata.plugin", "kata.check", "kata.properties", "pdb", "tomllib")
# torch imports the first one, for the better part of a second, in the first backward pass.
WITH_TORCH = ("torch.fx.experimental.symbolic_shapes", "kata.tensors")
PRINTED = 4000  # characters that a learner's code has printed
GONE = 0
PARENT_DEATH, SUBREAPER = 1, 36  # of prctl
NOT_STARTED = "pytest could not start"
NOT_ENDED = "the tests did not come to their end"


def check(job: Mapping[str, Any], wait: Callable[[], object], result: int) -> None:
    """Get everything ready, wait, run the tests of one exercise and say what came out.

    Args:
        job: `root`, `test` (its file), `slug`, `args` (more for pytest), `place` (a folder for the
            files of tests).
        wait: returns when the tests are to be run.
        result: an open file, to which the JSON document is written.
    """
    os.chdir(job["root"])
    told = Told(job["slug"], wait, result)
    args = [
        "-x",
        "-q",
        "--color=no",
        "--disable-warnings",
        "-p",
        "pytest_timeout",
        "-p",
        "no:cacheprovider",
    ]
    # Without the plugin that collects all garbage at the end, to hear of what nobody waits for.
    args += ["-p", "no:unraisableexception", f"--basetemp={job['place']}"]
    pytest.main([*args, *job["args"], job["test"]], plugins=[told])
    if not told.has_written:
        told.write({"verdict": None, "problem": NOT_STARTED, "modules": []})
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


class Told:
    """The plugin that waits before the tests, and after them writes down what became of them."""

    def __init__(self, slug: str, wait: Callable[[], object], result: int) -> None:
        self._slug = slug
        self._wait = wait
        self._result = result
        self._before = set(sys.modules)
        self._failed: pytest.TestReport | None = None
        self.has_written = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Wait until the learner has saved their file."""
        self._wait()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the first test that fails."""
        if report.failed and self._failed is None:
            self._failed = report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the document, once all that plain pytest does has been done."""
        run: Run = session.config.pluginmanager.get_plugin("kata-run")  # type: ignore[assignment]
        row = run.ledger.rows.get(self._slug, {})
        found = [record["verdict"] if record else Verdict.MISSING for record in row.values()]
        reasons = [r["message"] for r in row.values() if r and r["verdict"] == Verdict.NOT_RUN]
        failed = self._failed.nodeid if self._failed else ""
        record = row.get(failed)
        missing = self._failed is None and Verdict.MISSING in found
        self.write(
            {
                "verdict": run.ledger.verdicts().get(self._slug),
                "passed": found.count(Verdict.PASS),
                "not_run": found.count(Verdict.NOT_RUN),
                "tests": len(found),
                "reason": reasons[0] if reasons else "",
                "test": record["test"] if record else "",
                "position": list(row).index(failed) + 1 if record else 0,
                "text": run.ledger.text(record) if record else "",
                "printed": self._printed(),
                "problem": NOT_ENDED if missing or not found else "",
                "modules": [name for name in sys.modules if name not in self._before],
            }
        )

    def write(self, document: Mapping[str, Any]) -> None:
        """Hand the document over."""
        os.ftruncate(self._result, 0)
        os.write(self._result, json.dumps(document).encode())
        self.has_written = True

    def _printed(self) -> str:
        report = self._failed
        text = f"{report.capstdout}{report.capstderr}" if report else ""
        return ascii_safe(text[-PRINTED:])


def load(modules: Iterable[str], imports: Callable[[Iterable[str]], None]) -> None:
    """Import what a job needs; torch is kept to one thread.

    A process that ran torch with more than one and then forks has children that hang.
    """
    imports(["pytest", *(f"_pytest.{name}" for name in _plugins()), *ALWAYS])
    modules = list(modules)
    if any(name.split(".")[0].split(":")[0] == "torch" for name in modules):
        import torch

        torch.set_num_threads(1)
        modules += WITH_TORCH
    imports(modules)


def _plugins() -> tuple[str, ...]:
    from _pytest.config import default_plugins

    return default_plugins


def byte_from(file: int) -> Callable[[], object]:
    """What waits for a byte on an open file, and ends this process when there will be none."""

    def wait() -> None:
        if not os.read(file, 1):
            os._exit(GONE)

    return wait


# ---------------------------------------------------------------------------------------- forks


def fork_server(control: int, place: Path) -> None:
    """Fork a process for each job that comes from the socket `control`.

    It ends, with its children, when its standard input is closed; then `place` is removed.
    """
    import socket

    from kata.grading import zygote
    from kata.grading.libc import prctl

    class Forks(zygote.Zygote):
        """The zygote of grading, with children that run pytest; `judge`: it says when one ends."""

        def _answer(self, message: dict[str, Any], fds: list[int]) -> None:
            if message["do"] == "fork":
                load(message["job"]["import"], zygote.load)
            was_there = message.get("pid") in self._children
            super()._answer(message, fds)
            if message["do"] == "end" and was_there:
                zygote.send(self._control, {"ended": message["pid"], "status": signal.SIGKILL})

        def _child(self, job: dict[str, Any], fds: list[int]) -> None:
            self._control.close()
            if sys.platform == "linux":
                prctl(PARENT_DEATH, signal.SIGKILL)  # it ends with the process that has forked it
            signal.signal(signal.SIGINT, signal.default_int_handler)
            go, result, output = fds
            _settle(output)
            check(job, byte_from(go), result)

    connection = socket.socket(fileno=control)
    if sys.platform == "linux":
        prctl(SUBREAPER, 1)  # what a child leaves behind becomes a child of this process
    load((), zygote.load)
    zygote.send(connection, {"ready": os.getpid()})
    Forks("judge", connection).run()
    remove_folder(place)


def _settle(output: int) -> None:
    """Write to the file `output`, and read nothing."""
    null = os.open(os.devnull, os.O_RDONLY)
    for mine, file in ((0, null), (1, output), (2, output)):
        os.dup2(file, mine)


# ------------------------------------------------------------------------------------- no forks


def alone() -> None:
    """Be a process for one job, which ends when its standard input does."""
    go, result = os.dup(0), os.dup(2)
    _settle(os.dup(1))
    job = json.loads(_line(go))
    load(job["import"], _import)

    def wait() -> None:
        byte_from(go)()
        # There is no other: it ends this process with the one that has started it.
        threading.Thread(target=byte_from(go), daemon=True).start()

    check(job, wait, result)


def _line(file: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(file, 1)
        if not read:
            os._exit(GONE)
        line += read
    return line


def _import(names: Iterable[str]) -> None:
    for name in names:
        module, _, attribute = name.partition(":")
        with contextlib.suppress(Exception):  # it is missing here: the test will say so
            getattr(importlib.import_module(module), attribute, None)


if __name__ == "__main__":
    try:
        fork_server(int(sys.argv[1]), Path(sys.argv[2])) if sys.argv[1:] else alone()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(GONE)  # the end of a process with torch in it takes a while
