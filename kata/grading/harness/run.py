"""Grades one hand-in where Gradescope or PrairieLearn put it, and leaves their results.json.

It is started by its path and begins with the standard library alone, so that it can still say so
when the course does not work. Whatever happens there is a result: one before the grader starts,
and one when it has ended, was stopped, or has died.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

COURSE = Path(__file__).resolve().parents[3]
KATA = [sys.executable, "-P", "-m", "kata"]
GRADER = "grader"  # the user that setup.sh makes
POINTS = "points.toml"
KEPT_VARIABLES = ("PATH", "LANG", "TZ", "KATA_DATA", "TIKTOKEN_CACHE_DIR")
GRACE_SECONDS = 20.0  # to write the reports on what there is
BROKEN = "The grader broke off before there was a result. Tell your instructor."
STOPPED = "The time of the grader was up, after {seconds:g} s."
PARTLY = "What follows is what was graded until then; the rest counts as failed."

Document = dict[str, Any]


@dataclass(frozen=True)
class Harness:
    """Where a harness puts things, below its root, and what it wants.

    Attributes:
        root: its folder.
        hand_in: the student's files.
        assignment: where points.toml lies, or nothing: in the course.
        report: the report of `kata grade` for it.
        without: its result when there is no report, from a sentence.
    """

    root: str
    hand_in: str
    assignment: str
    report: str
    without: Callable[[str], Document]


HARNESSES = {
    "gradescope": Harness(
        root="/autograder",
        hand_in="submission",
        assignment="",
        report="gradescope.json",
        without=lambda said: {"score": 0, "output": said},
    ),
    "prairielearn": Harness(
        root="/grade",
        hand_in="student",
        assignment="tests",
        report="prairielearn.json",
        without=lambda said: {"gradable": False, "format_errors": [said]},  # costs no attempt
    ),
}


@dataclass(frozen=True)
class Metadata:
    """What a harness says about a hand-in, where it does.

    Attributes:
        names: of its students.
        submitted: when it was handed in.
        due: until when it could be, with what was agreed with a student.
    """

    names: tuple[str, ...] = ()
    submitted: datetime | None = None
    due: datetime | None = None

    @classmethod
    def read(cls, file: Path) -> Metadata:
        """Read Gradescope's submission_metadata.json; what it lacks is left out."""
        data = read(file) or {}
        assignment = data.get("assignment") or {}
        users = data.get("users") or []
        own = [moment((user.get("assignment") or {}).get("due_date")) for user in users]
        due = max(filter(None, own), default=moment(assignment.get("due_date")))
        names = tuple(str(user["name"]) for user in users if user.get("name"))
        return cls(names, moment(data.get("created_at")), due)


def moment(text: object) -> datetime | None:
    """A date and time in ISO format with its offset."""
    with contextlib.suppress(TypeError, ValueError):
        found = datetime.fromisoformat(text)  # type: ignore[arg-type]
        return found if found.tzinfo else None
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Grade what the harness has put in place; what it does not know goes to `kata grade`."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("harness", choices=HARNESSES)
    parser.add_argument("--root", type=Path, help="its folder, /autograder or /grade as a rule")
    parser.add_argument("--limit", type=float, default=540, help="the seconds that it may take")
    given, further = parser.parse_known_args(arguments)
    harness = HARNESSES[given.harness]
    root = given.root or Path(harness.root)
    results = root / "results" / "results.json"
    write(results, harness.without(BROKEN))
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends the grader as well
    try:
        with tempfile.TemporaryDirectory(prefix="kata-", ignore_cleanup_errors=True) as folder:
            work = Path(folder)
            write(results, grade(harness, root.absolute(), work, given.limit, further))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)


def grade(
    harness: Harness, root: Path, work: Path, seconds: float, further: Sequence[str]
) -> Document:
    """Grade one hand-in, with an empty folder to work in, and return what to tell the harness."""
    about = Metadata.read(root / "submission_metadata.json")
    students = work / "hand-ins"  # a class of one: so a hand-in may be empty or look like none
    name = re.sub(r"\W+", "_", "_".join(about.names))[:50] or "hand-in"
    copy(root / harness.hand_in, students / name)
    assignment = COURSE
    if harness.assignment:  # copied, as the grader's user may have no access to it
        assignment = work / "assignment"
        copy(root / harness.assignment, assignment)
    points = assignment / POINTS
    reports = work / "reports"
    command = [*KATA, "grade", str(students), "--to", str(reports), *further]
    command += ["--points", str(points)] if points.is_file() else []
    why = [] if run(command, work, seconds) else [STOPPED.format(seconds=seconds)]
    graded, document = read(reports / name / "grade.json"), read(reports / name / harness.report)
    if graded is None or document is None:
        return harness.without(" ".join(why) or BROKEN)
    if about.submitted:
        document = with_dates(harness, graded, points, about)
    if why or not graded["complete"]:
        said = " ".join([*why, PARTLY])
        document["output"] = f"{said}\n\n{document['output']}"
    return document


def with_dates(harness: Harness, graded: Document, file: Path, about: Metadata) -> Document:
    """The report with what lateness costs: `kata grade` knows nothing of the harness's dates."""
    from kata.course import Course
    from kata.grading.marks import marks
    from kata.grading.model import Graded
    from kata.grading.points import Points
    from kata.grading.reports import OF_A_STUDENT

    course = Course(COURSE)
    result = replace(Graded.load(graded), submitted=str(about.submitted))
    points = Points.read(file, course) if file.is_file() else Points.default(course)
    asked = result.document["exercises"]
    selected = [e for e in points.selected if e.slug in asked]
    points = replace(points, selected=selected, due=points.due or about.due)
    text = OF_A_STUDENT[harness.report](result, marks(result, points), points)
    document: Document = json.loads(text)
    return document


# ------------------------------------------------------------------------------------- the grader


def run(command: Sequence[str], work: Path, seconds: float) -> bool:
    """Run the grader in the course, with few variables and no more rights than it needs.

    Returns:
        Whether it ended in time.
    """
    work.chmod(0o711)  # a worker may run as a user of its own, in a folder of its own in here
    user, group = without_rights() or (None, None)
    if user is not None and group is not None:
        os.chown(work, user, group)
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    variables = {"HOME": str(work), "TMPDIR": str(work), "HF_HUB_OFFLINE": "1"}
    variables |= {"PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(
        command,
        cwd=COURSE,
        env=kept | variables,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        user=user,
        group=group,
        extra_groups=None if user is None else [],
    )
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        process.terminate()  # it writes its reports
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def without_rights() -> tuple[int, int] | None:
    """The grader's user and group, or None: then this process's own user grades.

    Where Landlock keeps learner code from files, nothing needs root. Where it does not, only a
    grader that is root can make that code another user, who cannot read the course.
    """
    if os.geteuid() != 0:
        return None
    import ctypes
    import pwd

    create_ruleset, version = 444, 1
    if ctypes.CDLL(None).syscall(create_ruleset, None, 0, version) < 1:
        return None
    account = pwd.getpwnam(GRADER)
    return account.pw_uid, account.pw_gid


# -------------------------------------------------------------------------------------- the files


def copy(source: Path, to: Path) -> None:
    """Copy a folder as far as it can be read, links as links, for everybody to read."""
    to.mkdir(parents=True)
    if source.is_dir():
        with contextlib.suppress(shutil.Error):  # a pipe, a link that cannot be made
            shutil.copytree(source, to, symlinks=True, dirs_exist_ok=True)
    for folder, _, files in os.walk(to):
        os.chmod(folder, 0o755)
        for path in (Path(folder, name) for name in files):
            if not path.is_symlink():
                path.chmod(0o644)


def read(file: Path) -> Document | None:
    """A JSON object, or None where there is none."""
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write(file: Path, document: Document) -> None:
    """Replace the file at once, so that there is a whole one at every moment."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}")
    beside.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    os.replace(beside, file)


if __name__ == "__main__":
    main()
