"""Gradescope's results.json: https://gradescope-autograders.readthedocs.io/en/latest/specs/.

A row for each exercise holds its points, rows without points its tests: so a hidden row, which only
the staff sees, hides no points from the student's total.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kata.grading.marks import Mark, Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import words
from kata.verdict import Verdict

FILE = "gradescope.json"  # Gradescope wants it at /autograder/results/results.json


def document(graded: Graded, marks: Marks, points: Points) -> dict[str, Any]:
    """The document: its `score` is what counts, after anything that lateness costs."""
    overview = [*words.overview(graded, marks), words.protected(graded)]
    return {
        "score": marks.total,
        "execution_time": round(sum(graded.seconds.values()), 3),
        "output": "\n".join(overview),
        "output_format": "text",
        "visibility": points.visibility,
        "stdout_visibility": "hidden",
        "tests": [row for mark in marks.exercises for row in _rows(graded, mark)],
    }


def _rows(graded: Graded, mark: Mark) -> Iterator[dict[str, Any]]:
    number = mark.exercise.number
    yield _row(number, mark.exercise.title, mark.verdict, _sentence(mark)) | {
        "score": mark.earned,
        "max_score": mark.possible,
    }
    tests = list(words.shown(graded, mark))
    for i, test in enumerate(tests, 1):
        yield _row(f"{number}.{i}", test.name, test.verdict, test.text)
    for i, part in enumerate(mark.parts(hidden=True), len(tests) + 1):
        shown = words.detail(graded, mark, part)
        row = _row(f"{number}.{i}", f"hidden: {shown.name}", part.verdict, shown.text)
        yield row | {"visibility": "hidden"}


def _row(number: str, name: str, verdict: Verdict, output: str) -> dict[str, Any]:
    fine = verdict in (Verdict.PASS, Verdict.NOT_RUN)
    return {
        "number": number,
        "name": name,
        "name_format": "text",
        "status": "passed" if fine else "failed",  # 0 of 0 points would be taken for a pass
        "output": output,
        "output_format": "text",
    }


def _sentence(mark: Mark) -> str:
    why = f": {words.WITHHELD}" if mark.withheld else ""
    return f"{words.verdict(mark)}, tests passed: {words.counted(mark)}{why}"


def render(graded: Graded, marks: Marks, points: Points) -> str:
    """The document as text."""
    return json.dumps(document(graded, marks, points), indent=1, ensure_ascii=False) + "\n"
