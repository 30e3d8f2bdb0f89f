"""Exceptions across the wire: by type name, text and place, never as objects."""

from __future__ import annotations

import builtins
import functools
from pathlib import Path
from typing import Any

from kata import scene
from kata.answer import is_stub
from kata.text import ascii_safe
from kata.verdict import ELSEWHERE

LONGEST = 100_000
LONGEST_NAME = 200
_MOST_NAMES = 20


def error_to_wire(error: BaseException, trees: list[Path]) -> dict[str, Any]:
    """The names of its classes, its text, and the innermost line of the learner's files."""
    try:
        return _described(error, trees)
    except Exception as inner:  # a class of the learner's that raises when it is looked at
        return {"types": [type(error).__qualname__], "text": f"({type(inner).__name__} in it)"}


def _described(error: BaseException, trees: list[Path]) -> dict[str, Any]:
    try:
        text = str(error)[:LONGEST]
    except Exception as inner:  # the learner's own __str__
        text = f"(its __str__ raised {type(inner).__name__})"
    names = [f"{c.__module__}.{c.__qualname__}" for c in type(error).__mro__][:_MOST_NAMES]
    args = error.args if all(type(x) in (str, int, float, bool) for x in error.args) else ()
    shown: dict[str, Any] = {"types": names, "text": text, "args": [_cut(x) for x in args]}
    shown["stub"] = is_stub(error)
    shown["where"] = _place(error, trees)
    if isinstance(error, SyntaxError):
        fields = (error.msg, error.filename, error.lineno, error.offset, error.text)
        shown["syntax"] = [_cut(x) if isinstance(x, str) else x for x in fields]
    return shown


def _cut(value: Any) -> Any:
    return value[:LONGEST] if isinstance(value, str) else value


def _place(error: BaseException, trees: list[Path]) -> list[Any]:
    """The file and number of the learner's innermost line and the names on it, if there is one."""
    found = None
    traceback = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if any(Path(file).is_relative_to(tree) for tree in trees):
            found = traceback
        traceback = traceback.tb_next
    if found is None:
        return []
    frame, line = found.tb_frame, found.tb_lineno
    return [frame.f_code.co_filename, line, scene.names(frame, line, found.tb_lasti)]


def error_from_wire(shown: Any) -> BaseException:
    """An exception of the same class where it is one of Python's own, else of a class named so.

    It carries the place of the learner's line as `__kata_where__`.
    """
    shown = shown if isinstance(shown, dict) else {}
    names = [n for n in _list(shown.get("types")) if isinstance(n, str)] or ["builtins.Exception"]
    text = str(shown.get("text", ""))[:LONGEST]
    base = next((c for n in names if (c := _builtin(n))), Exception)
    args = [x for x in _list(shown.get("args")) if isinstance(x, (str, int, float))]
    error = _syntax_error(base, shown) or _error(names[0], base, args, text)
    setattr(error, ELSEWHERE, _where(shown.get("where")))
    return error


def _error(name: str, base: type[BaseException], args: list[Any], text: str) -> BaseException:
    if name == f"builtins.{base.__name__}":
        try:
            error = base(*args)
            if str(error) == text:
                return error
        except Exception:  # a UnicodeDecodeError wants five arguments
            pass
    short = name.rpartition(".")[2][:100]
    make = _named(short if short.isidentifier() else base.__name__, base)  # type: ignore[arg-type]
    error = make()
    error.args = (text,)
    return error


@functools.lru_cache(maxsize=1000)
def _named(name: str, base: type[BaseException]) -> type[BaseException]:
    members = {
        "__init__": lambda self: None,
        "__new__": lambda cls: base.__new__(cls),
        "__str__": lambda self: self.args[0],
        "__module__": "builtins",
    }
    return type(name, (base,), members)


def _syntax_error(base: type[BaseException], shown: dict[str, Any]) -> BaseException | None:
    fields = _list(shown.get("syntax"))
    if not issubclass(base, SyntaxError) or len(fields) != 5:
        return None
    message, file, line, offset, text = fields
    strings = [x if isinstance(x, str) else "" for x in (message, file, text)]
    numbers = [x if type(x) is int and 0 <= x < 1 << 31 else 1 for x in (line, offset)]
    place = (strings[1], numbers[0], numbers[1], strings[2])
    return base(strings[0], place)


def _builtin(name: str) -> type[BaseException] | None:
    module, _, short = name.rpartition(".")
    found = getattr(builtins, short, None) if module == "builtins" else None
    if not isinstance(found, type) or not issubclass(found, BaseException):
        return None
    return None if issubclass(found, BaseExceptionGroup) else found  # one cannot be made from text


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _where(value: Any) -> tuple[str, int, list[str]] | None:
    place = _list(value)
    if len(place) == 3 and isinstance(place[0], str) and type(place[1]) is int:
        names = [name for name in _list(place[2]) if isinstance(name, str)]
        shown = [ascii_safe(name[:LONGEST_NAME]).replace("\n", " ") for name in names]
        return place[0][:1000], place[1], shown[: scene.MOST_NAMES]
    return None
