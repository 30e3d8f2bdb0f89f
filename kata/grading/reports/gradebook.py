"""The gradebook: a row for each student, as spreadsheets and learning platforms read it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from kata.grading.marks import Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import words

FILE = "grades.csv"
HEAD = ["student", "points", "possible", "percent", "late", "check", "submitted"]
FORMULA = tuple("=+-@＝＋－＠")  # a cell that begins so is computed by some spreadsheet


def render(results: Sequence[tuple[Graded, Marks]], points: Points) -> str:
    """The table; it begins with a byte order mark, without which Excel garbles every umlaut."""
    text = io.StringIO()
    writer = csv.writer(text)  # CRLF, as RFC 4180 has it
    writer.writerow([*HEAD, *(exercise.number for exercise in points.selected)])
    for graded, marks in results:
        writer.writerow([_cell(value) for value in _row(graded, marks)])
    return f"\ufeff{text.getvalue()}"


def _row(graded: Graded, marks: Marks) -> list[str | float]:
    check = [*graded.tampered, *([] if graded.complete else ["not graded to the end"])]
    return [
        graded.submission,
        marks.total,
        marks.possible,
        round(100 * words.share(marks.total, marks.possible), 2),
        marks.late.reason,
        "; ".join(check),
        graded.submitted,
        *(mark.earned for mark in marks.exercises),
    ]


def _cell(value: str | float) -> str | float:
    """A value that stays what it is: no formula, no second line, no control characters."""
    if not isinstance(value, str):
        return value
    text = words.line(value, 1000)
    return f"'{text}" if text.startswith(FORMULA) else text
