"""The corpus of hand-ins from the attacker's side: what each tries, and what it must get.

A file of `corpus/hostile/` or `corpus/broken/` is one answer to one exercise. Its head says what is
wanted, a line each:

    exercise: 1.5
    tries: one sentence
    points: 0          the points out of 1; `honest` when what is right may be paid
    at_most: 0.2       instead, where a part of it is right
    verdict: crash     one of these, with | between them; any that fails when it is not said
    needs: file access the protection that stops it
    limit: why it gets points all the same, which is known
    tampered: yes      somebody has to look at it
    made: yes          the file is no answer: its `make(folder)` writes the hand-in

Every file is graded by the real grader with the real tests, a few of each exercise, and after each
hostile one an honest submission. `python -m tests.meta.grading.hand_ins FOLDER` does so in a
process
of its own, which then looks around: for children, files and settings that were left behind.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import runpy
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kata.course import Course
from kata.grading.intake import take
from kata.grading.station import Settings, Station
from tests.meta.minicourse import PROJECT

FILES = Path(__file__).parent / "corpus"
HEAD = re.compile(r'\A"""\n(.*?)\n"""\n', re.S)
FAILS = frozenset({"wrong", "crash", "timeout", "todo"})
ANY = FAILS | {"pass"}
KEYS = {"exercise", "tries", "points", "at_most", "verdict", "needs", "limit", "tampered", "made"}
SECONDS, SHORT_SECONDS = 20.0, 1.5  # three times that, for what crosses the boundary takes longer
LARGEST_REPORT = 1 << 20
# What would be read as a command where a report or the output of the grader is shown.
INJECTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LEFT_IN = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/", "~")
# The tests that are graded: few are enough to see what an attack gets, and all would take hours.
TESTS = {
    "1.4": ["counts_every", "short_inputs_have_no_pairs[ids0]", "adds_to", "updates_the_very"],
    "1.5": ["replaces_every", "keeps_the_last", "short_inputs", "agrees_with"],
    "1.8": ["joins_the_bytes", "characters_may_be_cut", "no_ids", "unknown_id"],
    "1.11": ["the_first_line_is_merged_first", "only_a_header"],
    "1.12": ["fills_short_rows", "input_is_not"],
    "2.3": ["two_scores", "agrees_with_torch[cpu-0", "slices_do_not", "gradient"],
    "2.4": ["agrees_with_torch[cpu-0"],
    "2.6": ["weight_starts", "two_vectors", "gradients_agree_with_torch[x"],
    "3.11": ["nothing_larger", "tiles_in", "huge_scores", "gradients_of_lse"],
    "5.10": [
        "appends_what",
        "model_is_called_once_for_each_token[1]",
        "model_is_called_once_for_each_token[4]",
        "rows_end_after_eos[0-0]",
        "model_is_in_eval_mode_meanwhile[True]",
        "no_gradients",
    ],
    "7.8": ["memory_is_that"],
    "7.9": ["nothing_in_a_file"],
    "7.13": ["works_without_a_process_group[cpu"],
}
HONEST = "2.4"
CONFTEST = """\
KEPT = {kept!r}


def pytest_collection_modifyitems(items):
    items[:] = [
        item for item in items if any(name in item.nodeid for name in KEPT[item.path.stem])
    ]
"""


@dataclass(frozen=True)
class Case:
    """One file of the corpus.

    Attributes:
        kind: `hostile` or `broken`.
        name: of the file.
        exercise: its number.
        tries: one sentence.
        least: the points that it must get at least.
        most: the points that it may get at most.
        verdicts: the verdicts that it may get.
        needs: the protection that stops it, or an empty string.
        limit: why it may get points that it has not earned, or an empty string.
        tampered: whether somebody has to look at it.
        made: whether the file makes the hand-in.
    """

    kind: str
    name: str
    exercise: str
    tries: str
    least: float
    most: float
    verdicts: frozenset[str]
    needs: str
    limit: str
    tampered: bool
    made: bool

    @classmethod
    def read(cls, file: Path) -> Case:
        """Read the head of a file."""
        match = HEAD.match(file.read_text("utf-8"))
        assert match, f"{file.name} has no head"
        head = dict(line.split(": ", 1) for line in match[1].splitlines())
        points, most = head.get("points", "honest"), float(head.get("at_most", 1))
        exact = None if points == "honest" else float(points)
        verdicts = frozenset(head["verdict"].split("|")) if "verdict" in head else ANY
        if exact == 0 and "verdict" not in head:
            verdicts = FAILS
        assert set(head) <= KEYS, f"{file.name}: {sorted(set(head) - KEYS)}"
        return cls(
            kind=file.parent.name,
            name=file.stem,
            exercise=head["exercise"],
            tries=head["tries"],
            least=exact or 0.0,
            most=most if exact is None else exact,
            verdicts=verdicts,
            needs=head.get("needs", ""),
            limit=head.get("limit", ""),
            tampered="tampered" in head,
            made="made" in head,
        )

    @property
    def is_endless(self) -> bool:
        """Whether it is meant to be stopped by the time limit."""
        return "timeout" in self.verdicts and not self.verdicts >= FAILS

    @property
    def file(self) -> Path:
        """Where it is written."""
        return FILES / self.kind / f"{self.name}.py"

    def hand_in(self, course: Course, folder: Path) -> Path:
        """Write the hand-in into a new folder, and return where it is."""
        folder.mkdir(parents=True)
        if self.made:
            return runpy.run_path(str(self.file))["make"](folder) or folder
        answer = folder / "exercises" / course.find(self.exercise).path
        answer.parent.mkdir(parents=True)
        shutil.copy(self.file, answer)
        return folder


@dataclass
class Outcome:
    """What a hand-in got.

    Attributes:
        points: out of 1.
        verdict: on the exercise.
        passed: how many tests.
        expected: how many count.
        complete: whether the grader says that it came to its end.
        tampered: why a human should look at it.
        seconds: how long it took.
        found: what must not be: secrets in the report, commands in it, its size.
        after: the points of the honest submission that was graded next; 1 when none was.
    """

    points: float = 0.0
    verdict: str = "missing"
    passed: int = 0
    expected: int = 0
    complete: bool = False
    tampered: list[str] = field(default_factory=list)
    seconds: float = 0.0
    found: list[str] = field(default_factory=list)
    after: float = 1.0


def cases() -> list[Case]:
    """Every file of the corpus, the hostile ones first."""
    return [
        Case.read(f) for kind in ("hostile", "broken") for f in sorted((FILES / kind).glob("*.py"))
    ]


def problems(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong with an outcome, a sentence each."""
    said = list(outcome.found)
    if not outcome.complete:
        said.append("the report does not come to its end")
    if case.limit and not outcome.points:
        said.append("no points: the limit is none any more, leave it out")
    if not case.least <= outcome.points <= case.most:
        said.append(f"{outcome.points} points, wanted {case.least} to {case.most}")
    if outcome.verdict not in case.verdicts:
        said.append(f"verdict {outcome.verdict}, wanted {'|'.join(sorted(case.verdicts))}")
    if bool(outcome.tampered) != case.tampered and not case.limit:
        said.append(f"somebody is told to look at it: {outcome.tampered}")
    if outcome.after != 1.0:
        said.append(f"the honest submission after it got {outcome.after} points")
    return said


def table(outcomes: dict[str, Outcome]) -> str:
    """Corpus x verdict, for people."""
    rows = ["| file | tries | needs | verdict | points | |", "|---|---|---|---|---|---|"]
    for case in cases():
        if outcome := outcomes.get(f"{case.kind}/{case.name}"):
            known = f"known limit: {case.limit}" if case.limit else "as it must be"
            wrong = "; ".join(problems(case, outcome)) or known
            cells = [f"{case.kind}/{case.name}", case.tries, case.needs, outcome.verdict]
            rows.append("| " + " | ".join([*cells, f"{outcome.points:.2g}", wrong]) + " |")
    return "\n".join(rows)


# ---------------------------------------------------------------------------------- the grading


def make_course(root: Path) -> Course:
    """A course of the exercises that the corpus answers, with a few tests of each."""
    kept = {}
    for number, names in TESTS.items():
        exercise = Course(PROJECT).find(number)
        kept[f"test_{exercise.name}"] = [f"::test_{name}" for name in names]
        tests = Path("tests", exercise.chapter)
        files = [tests / f"{kind}_{exercise.name}.py" for kind in ("test", "wrong")]
        for tree in ("solutions", "exercises"):
            files += [
                p.relative_to(PROJECT) for p in (PROJECT / tree / exercise.chapter).glob("*.py")
            ]
        for file in files:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / file, root / file)
    (root / "tests" / "conftest.py").write_text(CONFTEST.format(kept=kept), "utf-8")
    shutil.copy(PROJECT / "pyproject.toml", root)
    return Course(root)


class Grading:
    """Grades a part of the corpus.

    Args:
        folder: where everything is written.
        secret: a text that no report may contain.
    """

    def __init__(self, folder: Path, secret: str) -> None:
        self.folder = folder
        self.secret = secret
        self.course = make_course(folder / "course")
        canary = self.course.root / ".kata" / "canary.txt"
        canary.parent.mkdir()
        canary.write_text(f"{secret}\n" * 3, "utf-8")
        self.outcomes: dict[str, Outcome] = {}
        self.broken: list[str] = []
        # A path of a socket has 107 characters at most.
        os.chdir(canary.parent)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("canary.sock")
        self.listener.listen()
        self.listener.setblocking(False)
        os.chdir(PROJECT)

    def run(self, part: Iterable[Case], settings: Settings) -> None:
        """Grade these one after the other, at one station."""
        try:
            self._run(part, settings)
        except Exception as error:
            self.broken.append(f"a station broke: {type(error).__name__}: {error}")

    def _run(self, part: Iterable[Case], settings: Settings) -> None:
        with Station(self.course, settings=settings) as station:
            for case in part:
                key = f"{case.kind}/{case.name}"
                try:
                    self.outcomes[key] = self._grade(station, case)
                except Exception as error:
                    self.outcomes[key] = Outcome(found=[f"{type(error).__name__}: {error}"])
                print(key, self.outcomes[key], flush=True)

    def _grade(self, station: Station, case: Case) -> Outcome:
        # Inside of the course: the learner's path then leads to the solutions, as it would.
        tree = self.course.root / "class" / case.name
        origin = case.hand_in(self.course, self.folder / "in" / case.name)
        began = time.monotonic()
        submission = take(origin, tree, self.course, case.name)
        graded = station.grade(submission, self.folder / "out", [self.course.find(case.exercise)])
        seconds = time.monotonic() - began
        (row,) = graded.document["exercises"].values() or [{}]
        outcome = Outcome(
            row.get("points", 0.0),
            row.get("verdict", "missing"),
            row.get("passed", 0),
            row.get("expected", 0),
            graded.complete,
            graded.tampered,
            round(seconds, 2),
            self._found(self.folder / "out" / case.name),
        )
        if case.kind == "hostile":
            outcome.after = self._honest(station, case)
        return outcome

    def _honest(self, station: Station, case: Case) -> float:
        exercise = self.course.find(HONEST)
        name = f"after_{case.name}"
        tree = self.course.root / "class" / name
        (tree / exercise.chapter).mkdir(parents=True)
        shutil.copy(self.course.solutions_dir / exercise.path, tree / exercise.path)
        submission = take(tree, self.folder / "taken" / name, self.course, name)
        graded = station.grade(submission, self.folder / "out", [exercise])
        return float(graded.document["points"])

    def reached(self) -> list[str]:
        """Whether somebody has come to the socket that nobody may reach."""
        try:
            self.listener.accept()
        except BlockingIOError:
            return []
        return ["a socket of this machine was reached"]

    def _found(self, folder: Path) -> list[str]:
        """What must not be in a report."""
        found = []
        for file in folder.rglob("*"):
            if not file.is_file():
                continue
            if file.stat().st_size > LARGEST_REPORT:
                found.append(f"{file.name} has {file.stat().st_size} bytes")
            text = file.read_bytes()[: 1 << 24].decode("utf-8", "replace")
            if self.secret in text:
                found.append(f"{file.name} tells a secret")
            if file.suffix == ".json":
                text = "".join(_strings(json.loads(text)))
                if mark := INJECTED.search(text):
                    found.append(f"{file.name} has a raw {mark[0]!r}")
                for line in text.splitlines():
                    if "# solution" in line or "merged, i = [], 0" in line:
                        found.append(f"{file.name} quotes the reference: {line[:60]}")
        return found


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value + "\n"
    for inner in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _strings(inner)


# ------------------------------------------------------------------------------- looking around


def settings_of_this_process() -> dict[str, str]:
    """What an attack could change for whoever grades."""
    limits = {
        name: resource.getrlimit(getattr(resource, name))
        for name in dir(resource)
        if name.startswith("RLIMIT_")
    }
    os.umask(mask := os.umask(0))
    files = {}
    for name in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/self/mounts"):
        files[name] = Path(name).read_text()
    return {k: str(v) for k, v in files.items()} | {
        "limits": str(limits),
        "umask": str(mask),
        "signals": str([str(signal.getsignal(n)) for n in signal.valid_signals()]),
        "mask": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "folder": os.getcwd(),
        "environment": str(sorted(os.environ)),
        "priority": str(os.getpriority(os.PRIO_PROCESS, 0)),
        "cores": str(os.sched_getaffinity(0)),
        "open files": str(len(os.listdir("/proc/self/fd"))),
    }


def left_behind(folder: Path) -> list[str]:
    """Files, kernel objects and processes that an attack has made and that are still there."""
    found = []
    places = [Path(p).expanduser() for p in LEFT_IN]
    places += [
        PROJECT,
        PROJECT / ".kata",
        PROJECT / "kata",
        PROJECT / "tests",
        PROJECT / "solutions",
    ]
    places += [PROJECT / ".git" / "hooks", *(Path(p) for p in sys.path if "site-packages" in p)]
    for place in places:
        found += [str(p) for p in place.glob("kata_left*")] if place.is_dir() else []
    for place in ("course", "in", "out", "taken", "."):
        wanted = {"kata_left_zip.py"} if place == "in" else set()
        found += [str(p) for p in (folder / place).glob("kata_left*") if p.name not in wanted]
    found += [str(p) for p in (folder / "course").rglob("kata_left*")]
    found += [f"temporary file {p.name}" for p in (folder / "tmp").iterdir()]
    for kind in ("shm", "sem", "msg"):
        rows = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
        found += [f"System V {kind}" for row in rows if row.split()[0] == str(0x6B617461)]
    children = [f.read_text().split() for f in Path("/proc/self/task").glob("*/children")]
    for pid in {int(pid) for pids in children for pid in pids}:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        name = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:100]
        found.append(f"process {pid} ({state}): {name}")
        os.kill(pid, signal.SIGKILL)
    return found


def main(folder: Path, wanted: Callable[[Case], bool] = lambda case: True) -> None:
    """Grade the corpus, look around, and write `outcomes.json` and `table.md`."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans become children of this process
    secret = secrets.token_hex(16)
    os.environ["KATA_CANARY_SECRET"] = secret
    os.environ["TMPDIR"] = str(folder / "tmp")
    (folder / "tmp").mkdir()
    grading = Grading(folder, secret)
    before = settings_of_this_process()
    chosen = [case for case in cases() if wanted(case)]
    endless = [case for case in chosen if case.is_endless]
    others = [case for case in chosen if case not in endless]
    share = len(others) * 5 // 9

    def first() -> None:
        grading.run(others[:share], Settings(seconds=SECONDS))

    def second() -> None:
        grading.run(others[share:], Settings(seconds=SECONDS))
        grading.run(endless, Settings(seconds=SHORT_SECONDS))

    threads = [threading.Thread(target=f) for f in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = settings_of_this_process()
    changed = [f"{k}: {before[k]} -> {after[k]}" for k in before if before[k] != after[k]]
    document = {
        "left": grading.broken + grading.reached() + left_behind(folder),
        "changed": changed,
        "outcomes": {k: asdict(v) for k, v in sorted(grading.outcomes.items())},
    }
    (folder / "outcomes.json").write_text(json.dumps(document, indent=1), "utf-8")
    (folder / "table.md").write_text(table(grading.outcomes) + "\n", "utf-8")


if __name__ == "__main__":
    names = sys.argv[2:]
    main(Path(sys.argv[1]).resolve(), lambda case: not names or case.name in names)
