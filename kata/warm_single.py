"""A new process for each run, started ahead of time: where a fork is not safe, or there is none."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from kata.warm import Job, Outcome, Place, Run, started


class Single:
    """A new process for each run, started ahead of time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._place = Place()
        self._ready: tuple[Run, subprocess.Popen[bytes]] | None = None
        self._running: subprocess.Popen[bytes] | None = None

    def prepare(self, job: Job) -> None:
        """Start a process that imports, and then waits."""
        if self._ready and self._ready[0].job == job:
            return
        self._drop()
        run = Run(job)
        process = started(self._root, stdout=run.output, stderr=run.result)
        self._ready = run, process
        assert process.stdin
        with contextlib.suppress(OSError):  # it has ended already
            process.stdin.write(json.dumps(self._place.message(job, {})).encode() + b"\n")
            process.stdin.flush()

    def run(self, job: Job) -> Outcome:
        """Let the process that waits go on."""
        self.prepare(job)
        assert self._ready
        run, self._running = self._ready
        self._ready = None
        assert self._running.stdin
        with contextlib.suppress(OSError):
            self._running.stdin.write(b"\n")
            self._running.stdin.flush()
        try:
            status = self._running.wait()
            _kill(self._running)  # what it has left behind
            return run.outcome(status)[0]
        finally:
            self._running = None
            run.close()

    def cancel(self) -> None:
        """End the run."""
        if running := self._running:
            _kill(running)

    def _drop(self) -> None:
        if self._ready:
            run, process = self._ready
            _kill(process)
            run.close()
            self._ready = None

    def close(self) -> None:
        """End the run, and the process that waits."""
        self.cancel()
        self._drop()
        self._place.remove()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, and where the system knows them as a group those that it has started."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        process.stdin.close()  # type: ignore[union-attr]
    process.wait()
