"""What the names on a line of code held when it failed: `q: Tensor[2, 3, 4; float32]`."""

from __future__ import annotations

import ast
import contextlib
import itertools
import linecache
import types
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any

from kata import text

MOST_NAMES = 6
LONGEST = 90  # characters of one value
# What these are is said by the line itself.
SILENT = (types.ModuleType, type)


def names(frame: FrameType, line: int, instruction: int | None) -> list[str]:
    """The names in the expression that was being evaluated, each with its value in a few words.

    Args:
        frame: of the function.
        line: the number of its line.
        instruction: its index in the code; without it the whole line counts.

    Returns:
        At most `MOST_NAMES`, in the order of the line; an attribute (`self.weight`) is looked up
        without running any code of the learner's.
    """
    found: dict[str, str] = {}
    for name, value in _values(_expression(frame.f_code, line, instruction), frame):
        if not isinstance(value, SILENT) and not callable(value) and name not in found:
            found[name] = f"{name}: {text.cut(text.brief(value), LONGEST)}"
    return list(found.values())[:MOST_NAMES]


def _expression(code: CodeType, line: int, instruction: int | None) -> ast.AST | None:
    """The expression at an instruction, or else its whole line, as a tree."""
    whole = linecache.getline(code.co_filename, line).strip()
    # The first line of a loop or a condition is no statement of its own.
    exact = "" if instruction is None else _piece(code, instruction)
    for piece in (exact, whole, f"{whole} pass", f"if 1: pass\n{whole} pass"):
        with contextlib.suppress(SyntaxError, ValueError):
            if piece:
                return ast.parse(piece)
    return None


def _piece(code: CodeType, instruction: int) -> str:
    positions = next(itertools.islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    line, last, column, end = positions
    if line is None or last is None:
        return ""
    lines = [found.encode() for found in linecache.getlines(code.co_filename)[line - 1 : last]]
    if not lines:
        return ""
    lines[-1] = lines[-1][:end]  # columns are counted in bytes, and the last may be the first
    lines[0] = lines[0][column:]
    return f"({b''.join(lines).decode(errors='replace')})"


def _values(tree: ast.AST | None, frame: FrameType) -> Iterator[tuple[str, Any]]:
    nodes = sorted(
        (node for node in ast.walk(tree) if isinstance(node, ast.expr)) if tree else (),
        key=lambda node: (node.lineno, node.col_offset),
    )
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in frame.f_locals and node.id != "self":
            yield node.id, frame.f_locals[node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = frame.f_locals.get(node.value.id)
            for held in _held(owner):
                if node.attr in held:
                    yield f"{node.value.id}.{node.attr}", held[node.attr]


def _held(owner: object) -> Iterator[Mapping[str, Any]]:
    """What an object holds itself; the parameters of a module of torch as well."""
    try:
        own = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return
    if type(own) is dict and not isinstance(owner, SILENT):
        yield own
        yield from (own[key] for key in ("_parameters", "_buffers") if type(own.get(key)) is dict)
