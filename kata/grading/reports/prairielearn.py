"""PrairieLearn's results.json: https://docs.prairielearn.com/externalGrading/#grading-results."""

from __future__ import annotations

import json
from typing import Any

from kata.grading.marks import Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import words

FILE = "prairielearn.json"  # PrairieLearn wants it at /grade/results/results.json
MOST_BYTES = 900_000  # it refuses a file of more than 1 MB


def document(graded: Graded, marks: Marks, points: Points, most: int) -> dict[str, Any]:
    """The document, with at most so many characters of output for each test.

    The points of the rows add up to the score, for the page shows both: lateness is a row too.
    """
    tests = [
        {
            "name": f"{mark.exercise.number} {test.name}",
            "description": str(mark.exercise),
            "points": test.earned,
            "max_points": test.possible,
            "message": str(test.verdict),
            "output": words.plain(test.text, most) if most else "",
        }
        for mark in marks.exercises
        for test in words.shown(graded, mark)
    ]
    if marks.penalty:
        late = {"name": "late", "points": -marks.penalty, "max_points": 0.0}
        tests.append(late | {"message": marks.late.reason})
    return {
        "gradable": True,
        "score": min(1.0, max(0.0, words.share(marks.total, marks.possible))),
        "message": "\n".join(words.overview(graded, marks)),
        "output": words.protected(graded),
        "tests": tests,
    }


def render(graded: Graded, marks: Marks, points: Points) -> str:
    """The document as text, small enough to be taken."""
    for most in (words.LONGEST, 300, 0):
        text = (
            json.dumps(document(graded, marks, points, most), indent=1, ensure_ascii=False) + "\n"
        )
        if len(text.encode()) <= MOST_BYTES:
            break
    return text
