"""A process that has everything imported and waits for a learner to save their file.

`worker` gives the way that this machine has: a process that forks (Linux), or else one process that
is started anew for each run, ahead of time (kata.warm_forked, kata.warm_single). Both run the tests
by kata.warm_worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

from kata.course import Course, Exercise
from kata.files import remove_folder
from kata.grade import GUARD
from kata.grading.needs import libraries
from kata.text import ascii_safe
from kata.verdict import Verdict

CAN_FORK = sys.platform == "linux"  # the frameworks of macOS do not survive it
LAST_WORDS = 1 << 16  # bytes of what pytest wrote: a traceback in C has all of its frames
# What a warm process takes from the learner's own code, so that the next one has it already.
KEPT = ("datasets", "hypothesis", "matplotlib", "numpy", "tokenizers", "torch", "transformers")
NOT_TAKEN = ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", GUARD)
SETTINGS = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # the other one would keep forked processes from the GPU
}


@dataclass(frozen=True)
class Outcome:
    """What became of one run of an exercise's tests.

    Attributes:
        verdict: on the exercise; None when there is none.
        passed: how many tests pass.
        not_run: how many need what is not here.
        tests: how many there are.
        reason: why one of them was not run.
        test: the name of the first test that fails.
        position: its place among them, from 1.
        text: that failure, as pytest shows it.
        printed: what the learner's code printed in that test.
        problem: one line, where the tests did not come to an end.
        output: what pytest wrote until then.
    """

    verdict: Verdict | None
    passed: int = 0
    not_run: int = 0
    tests: int = 0
    reason: str = ""
    test: str = ""
    position: int = 0
    text: str = ""
    printed: str = ""
    problem: str = ""
    output: str = ""


@dataclass(frozen=True)
class Job:
    """The tests of one exercise; see kata.warm_worker.check."""

    root: str
    test: str
    slug: str
    args: tuple[str, ...]
    needs: tuple[str, ...]
    edited: int  # when the test file was: a process that waits has read it

    @classmethod
    def of(cls, course: Course, exercise: Exercise, own: bool = False) -> Job:
        """The job of an exercise; with `own` its imports come from the learner's files."""
        test = course.tests_dir / exercise.chapter / f"test_{exercise.name}.py"
        files = [f for f in (test, course.solutions_dir / exercise.path) if f.is_file()]
        needs: dict[str, None] = {}
        for file in files:
            with contextlib.suppress(SyntaxError, ValueError, OSError):
                needs |= dict.fromkeys(libraries(file))
        edited = test.stat().st_mtime_ns if test in files else 0
        args = ("--own",) if own else ()
        return cls(str(course.root), str(test), exercise.slug, args, tuple(needs), edited)


class Worker(Protocol):
    """Runs the tests of one exercise, and has the next run ready."""

    def prepare(self, job: Job) -> None:
        """Get ready in the background; returns at once. What was ready for another job ends."""

    def run(self, job: Job) -> Outcome:
        """Run the tests, and wait for what comes out."""

    def cancel(self) -> None:
        """End the run that is under way; called by another thread."""

    def close(self) -> None:
        """End every process."""


def worker(root: Path) -> Worker:
    """The way that this machine has."""
    if CAN_FORK:
        from kata.warm_forked import Forked

        return Forked(root)
    from kata.warm_single import Single

    return Single(root)


class Run:
    """One process to be, with the files that it writes to; they have no name, and vanish."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.result: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115

    def close(self) -> None:
        """Forget what was written."""
        self.result.close()
        self.output.close()

    def outcome(self, status: int) -> tuple[Outcome, list[str]]:
        """What came out, and the modules that were imported on the way.

        Args:
            status: how the process ended; below zero the number of a signal.
        """
        output = ascii_safe(_content(self.output, LAST_WORDS).decode("utf-8", "replace")).strip()
        try:
            document = json.loads(_content(self.result, 0))
            modules = [name for name in document.pop("modules") if name.split(".")[0] in KEPT]
            said = document.pop("verdict")
            outcome = Outcome(Verdict(said) if said else None, **document)
        except (ValueError, TypeError, KeyError):  # none, or half of one
            outcome, modules = Outcome(None, problem=_problem(status, output)), []
        return (replace(outcome, output=output) if outcome.problem else outcome), modules


def _content(file: IO[bytes], most: int) -> bytes:
    """The end of a file that another process has written to."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - most) if most else 0)
    return file.read()


def _problem(status: int, output: str) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"the process that ran it was ended by {signal.Signals(-status).name}"
        return f"the process that ran it was ended by signal {-status}"
    # Windows knows no signals: there a crash ends with a number, and names every thread as well.
    crashed = "Fatal Python error" in output
    if "code_that_cannot_be_interrupted_ends_the_session" in output and not crashed:
        return "it did not end and could not be interrupted"
    return f"it ended the process that ran it (exit code {status})"


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in NOT_TAKEN}
    return kept | SETTINGS


def started(root: Path, *args: str, **settings: Any) -> subprocess.Popen[bytes]:
    """Start kata.warm_worker in the course, and in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "kata.warm_worker", *args],
        cwd=root,
        stdin=subprocess.PIPE,
        env=_environment(),
        start_new_session=True,  # Ctrl-C in the terminal is for the one who watches
        **settings,
    )


class Place:
    """Where tests put files; a folder at a time, emptied by pytest."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kata-watch-"))

    def message(self, job: Job, more: Mapping[str, None]) -> dict[str, Any]:
        """What a process of kata.warm_worker is told."""
        keys = ("root", "test", "slug", "args")
        told = {key: getattr(job, key) for key in keys}
        return told | {"import": [*job.needs, *more], "place": str(self.folder / "pytest")}

    def remove(self) -> None:
        """Leave nothing behind."""
        remove_folder(self.folder)
