"""The process in which learner code runs: it answers the judge's requests, and decides nothing."""

from __future__ import annotations

import base64
import faulthandler
import importlib.machinery
import linecache
import random
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kata.answer import Answer
from kata.course import Exercise
from kata.grading import inside, sandbox
from kata.grading.peer import Peer
from kata.grading.wire import Wire
from kata.load import Source, SourceLoader, fresh

CPU_SECONDS = 1800  # each test has its own limit, which the judge watches over


@dataclass(frozen=True)
class Texts(Source):
    """A source that is held in memory: the worker can read no file of the course."""

    texts: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)

    def file(self, chapter: str, name: str) -> Path | None:
        """The path that stands for `chapter/name` in messages."""
        found = self.texts.get(f"{chapter}/{name}")
        return Path(found[0]) if found else None

    def loader(self, fullname: str, file: Path) -> importlib.machinery.SourceFileLoader:
        """What gives Python the text of the file."""
        data = next(data for path, data in self.texts.values() if path == str(file))
        lines = data.decode("utf-8-sig", errors="replace").splitlines(keepends=True)
        linecache.cache[str(file)] = (len(data), None, lines, str(file))
        return _TextLoader(fullname, str(file), data)


class _TextLoader(SourceLoader):
    def __init__(self, fullname: str, path: str, data: bytes) -> None:
        super().__init__(fullname, path)
        self._data = data

    def get_data(self, path: str) -> bytes:
        """The file's content."""
        return self._data


def main(connection: socket.socket, trace: int, job: Mapping[str, Any]) -> None:
    """Live as a worker, from the fork to the end of one exercise.

    Args:
        connection: to the judge.
        trace: a file descriptor to which SIGUSR1 makes this process write the line it is on.
        job: `scratch` (its one folder), `readable` and `writable` (more folders), `off`
            (protections left out), `loopback` (whether it needs a network, of its own then).
    """
    torch.set_num_threads(1)
    off = list(job["off"])
    readable = [Path(p) for p in job["readable"]]
    no_loopback = ""
    if job["loopback"]:
        try:
            sandbox.own_network()
            off.append("network")
            # Where gloo looks for the interface.
            readable += [Path("/sys/class/net"), Path("/sys/devices"), Path("/sys/bus/pci")]
        except OSError as error:
            no_loopback = str(error)
    faulthandler.register(signal.SIGUSR1, file=trace, all_threads=False)
    protections = sandbox.confine(
        Path(job["scratch"]),
        readable,
        limits=sandbox.Limits(cpu_seconds=CPU_SECONDS),
        off=off,
        writable=[Path(p) for p in job["writable"]],
        keep=(connection.fileno(), trace),
    )
    _move_caches()
    wire = Wire(connection)
    start, _ = wire.receive()
    shown = [vars(p) for p in protections]
    wire.send({"protections": shown, "no loopback": no_loopback}, [])
    following: Mapping[str, Any] | None = start
    while following is not None:
        torch.manual_seed(following["seed"])
        random.seed(following["seed"])
        if "inside" in following:
            inside.main(wire, following["inside"])
            return
        following = _serve(wire, following)


def _move_caches() -> None:
    """Let a library that the zygote has imported write where a worker may."""
    config = sys.modules.get("datasets.config")
    for name in ("HF_CACHE_HOME", "HF_DATASETS_CACHE", "DOWNLOADED_DATASETS_PATH"):
        if hasattr(config, name):
            setattr(config, name, Path.cwd() / "datasets")


def _serve(wire: Wire, start: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Execute the learner's file in a new package for one test; what starts the next one."""
    texts = {k: (path, base64.b64decode(data)) for k, (path, data) in start["texts"].items()}
    exercise = Exercise(start["chapter"], start["name"], start["title"], "easy", 0)
    tree = Path(start["tree"])
    with fresh(Texts(exercise, tree, (tree,), texts=texts)) as module:
        answer = Answer(module, record=False)
        peer = Peer(wire, is_judge=False, trees=[tree])
        peer.answer = lambda name: getattr(answer, name)
        return peer.serve()
