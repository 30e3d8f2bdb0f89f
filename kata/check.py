"""Checks that fail in words: what came back, what was expected, where they first differ.

A graded test compares plain data with a bare `assert actual == expected` (the plugin explains it
with `explain`), tensors with `close`, and errors with `raises`. torch is imported only by `close`,
and `torch.testing` never: its first comparison imports hundreds of modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from numbers import Number
from typing import TYPE_CHECKING, Any

from kata.text import a, ascii_safe, brief, cut, described, first_difference, is_tensor, plural

if TYPE_CHECKING:
    from torch import Tensor

RETURNED_NONE = "got None: is a `return` missing?"
OF_ITS_INPUT = "a tensor that is made or converted on the way takes the {0} of the input: {0}=x.{0}"
# What to say about a type that came back, by its name.
NO_TENSOR = {
    "NoneType": RETURNED_NONE,
    "tuple": "a comma too many, or a second value after `return`?",
    "list": "torch.tensor or torch.stack makes a tensor of it",
    "int": "keep it a tensor: no .item(), int() or len() at the end",
    "float": "keep it a tensor: no .item() or float() at the end",
    "bool": "keep it a tensor: no .item() or bool() at the end",
    "ndarray": "stay in torch, without numpy",
    "generator": "a generator does nothing until it is asked; list(...) collects what it yields",
    "function": "are the brackets of a call missing?",
    "method": "are the brackets of a call missing?",
}
NAME = "__kata_name__"  # on an expected tensor: what it is, for the words about a difference
DTYPE_TOLERANCE = {"bfloat16": (1.6e-2, 1e-2), "float16": (1e-3, 1e-3)}


def _kind(value: object) -> str:
    return "None" if value is None else a(type(value).__name__)


# ---------------------------------------------------------------------------------- plain data


def explain(actual: object, expected: object) -> list[str]:
    """Say in a few lines how `actual` differs from `expected`."""
    if actual is None and expected is not None:
        return [RETURNED_NONE, f"expected {brief(expected)}"]
    if is_tensor(actual) or is_tensor(expected):
        lines = [f"got {brief(actual)}", f"expected {brief(expected)}"]
        if is_tensor(actual) and isinstance(expected, (int, float, list, tuple)):
            plain = ".tolist() gives a list" if isinstance(expected, (list, tuple)) else ITEM
            lines.append(f"got a tensor, expected {_kind(expected)}: {plain}")
        return lines
    lines = [f"got      {brief(actual)}", f"expected {brief(expected)}"]
    if not _alike(actual, expected):
        note = _of_another_kind(actual, expected)
        return [*lines, f"got {_kind(actual)}, expected {_kind(expected)}{note}"]
    difference = _difference(actual, expected)
    return [*lines, cut(difference)] if difference else lines


ITEM = ".item() gives the number in it"


def _of_another_kind(actual: object, expected: object) -> str:
    kind = type(actual).__name__
    if kind in ("generator", "function", "method"):
        return f": {NO_TENSOR[kind]}"
    if kind == "tuple" and len(actual) == 1 and type(actual[0]) is type(expected):  # type: ignore[arg-type, index]
        return ": a comma too many?"
    return ""


def not_a_tensor(kind: type) -> str:
    """What to say about something of this type in the place of a tensor; maybe nothing."""
    if kind.__module__ == "torch.return_types":  # of x.max(dim), say
        return f"got {a(kind.__name__)} of several tensors: .values or .indices is one of them"
    note = NO_TENSOR.get(kind.__name__, "")
    return note if note in ("", RETURNED_NONE) else f"got {a(kind.__name__)}: {note}"


def _alike(actual: object, expected: object) -> bool:
    """Whether the two could be equal: a Counter and a dict can, a list and a tuple cannot."""
    if type(actual) is type(expected):
        return True
    if isinstance(actual, bool) or isinstance(expected, bool):
        return False
    kinds = (Number, Mapping, Set, str, bytes, list, tuple)
    return any(isinstance(actual, kind) and isinstance(expected, kind) for kind in kinds)


def _difference(actual: object, expected: object, where: str = "") -> str:
    if isinstance(actual, str) and isinstance(expected, str):
        return _string_difference(actual, expected, where)
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        return _mapping_difference(actual, expected, where)
    if isinstance(actual, Set) and isinstance(expected, Set):
        return _set_difference(actual, expected, where)
    if isinstance(actual, (list, tuple, bytes)) and isinstance(expected, (list, tuple, bytes)):
        return _sequence_difference(actual, expected, where)
    return ""


def _sequence_difference(actual: Sequence[Any], expected: Sequence[Any], where: str) -> str:
    for i, (x, y) in enumerate(zip(actual, expected, strict=False)):
        if x is not y and x != y:  # as Python compares lists: NaN is equal to itself
            at = f"{where}[{i}]"
            # Go down to the one value that differs.
            inner = _difference(x, y, at) if _alike(x, y) else ""
            return inner or f"first difference at {at}: got {brief(x)}, expected {brief(y)}"
    got, want = len(actual), len(expected)
    if got == want:
        return ""
    return f"lengths differ{_at(where)}: got {got}, expected {want}; " + (
        f"{plural(got - want, 'element')} too many, from {brief(actual[want])}"
        if got > want
        else f"the first one missing is {brief(expected[got])}"
    )


def _string_difference(actual: str, expected: str, where: str) -> str:
    i = first_difference(actual, expected)
    before = expected[max(0, i - 12) : i]
    got, want = (repr(s[i]) if i < len(s) else "the end" for s in (actual, expected))
    return ascii_safe(
        f"first difference{_at(where)} at character {i}"
        + (f", after {before!r}" if before else "")
        + f": got {got}, expected {want}"
    )


def _mapping_difference(actual: Mapping[Any, Any], expected: Mapping[Any, Any], where: str) -> str:
    missing = [k for k in expected if k not in actual]
    extra = [k for k in actual if k not in expected]
    if missing:
        return f"missing key{_at(where)}: {brief(missing[0])}" + _and_more(missing)
    if extra:
        return f"unexpected key{_at(where)}: {brief(extra[0])}" + _and_more(extra)
    for key, y in expected.items():
        x = actual[key]
        if x is not y and x != y:
            at = f"{where}[{brief(key)}]"
            inner = _difference(x, y, at) if _alike(x, y) else ""
            return inner or f"first difference at {at}: got {brief(x)}, expected {brief(y)}"
    return ""


def _set_difference(actual: Set[Any], expected: Set[Any], where: str) -> str:
    missing, extra = sorted(expected - actual, key=brief), sorted(actual - expected, key=brief)
    parts = []
    if missing:
        parts.append(f"missing{_at(where)}: {brief(missing)}")
    if extra:
        parts.append(f"unexpected{_at(where)}: {brief(extra)}")
    return "; ".join(parts)


def _at(where: str) -> str:
    return f" at {where}" if where else ""


def _and_more(rest: Sequence[object]) -> str:
    return f" and {len(rest) - 1} more" if len(rest) > 1 else ""


# ------------------------------------------------------------------------------------- errors


@contextmanager
def raises(expected: type[Exception], match: str = "") -> Iterator[None]:
    """Require that the block raises `expected` with a message that contains the regex `match`.

    Another exception, none at all, or another message is a wrong answer, not a crash.
    """
    __tracebackhide__ = True
    wanted = expected.__name__ + (f" whose message contains {match!r}" if match else "")
    try:
        yield
    except expected as error:
        if match and not re.search(match, str(error)):
            raise AssertionError(f"raised {described(error)}\nexpected {wanted}") from None
    except Exception as error:
        raise AssertionError(f"raised {described(error)}\nexpected {wanted}") from error
    else:
        raise AssertionError(f"raised nothing\nexpected {wanted}")


# ------------------------------------------------------------------------------------- tensors


def close(
    actual: Any,
    expected: Tensor,
    axes: str = "",
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Require a plain tensor of the type, shape, dtype, device and values of `expected`.

    Args:
        actual: what the learner's code returned.
        expected: the oracle's tensor, computed beforehand.
        axes: the names of the axes from left to right, such as `"batch head query key"`.
        rtol: relative tolerance; 1e-4 unless told (1.6e-2 in bfloat16, 1e-3 in float16).
        atol: absolute tolerance; 1e-5 unless told (1e-2 in bfloat16, 1e-3 in float16).

    Raises:
        AssertionError: they differ; the message names the first position that does.
    """
    __tracebackhide__ = True
    problem = tensor_difference(actual, expected, axes, rtol, atol)
    if problem:
        name = getattr(expected, NAME, "")
        raise AssertionError(f"{name}: {problem}" if name else problem)


def tensor_difference(
    actual: Any, expected: Tensor, axes: str, rtol: float | None, atol: float | None
) -> str:
    """The first reason why `actual` is not the tensor `expected`, or an empty string."""
    import torch

    if actual is None:
        return f"{RETURNED_NONE}\nexpected a tensor {_shape(expected, axes)}"
    if type(actual) not in (torch.Tensor, torch.nn.Parameter):
        note = not_a_tensor(type(actual)) or f"got {_kind(actual)}"
        return f"{note}\nexpected a tensor {_shape(expected, axes)}"
    if actual.shape != expected.shape:
        known = axes if actual.dim() == expected.dim() else ""
        return f"got shape {_shape(actual, known)}\nexpected  {_shape(expected, axes)}"
    if actual.dtype != expected.dtype:
        return f"got dtype {actual.dtype}, expected {expected.dtype}\n{_of_dtype(actual, expected)}"
    if actual.device.type != expected.device.type:
        got, want = actual.device, expected.device
        return f"got a tensor on {got}, expected one on {want}\n{OF_ITS_INPUT.format('device')}"
    if expected.is_meta or expected.numel() == 0:  # neither has values to compare
        return ""
    return _value_difference(actual, expected, axes, rtol, atol)


def _of_dtype(actual: Tensor, expected: Tensor) -> str:
    if expected.dtype.is_floating_point and actual.dtype.is_floating_point:
        return OF_ITS_INPUT.format("dtype")
    if str(expected.dtype) == "torch.bool":
        return "expected True and False: a comparison gives them"
    if expected.dtype.is_floating_point:
        return "expected floating point: whole numbers stay whole until they are converted"
    return "expected whole numbers: indices, ids or counts"


def _value_difference(
    actual: Tensor, expected: Tensor, axes: str, rtol: float | None, atol: float | None
) -> str:
    import torch

    default = DTYPE_TOLERANCE.get(str(expected.dtype).removeprefix("torch."), (1e-4, 1e-5))
    rtol = default[0] if rtol is None else rtol
    atol = default[1] if atol is None else atol
    got, want = actual.detach().cpu(), expected.detach().cpu()  # Apple GPUs have no float64
    if got.is_floating_point():
        got, want = got.double(), want.double()
        bad = ~torch.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    else:
        bad = got != want
    if not bad.any():
        return ""
    index = tuple(bad.nonzero()[0].tolist())
    x, y = got[index].item(), want[index].item()
    lines = [f"got {_number(x)}, expected {_number(y)}"]
    if index:
        total = int(bad.sum())
        count = f"{total} of {plural(bad.numel(), 'value')} of {_shape(actual, axes)}"
        lines[0] = f"first difference at {_position(index, axes)}: {lines[0]}"
        lines.append(f"{count} {'differs' if total == 1 else 'differ'}")
    if x != x:
        lines.append("NaN: 0 divided by 0, inf - inf, or a softmax over nothing but -inf?")
    elif got.is_floating_point():
        gap = (got - want).abs()[bad]
        finite = gap[gap.isfinite()]
        if finite.numel():
            largest = f"{finite.max().item():.3g}"
            lines.append(f"largest difference {largest} (allowed: {atol:g} + {rtol:g} x expected)")
    return "\n".join(lines)


def _names(axes: str, count: int) -> list[str]:
    """The names of the last axes; what is left of them has numbers."""
    names = axes.split()[-count:]
    return [*(f"axis {i}" for i in range(count - len(names))), *names]


def _shape(tensor: Tensor, axes: str) -> str:
    sizes = tuple(tensor.shape)
    if not sizes:
        return "() of one value"
    if not axes:
        return str(sizes)
    return f"({_position(sizes, axes)})"


def _position(index: tuple[int, ...], axes: str) -> str:
    return ", ".join(f"{n}={i}" for n, i in zip(_names(axes, len(index)), index, strict=True))


def _number(value: float | int | bool) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
