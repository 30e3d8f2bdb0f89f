"""The verdicts of one session: collected test by test, summed up, written to a file.

Every exercise that is to be graded starts as missing. So whatever ends a run early, what was not
graded never counts as passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter

from kata import progress
from kata.course import Course, Exercise
from kata.files import write_json
from kata.text import plural
from kata.verdict import NOT_HERE, Finding, Likeness, Verdict, relative, render

Record = dict[str, Any]
GUARD = "KATA_SESSION_END"
ENDED_EARLY = "the learner's code ended the test process: everything without a verdict has failed"
# The first of these that one of its tests has is the verdict on an exercise.
WORST_FIRST = [
    Verdict.TIMEOUT,
    Verdict.CRASH,
    Verdict.WRONG,
    Verdict.MISSING,
    Verdict.TODO,
    Verdict.PASS,
    Verdict.NOT_RUN,
]


class LearnerText(TerminalRepr):
    """The text of a failure in the place of pytest's traceback; its first line is the headline."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.reprcrash = ReprFileLocation("", 0, text.partition("\n")[0])

    def __str__(self) -> str:
        return self.text

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write it, with the two lines that matter most in bold."""
        for line in self.text.splitlines():
            bold = line == self.reprcrash.message or line.startswith("  looks like:")
            tw.line(line, bold=bold)


class Ledger:
    """What is known about each exercise of a session.

    Args:
        course: the course.
        tree: the folder of answers that is graded.
        file: where the verdicts are written, if anywhere.
    """

    def __init__(self, course: Course, tree: Path, file: Path | None) -> None:
        self.course = course
        self.tree = tree
        self.file = file
        self.rows: dict[str, dict[str, Record | None]] = {}
        self.partial: set[str] = set()  # exercises of which only some tests were chosen
        self._reports: dict[str, pytest.TestReport] = {}

    # --------------------------------------------------------------------------- collecting

    def expect(self, node_ids: Iterable[str], exercises: Iterable[Exercise]) -> None:
        """Name the tests that were collected, and the exercises that need a verdict anyway."""
        for node_id in node_ids:
            exercise = self.course.of_test_file(node_id)
            if exercise is not None:
                self.rows.setdefault(exercise.slug, {}).setdefault(node_id, None)
        for exercise in exercises:
            self.rows.setdefault(exercise.slug, {"": None})
        self._write()

    def add(self, report: pytest.TestReport) -> None:
        """Note what a report says about a graded test."""
        exercise = self.course.of_test_file(report.nodeid)
        if exercise is None:
            return
        record = getattr(report, "kata", None)
        before = self.rows.get(exercise.slug, {}).get(report.nodeid)
        if record is None and report.failed and not before:  # pytest's own errors, a dead worker
            record = self._died(exercise, report)
        if record is None:
            return
        row = self.rows.setdefault(exercise.slug, {})
        row.pop("", None)
        row[report.nodeid] = record
        self._reports[report.nodeid] = report
        if isinstance(report.longrepr, str):  # it has crossed from an xdist worker as text
            report.longrepr = LearnerText(report.longrepr)
        if None not in row.values():
            self._write()  # the next exercise may end the process

    def _died(self, exercise: Exercise, report: pytest.TestReport) -> Record:
        file, _, name = report.nodeid.partition("::")
        return {
            "exercise": exercise.slug,
            "test": name.split("[")[0].removeprefix("test_"),
            "id": name,
            "verdict": str(Verdict.CRASH),
            "message": report.longreprtext,
            "where": "",
            "calls": [],
            "test_at": file,
            "candidates": {},
        }

    def finish(self) -> None:
        """Give every failure its final diagnosis, and write the file."""
        for row in self.rows.values():
            for node_id, record in row.items():
                report = self._reports.get(node_id)
                shown = isinstance(report.longrepr, LearnerText) if report else False
                if record and report and record["candidates"] and shown:
                    report.longrepr = LearnerText(self.text(record))
        self._write()

    # ---------------------------------------------------------------------------- summing up

    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each exercise."""
        return {slug: self._verdict(row) for slug, row in self.rows.items()}

    def known(self) -> dict[str, Verdict]:
        """The verdicts that hold: an exercise is not done when only some of its tests passed."""
        done = (Verdict.PASS, Verdict.NOT_RUN)
        return {
            slug: verdict
            for slug, verdict in self.verdicts().items()
            if verdict is not Verdict.MISSING and not (slug in self.partial and verdict in done)
        }

    def _verdict(self, row: Mapping[str, Record | None]) -> Verdict:
        found = {Verdict(r["verdict"]) if r else Verdict.MISSING for r in row.values()}
        return next(v for v in WORST_FIRST if v in found)

    def counts(self) -> dict[str, tuple[int, int]]:
        """How many tests of each exercise passed, and of how many that could be run."""
        return {slug: self._counts(row) for slug, row in self.rows.items()}

    def _counts(self, row: Mapping[str, Record | None]) -> tuple[int, int]:
        verdicts = [r["verdict"] if r else Verdict.MISSING for r in row.values()]
        return verdicts.count(Verdict.PASS), len(verdicts) - verdicts.count(Verdict.NOT_RUN)

    def missing(self) -> list[str]:
        """The exercises of which some test has no verdict."""
        return [slug for slug, row in self.rows.items() if None in row.values()]

    def looks_like(self, record: Record) -> list[str]:
        """The sentences of the mistakes that explain a failure, at most two, best first.

        A mistake that explains every failure of the exercise is preferred to one that explains
        only this one. None is named that would have failed a test which passed, nor one that has
        only the type of an exception in common with this answer.
        """
        row = [r for r in self.rows.get(record["exercise"], {}).values() if r] or [record]
        failed = [r for r in row if Verdict(r["verdict"]) in (Verdict.WRONG, Verdict.CRASH)]
        failed_names = {r["test"] for r in [*failed, record]}
        passed = {r["test"] for r in row if r["verdict"] == Verdict.PASS} - failed_names
        known = {
            name: set(fails)
            for r in [*failed, record]
            for name, (_, fails, likeness) in r["candidates"].items()
            if likeness == Likeness.SAME and passed.isdisjoint(fails)
        }

        def holds(name: str) -> bool:
            """Whether it explains all tests that it would fail, alone or together with another."""
            others = [fails for other, fails in known.items() if other != name]
            explained = {r["test"] for r in failed if name in r["candidates"]}
            return name in known and all(
                test in explained or any(test in fails for fails in others)
                for test in failed_names & known[name]
            )

        possible = [name for name in record["candidates"] if holds(name)]
        everywhere = [n for n in possible if all(n in r["candidates"] for r in failed)]
        exact = [n for n in everywhere if known[n] == failed_names]
        chosen = exact or everywhere or possible
        return list(dict.fromkeys(record["candidates"][name][0] for name in chosen))[:2]

    def text(self, record: Record) -> str:
        """A failure as the learner reads it."""
        exercise = self.course.find(record["exercise"])
        finding = Finding(
            Verdict(record["verdict"]), record["message"], record["where"], record["calls"]
        )
        called = [c[4:].partition("(")[0] for c in record["calls"] if c.startswith(">>> ")]
        answer_at = progress.place(self.course, exercise, self.tree, *called[-1:])
        return render(finding, exercise, answer_at, record["test_at"], self.looks_like(record))

    def document(self) -> dict[str, Any]:
        """The verdict file: see `schema` for its version, and the README for its fields."""
        exercises: dict[str, dict[str, Any]] = {}
        for slug, row in sorted(self.rows.items()):
            exercise = self.course.find(slug)
            tests = {r["id"]: self._test(r) for r in row.values() if r}
            passed, count = self._counts(row)
            sentences = [s for r in row.values() if r for s in self.looks_like(r)]
            exercises[slug] = {
                "number": exercise.number,
                "title": exercise.title,
                "verdict": str(self._verdict(row)),
                "passed": passed,
                "expected": count,
                "points": round(passed / count, 4) if count else 0.0,
                "max_points": 1.0 if count else 0.0,
                "diagnosis": list(dict.fromkeys(sentences)),
                "tests": tests,
            }
        counts = [str(v) for v in self.verdicts().values()]
        return {
            "schema": 1,
            "answers": relative(self.tree, self.course.root),
            "points": round(sum(e["points"] for e in exercises.values()), 4),
            "max_points": sum(float(e["max_points"]) for e in exercises.values()),
            "counts": {str(v): counts.count(v) for v in Verdict},
            "exercises": exercises,
        }

    def _test(self, record: Record) -> dict[str, Any]:
        keys = ("verdict", "message", "where", "calls")
        return {k: record[k] for k in keys} | {"looks_like": self.looks_like(record)}

    def _write(self) -> None:
        if self.file:
            write_json(self.file, self.document())

    def summary(self, strict: bool) -> list[str]:
        """A bar per chapter of this session, and what to do next."""
        if not self.rows:
            return []
        mine = self.tree == self.course.exercises_dir.resolve()
        verdicts = (progress.read(self.course) if mine else {}) | self.known()
        chapters = [
            chapter
            for chapter, exercises in self.course.chapters.items()
            if any(exercise.slug in self.rows for exercise in exercises)
        ]
        exercises = [e for c in chapters for e in self.course.chapters[c]]
        if not mine:
            exercises = [e for e in exercises if e.slug in self.rows]
        following = progress.next_exercise(exercises, verdicts, self.tree)
        missing = self.missing()
        lines = ["", *progress.bars(self.course, verdicts, chapters)]
        todo = list(self.verdicts().values()).count(Verdict.TODO)
        if strict and todo:
            lines.append(f"strict: {plural(todo, 'exercise')} still to do, which counts as failed")
        if strict and missing:
            lines.append(f"no verdict: {plural(len(missing), 'exercise')} ({', '.join(missing)})")
        if lacking := [e.number for e in exercises if self._lacks_a_solution(e)]:
            lines.append(f"only the instructor can judge all of {', '.join(lacking)}")
        return [*lines, *progress.next_lines(self.course, following, self.tree)]

    def _lacks_a_solution(self, exercise: Exercise) -> bool:
        row = self.rows.get(exercise.slug, {}).values()
        return any(r and r["message"].endswith(NOT_HERE) for r in row)


# ------------------------------------------------------------------------------------ the guard


def needs_guard(config: pytest.Config, course: Course) -> bool:
    """Whether this session runs learner code and nobody watches over its end yet."""
    if GUARD in os.environ or hasattr(config, "workerinput"):
        return False
    questions = ("collectonly", "version", "help", "markers", "showfixtures")
    if any(getattr(config.option, name, None) for name in questions):
        return False
    meta = course.tests_dir / "meta"
    return not all(path.is_relative_to(meta) for path in selected_paths(config))


def selected_paths(config: pytest.Config) -> list[Path]:
    """The files and folders of tests that the command line or the settings name."""
    here = config.invocation_params.dir
    return [Path(here, argument.split("::")[0]).resolve() for argument in config.args]


def guarded(args: Sequence[str]) -> int:
    """Run pytest with these arguments in a child process, and fail when it ends too early.

    `os._exit(0)` in a learner's file ends pytest at once and with success: the exit code alone
    says nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        end = Path(folder, "end")
        command = [sys.executable, "-m", "pytest", *map(str, args)]
        code = subprocess.run(command, env=os.environ | {GUARD: str(end)}, check=False).returncode
        if end.exists():
            return code or int(end.read_text())
    print(f"\n{ENDED_EARLY} (exit code {code})", file=sys.stderr)
    return code or int(pytest.ExitCode.TESTS_FAILED)


def report_end(exit_status: int) -> None:
    """Tell the guard, if there is one, how the session came to its end."""
    if GUARD in os.environ:
        Path(os.environ[GUARD]).write_text(str(int(exit_status)))
