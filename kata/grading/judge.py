"""The process that grades one submission: it runs the graded tests, and the learner's code nowhere.

It is a pytest session whose `answer` is a proxy: see kata.grading.peer. Each exercise has a worker,
which is forked when a test first asks for a name and executes the learner's file anew for each
test. A test that is hidden, or shares a folder with the answer, has one of its own.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import random
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kata import grade, session
from kata.answer import Answer, MissingName, Unusable
from kata.course import Exercise
from kata.files import remove_folder
from kata.grading import inside, sandbox, zygote
from kata.grading.libc import prctl
from kata.grading.model import Graded, Protection
from kata.grading.needs import libraries, needed
from kata.grading.peer import Peer
from kata.grading.wire import Wire, WireError
from kata.load import Source
from kata.verdict import Finding, Judged, Verdict

TRACE_SECONDS = 1.0
MEMORY_BYTES = 12 << 30  # what a worker sends ends a test, not the machine
PATIENCE = 3.0  # a call takes about half a millisecond, and a test may make 20 000
LIBRARIES = ("transformers", "datasets", "tokenizers", "torch", "matplotlib")
FOLDER = pytest.StashKey[Path | None]()
CHANGED = "it passes only because it changes its arguments in place"


class Workers:
    """Where workers come from.

    Args:
        control: the socket to the zygote of the workers.
        place: a folder that they see, for their own folders.
        off: protections that they leave out.
        readable: folders that they may read.
        seed: what their random numbers start from.
    """

    def __init__(
        self,
        control: socket.socket,
        place: Path,
        off: list[str],
        readable: list[Path],
        seed: int,
    ) -> None:
        self._control = control
        self.place = place
        self._off = off
        self._readable = readable
        self._seed = seed
        self._numbers = itertools.count(time.monotonic_ns())
        self.protections: list[Protection] = []
        self.imports: list[str] = []
        self.known: set[str] = set()
        self._of_exercise: tuple[str, Worker] | None = None

    def new(
        self,
        start: dict[str, Any],
        readable: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        loopback: bool = False,
    ) -> Worker:
        """Fork a worker that may read and write these besides what every worker may.

        Args:
            start: what it is told to do.
            readable: files and folders.
            writable: folders.
            loopback: whether it needs a network; it gets one of its own.
        """
        job = {
            "import": [*self.imports, *sorted(self.known)],
            "readable": [str(p) for p in (*self._readable, *readable)],
            "writable": [str(p) for p in writable],
            "off": self._off,
            "loopback": loopback,
        }
        return Worker(self, job, start | {"seed": self._seed})

    def of_exercise(self, name: str, start: dict[str, Any]) -> Worker:
        """The worker that an exercise has already, told to begin anew, or a new one."""
        if self._of_exercise is not None:
            known, worker = self._of_exercise
            if known == name and worker.peer.is_in_step:
                worker.restart(start | {"op": "start", "seed": self._seed})
                return worker
            self.end()
        worker = self.new(start)
        self._of_exercise = name, worker
        return worker

    def end(self) -> None:
        """End the worker that an exercise has."""
        if self._of_exercise is not None:
            self._of_exercise[1].end()
            self._of_exercise = None

    def ask(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> dict[str, Any]:
        """Send a request to the zygote and wait for its reply."""
        number = next(self._numbers)
        zygote.send(self._control, message | {"number": number}, fds)
        while True:
            reply, _ = zygote.receive(self._control)
            if not reply:
                raise RuntimeError("the zygote of the workers is gone")
            if reply.get("to") == number:
                return reply


class Worker:
    """One worker, from the fork to the kill."""

    def __init__(self, workers: Workers, job: dict[str, Any], start: dict[str, Any]) -> None:
        self._workers = workers
        self._scratch = Path(tempfile.mkdtemp(prefix="worker-", dir=workers.place))
        mine, theirs = socket.socketpair()
        self._trace, trace = os.pipe()
        job = job | {"scratch": str(self._scratch)}
        fds = (theirs.fileno(), trace)
        self.pid = int(workers.ask({"do": "fork", "job": job}, fds)["pid"])
        theirs.close()
        os.close(trace)
        self.wire = Wire(mine)
        self.wire.send(start, [])
        head, _ = self.wire.receive()
        self.no_loopback = str(head["no loopback"])
        if not workers.protections and not job["loopback"]:
            workers.protections += [Protection(**p) for p in head["protections"]]
        self.peer = Peer(self.wire, is_judge=True)

    def restart(self, start: dict[str, Any]) -> None:
        """Begin another test with it."""
        self.wire.send(start, [])
        self.peer = Peer(self.wire, is_judge=True)

    def line(self) -> tuple[str, int] | None:
        """The innermost line that it is executing, where it can be had."""
        self._workers.ask({"do": "trace", "pid": self.pid})
        text, end = b"", time.monotonic() + TRACE_SECONDS
        while time.monotonic() < end:
            ready, _, _ = select.select([self._trace], [], [], end - time.monotonic())
            piece = os.read(self._trace, 1 << 16) if ready else b""
            text += piece
            if not piece or len(text) > 1 << 16 or b"kata/grading" in text:
                break
        lines = re.findall(r'File "([^"\n]+)", line (\d+)', text.decode(errors="replace"))
        return next(((f, int(n)) for f, n in lines if f in self.peer.files), None)

    def end(self) -> None:
        """Kill it."""
        self._workers.ask({"do": "end", "pid": self.pid})
        self.wire.close()
        os.close(self._trace)
        remove_folder(self._scratch)


def _start(source: Source, files: Mapping[str, Path]) -> dict[str, Any]:
    exercise = source.exercise
    texts = {key: [str(path), _text(path)] for key, path in files.items()}
    names = {"chapter": exercise.chapter, "name": exercise.name, "title": exercise.title}
    return names | {"texts": texts, "tree": str(source.tree)}


def _text(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


class RemoteAnswer(Answer):
    """The names of an exercise that is executed in a worker, at the first use.

    Args:
        workers: where the worker comes from.
        source: the exercise's file.
        reference: the solution, which says what the worker may import.
        folder: one that the test and the answer share, or None.
        alone: whether no other test may use the same worker.
        keep: whether changes of a test's own lists and tensors come back.
    """

    def __init__(
        self,
        workers: Workers,
        source: Source,
        reference: Source,
        folder: Path | None,
        alone: bool,
        keep: bool,
    ) -> None:
        super().__init__(None, record=False)  # type: ignore[arg-type]
        self._kata_source = source
        self._kata_files = needed(source, reference)
        self._kata_workers = workers
        self._kata_folder = folder
        self._kata_alone = alone or folder is not None or not keep
        self._kata_keep = keep
        self._kata_worker: Worker | None = None
        self._kata_before: Path | None = None

    def __repr__(self) -> str:
        return f"<answer to {self._kata_source.exercise}>"

    def _attribute(self, name: str) -> Any:
        __tracebackhide__ = True
        try:
            return self._kata_peer().request("attribute", name=name)
        except Exception as error:
            if getattr(error, "__kata_unusable__", False):
                raise Unusable(error) from None
            raise

    def _kata_peer(self) -> Peer:
        if self._kata_worker is None:
            self._kata_worker = self._kata_new_worker()
            peer = self._kata_worker.peer
            peer.keep_changes = self._kata_keep
            record = self._kata_transcript.recorded
            peer.record = lambda function, label, is_read: record(function, label, 0, is_read)
        return self._kata_worker.peer

    def _kata_new_worker(self) -> Worker:
        exercise, files = self._kata_source.exercise, self._kata_files
        if f"{exercise.chapter}/{exercise.name}" not in files:
            raise Unusable(MissingName(f"{exercise.path} was not handed in"))
        folder = self._kata_folder
        if folder is not None:
            self._kata_before = Path(tempfile.mkdtemp(dir=self._kata_workers.place))
            shutil.copytree(folder, self._kata_before, dirs_exist_ok=True)
        start = _start(self._kata_source, files)
        try:
            if self._kata_alone:
                worker = self._kata_workers.new(start, writable=[folder] if folder else [])
            else:
                worker = self._kata_workers.of_exercise(exercise.slug, start)
        except WireError as error:
            raise Unusable(error) from None
        tree = self._kata_source.tree
        own = (str(path) for path in files.values() if path.is_relative_to(tree))
        worker.peer.files = frozenset(own)
        return worker

    def _kata_changed(self) -> bool:
        return self._kata_worker is not None and self._kata_worker.peer.changed_arguments

    def _kata_running_line(self) -> tuple[str, int] | None:
        with contextlib.suppress(Exception):
            return self._kata_worker.line() if self._kata_worker else None
        return None

    def _kata_end(self) -> None:
        if self._kata_worker is not None:
            # The next workers are forked with these imported, which can take seconds.
            self._kata_workers.known |= self._kata_worker.peer.libraries
            if self._kata_alone:
                self._kata_worker.end()
            elif not self._kata_worker.peer.is_in_step:
                self._kata_workers.end()
            self._kata_worker = None
        if self._kata_before is not None and self._kata_folder is not None:
            # Nothing that the answer wrote may be read by what runs in this process next.
            remove_folder(self._kata_folder)
            shutil.move(self._kata_before, self._kata_folder)
            self._kata_before = None


class Judge:
    """The plugin that puts a proxy in the place of the answer, and keeps what comes out.

    Args:
        job: what `main` was given.
        workers: where workers come from.
        tell: called with the slug and the verdict of each exercise that is done.
    """

    def __init__(
        self, job: Mapping[str, Any], workers: Workers, tell: Callable[[str, str], None]
    ) -> None:
        self.job = job
        self.workers = workers
        self.tell = tell
        self.graded = Graded(job["submission"], {}, job["problems"], submitted=job["submitted"])
        self._run: session.Run
        self._earlier = dict(job["earlier"])
        self.graded.tampered = list(job["tampered"])
        self._told: set[str] = set()

    def pytest_configure(self, config: pytest.Config) -> None:
        """Take over the answers of the session."""
        from kata.plugin import RUN

        self._run = config.stash[RUN]
        self._run.answered = self.answered
        self._run.patience = PATIENCE
        self._run.short_of_time = True

    @contextlib.contextmanager
    def answered(self, exercise: Exercise, request: pytest.FixtureRequest) -> Iterator[Answer]:
        """The learner's exercise, in a worker."""
        random.seed(self.job["seed"])
        files = [request.path, self._run.course.solutions_dir / exercise.path]
        self.workers.imports = [n for f in files if f.is_file() for n in libraries(f)]
        # Asked for here: a test may get it through a fixture of its own.
        wants_folder = "tmp_path" in request.fixturenames
        request.node.stash[FOLDER] = request.getfixturevalue("tmp_path") if wants_folder else None
        answer = self._answer(exercise, request.node, keep=True)
        try:
            yield answer
        finally:
            answer._kata_end()

    def _answer(
        self, exercise: Exercise, item: Any, keep: bool, solution: bool = False
    ) -> RemoteAnswer:
        reference = self._run.reference(exercise)
        source = reference if solution else self._run.source(exercise)
        is_hidden = not item.path.is_relative_to(self._run.course.tests_dir)
        alone = is_hidden or item.get_closest_marker(inside.MARK) is not None
        return RemoteAnswer(self.workers, source, reference, item.stash[FOLDER], alone, keep)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """A test that passes while its arguments were changed must pass without that, too."""
        __tracebackhide__ = True
        result = yield
        answer = pyfuncitem.funcargs.get("answer")
        exercise = self._run.course.of_test_file(pyfuncitem.path)
        if exercise is None or not isinstance(answer, RemoteAnswer) or not answer._kata_changed():
            return result
        answer._kata_end()
        try:
            self._again(pyfuncitem, exercise, solution=False)
        except Exception as error:
            # Where the solution needs the changes as well, they are what the exercise is about.
            if self._solution_passes_again(pyfuncitem, exercise):
                raise AssertionError(f"{CHANGED}\n{error}") from None
        return result

    def _solution_passes_again(self, item: pytest.Function, exercise: Exercise) -> bool:
        try:
            self._again(item, exercise, solution=True)
        except Exception:
            return False
        return True

    @pytest.hookimpl(tryfirst=True, specname="pytest_pyfunc_call")
    def pytest_run_what_cannot_cross(self, pyfuncitem: pytest.Function) -> bool | None:
        """Let the worker run a test that is marked so, and believe it as far as it can be."""
        __tracebackhide__ = True
        exercise = self._run.course.of_test_file(pyfuncitem.path)
        mark = pyfuncitem.get_closest_marker(inside.MARK)
        if exercise is None or mark is None:
            return None
        loopback = bool(mark.kwargs.get("loopback"))
        names = inside.canaries(self._run, pyfuncitem, self.job["seed"])
        test = f"{pyfuncitem.path.name}::{pyfuncitem.name}"
        answer: RemoteAnswer = pyfuncitem.funcargs["answer"]  # type: ignore[assignment]
        files = inside.files(self._run, exercise, pyfuncitem.path, answer._kata_files)
        job = {"files": files, "chapter": exercise.chapter, "test": test, "canaries": names}
        start = {"inside": job | {"tree": str(self._run.tree), "own": self.job["own"]}}
        try:
            worker = self.workers.new(start, loopback=loopback)
            answer._kata_worker = worker  # which is ended with the answer
            if loopback and worker.no_loopback:
                pytest.skip(f"not run: no network of its own ({worker.no_loopback})")
            finding, passed = inside.read(worker.wire.receive()[0], names)
        except WireError as error:
            raise Unusable(error) from None
        if passed:
            self.graded.tampered.append(
                f"{exercise.number}: the worker says that a wrong version passes "
                f"`{pyfuncitem.name}` ({', '.join(passed)}); see what the answer does"
            )
            raise Judged(Finding(Verdict.CRASH, inside.TAMPERED))
        if finding.verdict is not Verdict.PASS:
            raise Judged(finding)
        return True

    def _again(self, item: pytest.Function, exercise: Exercise, solution: bool) -> None:
        answer = self._answer(exercise, item, keep=False, solution=solution)
        try:
            item.obj(**session.arguments_for(item, answer))
        finally:
            answer._kata_end()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what is known so far when an exercise is done."""
        exercise = self._run.course.of_test_file(report.nodeid)
        if exercise is None:
            return
        self.graded.seconds[exercise.slug] = round(
            self.graded.seconds.get(exercise.slug, 0.0) + report.duration, 3
        )
        row = self._run.ledger.rows.get(exercise.slug, {})
        if (
            report.when == "teardown"
            and None not in row.values()
            and exercise.slug not in self._told
        ):
            self._told.add(exercise.slug)
            self.keep()
            self.tell(exercise.slug, str(self._run.ledger.verdicts()[exercise.slug]))

    def pytest_sessionfinish(self) -> None:
        """Keep the last word."""
        self.workers.end()
        self.keep()

    def keep(self) -> None:
        """Write the verdicts as they are now."""
        self.graded.document = together(self._earlier, self._run.ledger.document())
        self.graded.protections = list(self.workers.protections)
        self.graded.save(Path(self.job["file"]))


def together(earlier: Mapping[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A verdict file with the exercises of an earlier one, whose judge has died, added."""
    exercises = dict(earlier) | document["exercises"]
    verdicts = [row["verdict"] for row in exercises.values()]
    return document | {
        "exercises": exercises,
        "points": round(sum(row["points"] for row in exercises.values()), 4),
        "max_points": sum(row["max_points"] for row in exercises.values()),
        "counts": {str(v): verdicts.count(v) for v in Verdict},
    }


def main(job: Mapping[str, Any], station: socket.socket, workers: socket.socket) -> None:
    """Grade one submission: called in a freshly forked process.

    Args:
        job: `root`, `tree`, `file`, `submission`, `problems`, `submitted`, `tests`, `own`,
            `seconds`, `off`, `readable`, `seed`, `log`, `place` (a folder that the station
            removes), `earlier` and `tampered` (what a judge that died has found out), `import`.
        station: where progress is reported.
        workers: the socket to the zygote of the workers.
    """
    before = set(sys.modules)
    place = Path(job["place"])
    protected = _settle(job, place)
    readable = [Path(p) for p in job["readable"]]
    supply = Workers(workers, place, job["off"], readable, job["seed"])

    def tell(slug: str, verdict: str) -> None:
        zygote.send(station, {"exercise": slug, "verdict": verdict})

    judge = Judge(job, supply, tell)
    code = pytest.main(_arguments(job, place), plugins=[judge])
    supply.protections.append(protected)
    new = [n for n in sys.modules if n not in before and n.split(".")[0] in LIBRARIES]
    for i in range(0, len(new), 500):  # the next judge is forked with these imported
        zygote.send(station, {"modules": new[i : i + 500]})
    judge.graded.complete = int(code) in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    judge.keep()
    sys.stdout.flush()


def _settle(job: Mapping[str, Any], place: Path) -> Protection:
    """Become a process that is fit to judge; what keeps others from its memory."""
    import torch

    torch.set_num_threads(1)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for fd in (1, 2):
        os.dup2(log, fd)
    os.chdir(job["root"])
    os.environ["TMPDIR"] = tempfile.tempdir = str(place)
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "CI", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        os.environ.pop(name, None)
    os.environ[grade.GUARD] = os.devnull  # this process is the guard
    if sys.platform == "linux":
        import resource

        prctl(1, signal.SIGKILL)  # it ends with the process that has forked it
        most = sandbox.mapped_bytes() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return sandbox.protect_judge()


def _arguments(job: Mapping[str, Any], place: Path) -> list[str]:
    """The command line of the session."""
    args = [*job["tests"], f"--answers={job['tree']}", "--grade", "-q", "--color=no"]
    # Without the plugin that collects all garbage at the end, to hear of what nobody waits for.
    args += ["-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]
    # The station removes the place, with what answers have put there.
    args += [f"--basetemp={place}/pytest", "-o", "tmp_path_retention_policy=all"]
    args += ["--own"] if job["own"] else []
    return args + ([f"--timeout={job['seconds']}"] if job["seconds"] else [])
