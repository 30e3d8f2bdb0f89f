"""Files made of graded hand-ins: pure functions from `Graded` and `Marks` to text, and their names.

`write_student` fills the folder of one hand-in, `write_class` the one above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kata.files import write_text
from kata.grading.marks import Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import (
    class_page,
    classroom,
    github,
    gradebook,
    gradescope,
    junit,
    prairielearn,
    student_page,
)

Writer = Callable[[Graded, Marks, Points], str]
OF_A_STUDENT: Mapping[str, Writer] = {
    student_page.FILE: student_page.render,
    junit.FILE: junit.render,
    gradescope.FILE: gradescope.render,
    prairielearn.FILE: prairielearn.render,
    classroom.FILE: classroom.render,
    github.SUMMARY: github.summary,
    github.ANNOTATIONS: github.annotate,
}


def write_student(folder: Path, graded: Graded, marks: Marks, points: Points) -> list[Path]:
    """Write every report on one hand-in, each in one step, and name the files."""
    for name, render in OF_A_STUDENT.items():
        write_text(folder / name, render(graded, marks, points))
    return [folder / name for name in OF_A_STUDENT]


def write_class(
    folder: Path, results: Sequence[tuple[Graded, Marks]], points: Points
) -> list[Path]:
    """Write the page of the class and the gradebook; each student's folder lies beside them."""
    write_text(folder / class_page.FILE, class_page.render(results, points))
    write_text(folder / gradebook.FILE, gradebook.render(results, points))
    return [folder / class_page.FILE, folder / gradebook.FILE]
