"""How values, shapes and calls are written in messages: short, and never misleading."""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 200  # characters of one value in a message: pytest cuts an explanation after 640
LONGEST_TEXT = 120  # characters of one string in it
MOST_ELEMENTS = 16
DEEPEST = 4
SORTED_SETS = 1000  # a larger set is shown in the order that it has
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    deque: ("deque([", "])"),
}
_PACKAGE = re.compile(r"\b_kata_(?:\d+|wrong)\.")
_TMP_PATH = re.compile(
    r"(?:[A-Za-z]:)?[/\\][^'\"\s]*?pytest-of-[^/\\]+[/\\]+pytest-\d+[/\\]+(?:popen-gw\d+[/\\]+)?\w+"
)


def _brief(x: Any, level: int) -> str:
    kind = type(x)
    if is_tensor(x):
        return _tensor(x)
    if isinstance(x, str):
        return cut(ascii_safe(repr(_ends(x))), LONGEST_TEXT)
    if isinstance(x, bytes):
        return cut(repr(_ends(x)), LONGEST_TEXT)
    if kind is int and x.bit_length() > 400:
        return f"<an int of {x.bit_length()} bits>"  # Python refuses to write thousands of digits
    if isinstance(x, dict):
        content = _dict(x, level)
        return content if kind is dict else f"{kind.__name__}({content})"
    if kind in _BRACKETS:
        return _iterable(x, level)
    if isinstance(x, tuple) and kind.__module__ == "torch.return_types":  # of x.topk(k), say
        return f"{kind.__name__}{_iterable(tuple(x), level)}"
    if isinstance(x, type) or callable(x):
        return _name(x)
    return _instance(x)


def _iterable(x: Any, level: int) -> str:
    if not x and isinstance(x, (set, frozenset)):
        return f"{type(x).__name__}()"
    left, right = _BRACKETS[type(x)]
    if level >= DEEPEST and x:
        return f"{left}...{right}"
    most = max(2, MOST_ELEMENTS >> level)  # fewer of what lies deeper
    elements = x
    if isinstance(x, (set, frozenset)) and len(x) <= SORTED_SETS:
        try:
            elements = sorted(x)
        except TypeError:
            elements = sorted(x, key=repr)
    parts = [_brief(element, level + 1) for element in itertools.islice(elements, most)]
    content = ", ".join(parts + ["..."] * (len(x) > most))
    return f"{left}{content}{',' if type(x) is tuple and len(x) == 1 else ''}{right}"


def _dict(x: Mapping[Any, Any], level: int) -> str:
    if level >= DEEPEST and x:
        return "{...}"
    most = MOST_ELEMENTS // 2
    parts = [
        f"{_brief(key, level + 1)}: {_brief(x[key], level + 1)}"
        for key in itertools.islice(x, most)
    ]
    return "{" + ", ".join(parts + ["..."] * (len(x) > most)) + "}"


def _instance(x: object) -> str:
    try:
        text = repr(x)
    except Exception:  # the learner's own __repr__
        return f"<{type(x).__name__}>"
    if " object at 0x" in text:
        return f"<{type(x).__name__}>"
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(_ends(text).split()))  # in one line
    return cut(ascii_safe(text), LONGEST_TEXT)


def _name(x: object) -> str:
    try:
        name = getattr(x, "__name__", None)
    except Exception:  # the learner's own __getattr__
        name = None
    return name if isinstance(name, str) else f"<{type(x).__name__}>"


def _ends(value: Any, most: int = LONGEST_TEXT) -> Any:
    """Both ends of a long string, as much of it as can be shown: the rest may be megabytes."""
    return value if len(value) <= 2 * most else value[:most] + value[-most:]


def is_tensor(value: object) -> bool:
    """Whether `value` is a torch tensor, found out without importing torch."""
    return any(t.__module__ == "torch" and t.__name__ == "Tensor" for t in type(value).__mro__)


def _tensor(x: Any) -> str:
    dtype = str(x.dtype).removeprefix("torch.")
    where = "" if x.device.type == "cpu" else f", {x.device}"
    small = 0 < x.numel() <= 8 and x.dim() <= 1 and x.device.type == "cpu"
    values = f" = {_brief(_short(x.detach().tolist()), 0)}" if small else ""
    return f"Tensor[{', '.join(map(str, x.shape))}; {dtype}{where}]{values}"


def _short(value: Any) -> Any:
    """Numbers with the digits that float32 has."""
    if isinstance(value, list):
        return [_short(x) for x in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def ascii_safe(text: str) -> str:
    """Escape what a terminal cannot print or would obey: lone surrogates and control characters."""
    return "".join(
        c if c == "\n" or (c.isprintable() and not "\ud800" <= c <= "\udfff") else ascii(c)[1:-1]
        for c in text
    )


def brief(value: object) -> str:
    """`repr(value)` in a few words: long values are cut in the middle, tensors are shapes.

    The folder that pytest makes for a test is called as its fixture is, `tmp_path`.
    """
    return cut(_TMP_PATH.sub("tmp_path", without_package(_brief(value, 0))))


def cut(text: str, limit: int = LONGEST) -> str:
    """A text that is too long for a message, without its middle."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def described(error: BaseException, most: int = LONGEST) -> str:
    """An exception as Python reports it: `ValueError: p must be positive`."""
    try:
        message = str(error)
    except Exception:  # the learner's own exception class
        message = ""
    message = cut(without_package(ascii_safe(_ends(message, most))), most)
    name = type(error).__name__
    return f"{name}: {message}" if message else name


def without_package(text: str) -> str:
    """Module names as the learner knows them, without the package that the loader made up."""
    return _PACKAGE.sub("", text)


def call(name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """A call as a learner would type it."""
    parts = [brief(a) for a in args] + [f"{k}={brief(v)}" for k, v in kwargs.items()]
    return f"{name}({', '.join(parts)})"


def a(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def plural(count: int, noun: str) -> str:
    """`1 test`, `2 tests`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def first_difference(a: Sequence[object], b: Sequence[object]) -> int:
    """The place at which two sequences part; where one goes on with the other, the other's end."""
    shared = min(len(a), len(b))
    return next((i for i in range(shared) if a[i] != b[i]), shared)


_NUMBER = re.compile(r"-?\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b")


def alike(a: str, b: str, tolerance: float) -> bool:
    """Whether two messages say the same, but for addresses and for how a number was rounded.

    Args:
        a: one message.
        b: the other one.
        tolerance: relative, for a number that is no integer in both.
    """
    if a == b:
        return True
    a, b = (re.sub(r"0x[0-9a-fA-F]+", "0x", message) for message in (a, b))
    if _NUMBER.sub("#", a) != _NUMBER.sub("#", b):
        return False
    pairs = zip(_NUMBER.findall(a), _NUMBER.findall(b), strict=True)
    return all(x == y or _close(x, y, tolerance) for x, y in pairs)


def _close(x: str, y: str, tolerance: float) -> bool:
    if x.lstrip("-").isdecimal() and y.lstrip("-").isdecimal():
        return False
    return math.isclose(float(x), float(y), rel_tol=tolerance)


def indent(text: str, by: str) -> str:
    """Every line of `text` after `by`."""
    return "\n".join(by + line if line else line for line in text.splitlines())
