"""What a file of the course imports: from the course, and from libraries."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from kata.course import Course, Exercise
from kata.load import Source

NOT_LIBRARIES = ("__future__", "kata", "solutions", "exercises", "tests")


def needed(source: Source, reference: Source) -> dict[str, Path]:
    """The exercise's file and those that it imports, directly or not, by `chapter/name`.

    The solution of the exercise itself is never one of them, nor are those of later exercises,
    which may contain it: but for what the reference imports, a learner gets their own file there.

    Args:
        source: the answer.
        reference: the solution of the same exercise.
    """
    exercise = source.exercise
    of_reference = _closure(reference, lambda chapter, name: reference.file(chapter, name))

    def file(chapter: str, name: str) -> Path | None:
        is_later = (chapter, name) > (exercise.chapter, exercise.name) and name.startswith("ex")
        if is_later and f"{chapter}/{name}" not in of_reference:
            own = source.tree / chapter / f"{name}.py"
            return own if own.is_file() else None
        return source.file(chapter, name)

    return _closure(source, file)


def _closure(source: Source, file: Callable[[str, str], Path | None]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = [(source.exercise.chapter, source.exercise.name)]
    while waiting:
        chapter, name = waiting.pop()
        path = file(chapter, name)
        if path is None or f"{chapter}/{name}" in found:
            continue
        found[f"{chapter}/{name}"] = path
        waiting += _imports(path, chapter)
    return found


def _imports(path: Path, chapter: str) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the worker will say so
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level not in (1, 2):
            continue
        parts = [*([chapter] if node.level == 1 else []), *(node.module or "").split(".")]
        parts = [p for p in parts if p]
        if len(parts) == 2:
            yield parts[0], parts[1]
        elif len(parts) == 1:
            yield from ((parts[0], alias.name) for alias in node.names)


def needed_solutions(wrong: Path, course: Course) -> list[Exercise]:
    """The exercises whose solutions a file of wrong versions imports."""
    names = {
        tuple(node.module.split(".")[1:])
        for node in ast.walk(ast.parse(wrong.read_bytes()))
        if isinstance(node, ast.ImportFrom) and node.module
        if node.module.startswith("solutions.")
    }
    return [e for e in course.exercises if (e.chapter, e.name) in names]


@cache
def libraries(path: Path) -> tuple[str, ...]:
    """What a trusted file imports from libraries, at its top or inside of a function.

    `transformers:GPT2Config` is a name of a module, which may be loaded at the first use only.
    """
    text = path.read_bytes()
    # What torch imports, for two seconds, in the first step of a process's first optimizer.
    found: dict[str, None] = {"torch._dynamo": None} if b"optim" in text else {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name: None for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}:{alias.name}": None for alias in node.names}
    return tuple(name for name in found if name.split(".")[0].split(":")[0] not in NOT_LIBRARIES)
