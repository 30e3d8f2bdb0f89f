"""A place where submissions are graded one after another: two zygotes, warm for all of them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from kata.course import Course, Exercise
from kata.files import remove_folder
from kata.grading import sandbox, zygote
from kata.grading.model import Graded, Submission
from kata.grading.needs import libraries
from kata.verdict import Verdict

START_SECONDS = 180.0
SILENCE_SECONDS = 900.0  # a judge that says nothing for so long is stuck: one test ends in 120
# torch imports the last one, for the better part of a second, in the first backward pass.
FOR_BOTH: tuple[str, ...] = ("pytest", "pytest_timeout", "hypothesis", "kata.plugin")
FOR_BOTH += ("torch.fx.experimental.symbolic_shapes",)
FOR_JUDGES = (*FOR_BOTH, "kata.grading.judge")
FOR_WORKERS = (*FOR_BOTH, "kata.grading.worker")


@dataclass(frozen=True)
class Settings:
    """How a class is graded.

    Attributes:
        hidden: a folder of more graded tests, `chNN_topic/test_exMM_name.py`.
        seed: what the random numbers of workers start from.
        own: an exercise's imports come from the submission, not from the solutions.
        seconds: the time limit of every test, or None for what each test says.
        off: protections that are left out, to show what each is good for.
    """

    hidden: Path | None = None
    seed: int = 0
    own: bool = False
    seconds: float | None = None
    off: tuple[str, ...] = ()


class StationError(Exception):
    """This machine cannot grade; the message says why."""


class Station:
    """One judge at a time, and its workers.

    Args:
        course: the course, with its tests and solutions.
        settings: how to grade.

    Raises:
        StationError: there is no fork here, or the processes do not start.
    """

    def __init__(self, course: Course, *, settings: Settings | None = None) -> None:
        if not hasattr(os, "fork"):
            raise StationError(
                "kata grade forks its workers, which needs Linux or macOS; got "
                f"{sys.platform} (on Windows it runs inside of WSL)"
            )
        self.course = course
        self.settings = settings or Settings()
        self._place = Path(tempfile.mkdtemp(prefix="kata-")).resolve()
        hidden = [self.settings.hidden.resolve()] if self.settings.hidden else []
        shown = [course.root, *hidden, *_real_data()]
        self._workers, to_workers = _started(
            "worker",
            FOR_WORKERS,
            # What it was started with can be read in its memory, so it knows little.
            sandbox.environment(self._place),
            lambda command: sandbox.wrapped(command, shown, [self._place]),
        )
        self._judges, self._control = _started(
            "judge", FOR_JUDGES, os.environ | {"TMPDIR": str(self._place)}
        )
        self._to_workers = to_workers
        self._seen: dict[str, None] = {}  # what judges had to import while they graded
        try:
            _wait_until_ready(self._workers, to_workers)
            _wait_until_ready(self._judges, self._control)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Station:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def grade(
        self,
        submission: Submission,
        to: Path,
        exercises: Sequence[Exercise],
        on_exercise: Callable[[str, str], None] = lambda slug, verdict: None,
    ) -> Graded:
        """Grade one submission.

        Args:
            submission: what is graded.
            to: the folder of the class; `to/NAME/grade.json` is kept up to date.
            exercises: which ones.
            on_exercise: called with the slug and the verdict of each exercise that is done.

        Raises:
            StationError: the station itself has broken down.
        """
        file = (to / submission.name / "grade.json").resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        submitted = submission.submitted.isoformat() if submission.submitted else ""
        Graded(submission.name, {}, list(submission.problems), submitted=submitted).save(file)
        job = {
            "root": str(self.course.root),
            "tree": str(submission.tree.resolve()),
            "file": str(file),
            "log": str(file.with_name("judge.log")),
            "submission": submission.name,
            "problems": list(submission.problems),
            "submitted": submitted,
            "own": self.settings.own,
            "seconds": self.settings.seconds,
            "off": list(self.settings.off),
            "readable": [str(path) for path in _real_data()],
            "seed": self.settings.seed,
            "earlier": {},
            "tampered": [],
        }
        left = list(exercises)
        while left:
            self._judge(job, left, on_exercise)
            graded = _read(file)
            if self._workers.poll() is not None:
                raise StationError("the process that forks the workers is gone")
            if graded.complete:
                break
            # The judge has died. What it was at is lost, the rest gets a new one.
            rows = graded.document.get("exercises", {})
            lost = next((e for e in left if not _has_verdicts(rows.get(e.slug))), left[-1])
            left = left[left.index(lost) + 1 :]
            graded.tampered.append(f"{lost.number}: the judge died while it graded this")
            graded.complete = not left
            graded.save(file)
            waiting = {e.slug for e in left}
            done = {slug: row for slug, row in rows.items() if slug not in waiting}
            job |= {"earlier": done, "tampered": graded.tampered}
        return _read(file)

    def _tests(self, exercises: Sequence[Exercise]) -> list[str]:
        folders = [self.course.tests_dir, *([self.settings.hidden] if self.settings.hidden else [])]
        files = [f / e.chapter / f"test_{e.name}.py" for e in exercises for f in folders]
        return [str(file.resolve()) for file in files if file.is_file()]

    def _judge(
        self,
        job: dict[str, Any],
        exercises: Sequence[Exercise],
        on_exercise: Callable[[str, str], None],
    ) -> None:
        """Let one judge live, from the fork to its end."""
        tests = self._tests(exercises)
        if not tests:
            raise StationError(f"no test file for {', '.join(map(str, exercises))}")
        needed = sorted({name for test in tests for name in libraries(Path(test))})
        place = tempfile.mkdtemp(dir=self._place)
        job = job | {"tests": tests, "import": [*self._seen, *needed], "place": place}
        number = time.monotonic_ns()
        message = {"do": "fork", "job": job, "number": number}
        try:
            zygote.send(self._control, message, (self._to_workers.fileno(),))
            self._listen(number, on_exercise)
        finally:
            self._quiet(self._to_workers, {"do": "end all"})
            remove_folder(Path(place))

    def _listen(self, number: int, on_exercise: Callable[[str, str], None]) -> None:
        pid = None
        while True:
            said = self._next(SILENCE_SECONDS)
            if said is None:
                self._quiet(self._control, {"do": "end", "pid": pid})
                return
            if said.get("to") == number:
                pid = said["pid"]
            elif "exercise" in said:
                on_exercise(said["exercise"], said["verdict"])
            elif "modules" in said:
                self._seen |= dict.fromkeys(said["modules"])
            elif "ended" in said and said["ended"] == pid:
                return

    def _next(self, seconds: float) -> dict[str, Any] | None:
        ready, _, _ = select.select([self._control], [], [], seconds)
        if not ready:
            return None
        said, _ = zygote.receive(self._control)
        if not said:
            raise StationError("the process that forks the judges is gone")
        return said

    @staticmethod
    def _quiet(control: socket.socket, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            zygote.send(control, message)

    def close(self) -> None:
        """End every process of this station."""
        for control in (self._control, self._to_workers):
            control.close()
        for process in (self._judges, self._workers):
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        remove_folder(self._place)


def _read(file: Path) -> Graded:
    return Graded.load(json.loads(file.read_text(encoding="utf-8")))


def _has_verdicts(row: Any) -> bool:
    """Whether every test of an exercise has been judged."""
    return bool(row) and row["verdict"] != Verdict.MISSING and len(row["tests"]) >= row["expected"]


def _started(
    role: str,
    modules: Sequence[str],
    environment: dict[str, str],
    wrapped: Callable[[list[str]], list[str]] = lambda command: command,
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    # Packets: a message arrives whole, whoever else has died in the middle of one.
    kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
    mine, theirs = socket.socketpair(socket.AF_UNIX, kind)
    command = [sys.executable, "-P", "-m", "kata.grading.zygote", role, str(theirs.fileno())]
    # A worker reaches no GPU, so the judge must not see one either: those tests say "not run".
    settings = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        wrapped([*command, *modules]),
        stdin=subprocess.PIPE,
        pass_fds=(theirs.fileno(),),
        env=environment | settings,
        start_new_session=True,  # Ctrl-C in the terminal is for the class run
    )
    theirs.close()
    return process, mine


def _wait_until_ready(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    ready, _, _ = select.select([control], [], [], START_SECONDS)
    said = zygote.receive(control)[0] if ready else {}
    if "ready" not in said:
        process.kill()
        raise StationError(f"a process of the grader did not start: {process.args!r}")


def _real_data() -> list[Path]:
    """Folders of real data, which hold nothing that an answer must not know."""
    names = ("KATA_DATA", "TIKTOKEN_CACHE_DIR", "HF_HOME")
    return [Path(os.environ[name]).resolve() for name in names if os.environ.get(name)]
