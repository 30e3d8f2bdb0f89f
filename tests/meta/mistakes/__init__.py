"""Mistakes of the bank of wrong versions, made a second time by somebody who writes other code.

`chNN.py` holds functions and classes called `target__anything`, each marked with the wrong version
that makes the same mistake. They are put into a learner's file as they stand, so they see what is
imported at the top of the solution and what their own lines import.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from kata.course import Course, Exercise

HERE = Path(__file__).parent


def same_as(exercise, version):
    """Mark a mistake: the exercise (`5.4`), and the wrong version that makes it too."""

    def mark(value):
        return value

    return mark


@dataclass(frozen=True)
class Mistake:
    """A mistake as a learner has written it, and the wrong version that must be recognised."""

    exercise: Exercise
    name: str
    version: str
    code: str

    def file(self, course: Course) -> str:
        """The learner's file: the solution, in which the mistake comes last."""
        return f"{(course.solutions_dir / self.exercise.path).read_text('utf-8')}\n\n{self.code}\n"


def mistakes(course: Course) -> list[Mistake]:
    """Every mistake, read without executing anything."""
    found = []
    for file in sorted(HERE.glob("ch*.py")):
        text = file.read_text("utf-8")
        for node in ast.parse(text).body:
            for mark in getattr(node, "decorator_list", []):
                number, version = (ast.literal_eval(arg) for arg in mark.args)
                code = ast.get_source_segment(text, node)
                target = node.name.rsplit("__", 1)[0]
                code = code.replace(f" {node.name}(", f" {target}(", 1)
                code = code.replace(f" {node.name}:", f" {target}:", 1)
                found.append(Mistake(course.find(number), node.name, version, code))
    return found
