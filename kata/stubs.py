"""Cuts `exercises/` out of `solutions/`: one source, so that the two can never drift apart.

A file that is no exercise (`tiny_lm.py`) is given: it is copied as it is.

In a function, everything from a line `# solution` to its end becomes a `raise NotImplementedError`.
At the left margin, `# solution` takes the rest of the file with it: helpers of the reference.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kata import backup
from kata.course import Course, CourseError, Exercise

CUT = "# solution"
TO_DO = 'raise NotImplementedError("{}")  # your code here'
TO_DO_LINE = re.compile(
    rf"^\s*{'.*'.join(re.escape(part) for part in TO_DO.split('{}'))}$", re.MULTILINE
)
NO_WORK = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


class StubError(CourseError):
    """A solution cannot be cut; the message says where."""


def make_stub(source: str, name: str = "solution") -> str:
    """The text of a solution without its bodies.

    Raises:
        StubError: a cut mark stands outside a function, or there is none.
    """
    lines = source.splitlines()
    marks = [i for i, line in enumerate(lines) if line.strip() == CUT]
    if not marks:
        raise StubError(f"{name}: no line `{CUT}`")
    functions = list(_functions(ast.parse(source)))
    out: list[str] = []
    position = 0
    for mark in marks:
        if mark < position:  # inside a part that is already cut
            continue
        out += lines[position:mark]
        if not lines[mark][0].isspace():
            position = len(lines)
            break
        inside = [(start, end, qual) for start, end, qual in functions if start <= mark < end]
        if not inside:
            raise StubError(f"{name}:{mark + 1}: `{CUT}` stands outside a function")
        _, position, qualified = max(inside)
        indent = lines[mark][: len(lines[mark]) - len(lines[mark].lstrip())]
        out.append(indent + TO_DO.format(qualified))
    out += lines[position:]
    return "\n".join(out).rstrip() + "\n"


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[int, int, str]]:
    """Start (0-based), end (exclusive) and qualified name of every function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if not isinstance(node, ast.ClassDef):
                yield node.lineno - 1, node.end_lineno or node.lineno, prefix + node.name
            yield from _functions(node, f"{prefix}{node.name}.")


def stub_from(source: str, name: str) -> str:
    """The stub of a solution; what lies in the place of one that was left out is a stub already."""
    return source if TO_DO_LINE.search(source) else make_stub(source, name)


def stub_of(course: Course, exercise: Exercise) -> str:
    """The untouched text of one exercise.

    Raises:
        CourseError: there is no solution to cut it from, or it cannot be cut.
    """
    path = course.solutions_dir / exercise.path
    try:
        return stub_from(path.read_text("utf-8"), str(exercise.path))
    except FileNotFoundError:
        raise CourseError(f"there is no solution of {exercise} to make its stub from") from None
    except SyntaxError as error:
        raise StubError(f"{exercise.path}:{error.lineno}: {error.msg}") from None


def is_to_do(path: Path) -> bool:
    """Whether a file is not there, or something in it is still to do."""
    try:
        return bool(TO_DO_LINE.search(path.read_text("utf-8-sig", errors="replace")))
    except FileNotFoundError:
        return True


def has_solution(course: Course, exercise: Exercise) -> bool:
    """Whether this copy of the course has it; the place of one that was left out has its stub."""
    return not is_to_do(course.solutions_dir / exercise.path)


def is_stub(path: Path, stub: str) -> bool:
    """Whether a file holds the stub, whatever its line ends."""
    try:
        return path.read_bytes().replace(b"\r\n", b"\n") == stub.encode()
    except OSError:
        return False


def generated(course: Course) -> Iterator[tuple[Path, str]]:
    """Every file of the exercises with its text: the stubs, and what is given as it is."""
    for exercise in course.exercises:
        yield exercise.path, stub_of(course, exercise)
    for path in course.given:
        yield path, (course.solutions_dir / path).read_text("utf-8")


def stale(course: Course) -> list[Path]:
    """The exercise files that are not what the generator would write; paths inside the tree."""
    texts = generated(course)
    return [path for path, text in texts if not is_stub(course.exercises_dir / path, text)]


def is_edited(text: str, stub: str) -> bool:
    """Whether a file holds work that is not in the stub: a statement or a comment of its own.

    So a stub of an older solution is told from an answer by what is in the file, without a record
    that could be missing or out of date. Imports, signatures and docstrings do not count: authors
    change them all the time, and `write_all` keeps a copy of whatever it replaces.
    """
    try:
        return not _work(text) <= _work(stub)
    except (SyntaxError, tokenize.TokenError, ValueError):
        return True  # no generated file is broken


def _work(text: str) -> set[str]:
    found = {
        token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.walk(ast.parse(text)):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and not is_text and not isinstance(node, NO_WORK):
            found.add(ast.unparse(node))
    return {part for part in found if not part.startswith("raise NotImplementedError(")}


@dataclass
class Written:
    """What `write_all` did; paths inside the tree."""

    changed: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    refused: list[Path] = field(default_factory=list)


def write_all(course: Course, *, force: bool = False) -> Written:
    """Write every stub that is not up to date, and keep a copy of each file that is replaced.

    Args:
        course: the course.
        force: also replace the files that somebody has worked on.

    Returns:
        The stubs that were written, the copies, and the files that were left as they are.
    """
    written = Written()
    for path, stub in generated(course):
        target = course.exercises_dir / path
        if is_stub(target, stub):
            continue
        if not force and target.exists() and is_edited(_text(target), stub):
            written.refused.append(path)
            continue
        kept = backup.replace(course, target, stub)
        written.changed.append(path)
        written.kept += [kept] if kept else []
    return written


def _text(path: Path) -> str:
    return path.read_text("utf-8-sig", errors="replace")
