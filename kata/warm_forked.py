"""A process that imports once and forks another for each run (Linux)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

from kata.grading import zygote
from kata.warm import Job, Outcome, Place, Run, started

END_SECONDS = 2.0  # it may be importing; what it has forked ends with it


class Forked:
    """A process that imports once and forks another for each run."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._place = Place()
        self._seen: dict[str, None] = {}
        self._number = 0
        self._running: int | None = None  # the number of its process
        self._ready: tuple[Run, int] | None = None
        self._start()

    def _start(self) -> None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        null = subprocess.DEVNULL
        with theirs:
            fd = theirs.fileno()
            self._server = started(
                self._root,
                str(fd),
                str(self._place.folder),
                pass_fds=(fd,),
                stdout=null,
                stderr=null,
            )
        self._control = mine

    def prepare(self, job: Job) -> None:
        """Fork a process that waits."""
        if self._ready and self._ready[0].job == job:
            return
        try:
            self._fork(job)
        except OSError:  # the server is gone
            self._end_server()
            self._start()
            self._fork(job)

    def _fork(self, job: Job) -> None:
        self._drop()
        run = Run(job)
        waiting, go = os.pipe()
        self._number += 1
        message = {
            "do": "fork",
            "job": self._place.message(job, self._seen),
            "number": self._number,
        }
        try:
            fds = (waiting, run.result.fileno(), run.output.fileno())
            zygote.send(self._control, message, fds)
        except BaseException:
            os.close(go)
            run.close()
            raise
        finally:
            os.close(waiting)
        self._ready = run, go

    def run(self, job: Job) -> Outcome:
        """Let the process that waits go on."""
        self.prepare(job)
        assert self._ready
        run, go = self._ready
        self._ready = None
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                os.write(go, b"\n")
            outcome, modules = run.outcome(self._status(self._number))
        finally:
            os.close(go)
            run.close()
        self._seen |= dict.fromkeys(modules)
        return outcome

    def _status(self, number: int) -> int:
        """Wait for the end of the process that message `number` has asked for."""
        try:
            while said := zygote.receive(self._control)[0]:
                if said.get("to") == number:
                    self._running = said["pid"]
                elif self._running and said.get("ended") == self._running:
                    return os.waitstatus_to_exitcode(said["status"])
        finally:
            self._running = None
        return -signal.SIGKILL  # the server is gone

    def cancel(self) -> None:
        """End the run."""
        with contextlib.suppress(OSError):
            zygote.send(self._control, {"do": "end", "pid": self._running})

    def _drop(self) -> None:
        if self._ready:
            run, go = self._ready
            os.close(go)  # that is all it waits for
            run.close()
            self._ready = None

    def _end_server(self) -> None:
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
        self._control.close()
        _end(self._server)

    def close(self) -> None:
        """End the process that forks, which ends what it has forked."""
        self._drop()
        self._end_server()
        self._place.remove()


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
