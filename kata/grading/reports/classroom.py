"""GitHub Classroom's result JSON, which a grader hands to `autograding-grading-reporter`.

The reporter takes it in base64 (`base64 -w0 classroom.json`) from the environment: `KATA_RESULTS`
for a runner that it calls `kata`. It tells Classroom the sum of `score`, and prints each test's
`name`, and its `message` when the `status` is not `pass`.
"""

from __future__ import annotations

import json
from typing import Any

from kata.grading.marks import Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import words
from kata.verdict import Verdict

FILE = "classroom.json"
VERSION = 1


def document(graded: Graded, marks: Marks, points: Points) -> dict[str, Any]:
    """The document; there is always a test in it, for the reporter divides by their number."""
    tests: list[dict[str, Any]] = [
        {
            "name": f"{mark.exercise.number} {test.name}",
            "status": _status(test.verdict),
            "message": None if _status(test.verdict) == "pass" else test.text,
            "filename": f"tests/{mark.exercise.chapter}/test_{mark.exercise.name}.py",
            "line_no": 0,
            "score": test.earned,
        }
        for mark in marks.exercises
        for test in words.shown(graded, mark)
    ]
    if marks.penalty or not tests:
        said = marks.late.reason or "nothing was graded"
        late = {"name": "late" if tests else "grading", "status": "fail", "message": said}
        tests.append(late | {"filename": "", "line_no": 0, "score": -marks.penalty})
    passed = all(test["status"] == "pass" for test in tests)
    return {
        "version": VERSION,
        "status": "pass" if passed else "fail",
        "max_score": marks.possible,
        "tests": tests,
    }


def _status(verdict: Verdict) -> str:
    if verdict in (Verdict.PASS, Verdict.NOT_RUN):
        return "pass"
    return "error" if verdict in (Verdict.CRASH, Verdict.TIMEOUT, Verdict.MISSING) else "fail"


def render(graded: Graded, marks: Marks, points: Points) -> str:
    """The document as text, in one line."""
    return json.dumps(document(graded, marks, points)) + "\n"
