"""A process with torch imported, which forks a child for each job: a fork is cheap.

It must never run an operation of torch in more than one thread: the child of a process that did
hangs at its own first one. So it imports, and does nothing else.

`python -P -m kata.grading.zygote ROLE FD MODULE...` takes jobs from the socket FD, and ends, with
its children, when its standard input is closed: whoever started it is gone then.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKET = 1 << 17


def send(connection: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send one message, and open files with it."""
    socket.send_fds(connection, [json.dumps(message).encode()], list(fds))


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for one message and its files; an empty one says that the other side is gone."""
    try:
        data, fds, _, _ = socket.recv_fds(connection, PACKET, 4)
    except ConnectionResetError:
        return {}, []
    return (json.loads(data) if data else {}), fds


def load(names: Iterable[str]) -> None:
    """Import modules, and names of modules (`transformers:GPT2Config`), that are not here yet."""
    wanted = [name for name in names if name not in _loaded]
    for name in wanted:
        _loaded.add(name)
        module, _, attribute = name.partition(":")
        with contextlib.suppress(Exception):  # it is missing here: the test will say so
            found = importlib.import_module(module)
            getattr(found, attribute, None)
    if wanted:
        gc.collect()
        gc.freeze()  # a collection in a child would copy every page that it looks at


_loaded: set[str] = set()


class Zygote:
    """The loop that forks, and ends what it has forked.

    Args:
        role: `worker` or `judge`: what its children become.
        control: where jobs come from.
    """

    def __init__(self, role: str, control: socket.socket) -> None:
        self._role = role
        self._control = control
        self._children: set[int] = set()

    def run(self) -> None:
        """Serve until standard input ends."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started it
        while True:
            ready, _, _ = select.select([self._control.fileno(), 0, wake], [], [])
            if wake in ready:
                os.read(wake, 512)
                self._reap()
            if 0 in ready and not os.read(0, 512):
                self._end_all()
                return
            if self._control.fileno() in ready:
                message, fds = receive(self._control)
                if not message:
                    self._end_all()
                    return
                self._answer(message, fds)

    def _answer(self, message: dict[str, Any], fds: list[int]) -> None:
        reply: dict[str, Any] = {"to": message.get("number")}
        if message.get("do") == "fork":
            load(message["job"].get("import", ()))
            reply["pid"] = self._fork(message["job"], fds)
        elif message.get("do") == "trace" and message["pid"] in self._children:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(message["pid"], signal.SIGUSR1)
        elif message.get("do") == "end":
            self._end(message["pid"])
        elif message.get("do") == "end all":
            self._end_all()
        for fd in fds:
            os.close(fd)
        if "number" in message:
            send(self._control, reply)

    def _fork(self, job: dict[str, Any], fds: list[int]) -> int:
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            self._children.add(pid)
            return pid
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            self._child(job, fds)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _child(self, job: dict[str, Any], fds: list[int]) -> None:
        if self._role == "judge":
            from kata.grading import judge

            judge.main(job, self._control, *[socket.socket(fileno=fd) for fd in fds])
            return
        from kata.grading import worker

        self._control.close()
        null = os.open(os.devnull, os.O_WRONLY)  # an answer may print megabytes
        for fd in (1, 2):
            os.dup2(null, fd)
        worker.main(socket.socket(fileno=fds[0]), fds[1], job)

    # ---------------------------------------------------------------------------------- ends

    def _reap(self) -> None:
        if self._role != "judge":
            return  # a worker's number stays its own until `_end`, and is nobody else's
        for pid in list(self._children):
            with contextlib.suppress(ChildProcessError):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    self._children.discard(pid)
                    self._strays()
                    send(self._control, {"ended": pid, "status": status})

    def _end(self, pid: int) -> None:
        if pid not in self._children:
            return
        self._children.discard(pid)
        for kill, target in ((os.killpg, pid), (os.kill, pid)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(target, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        self._strays()

    def _end_all(self) -> None:
        for pid in list(self._children):
            self._end(pid)

    def _strays(self) -> None:
        """End what a child has left behind: it is this process's child now, see `main`."""
        for _ in range(100):
            strays = [pid for pid in _children_of_this() if pid not in self._children]
            if not strays:
                return
            for pid in strays:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _children_of_this() -> list[int]:
    found: list[int] = []
    for file in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def main(role: str, control: str, modules: list[str]) -> None:
    """Import what the children need, and wait for jobs."""
    connection = socket.socket(fileno=int(control))
    if sys.platform == "linux":
        from kata.grading.libc import prctl

        prctl(36, 1)  # what a child leaves behind becomes a child of this process
    import torch

    torch.set_num_threads(1)
    load(modules)
    send(connection, {"ready": os.getpid()})
    Zygote(role, connection).run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
