"""What the fixtures `answer` and `reference` give: an exercise's names, and a record of the calls.

The record is what makes a failure readable: it shows the last calls as a learner would type them.
"""

from __future__ import annotations

import functools
import inspect
import linecache
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import pytest

from kata import text
from kata.load import PREFIX, LazyModule

REMEMBERED_CALLS = 3
# hypothesis takes a test's first argument for the `self` of a class, and looks for its hooks there.
HYPOTHESIS_ASKS = {
    "hypothesis_internal_is_this_a_mock_check",
    "execute_example",
    "setup_example",
    "teardown_example",
}


class Todo(pytest.skip.Exception):  # type: ignore[misc, name-defined]
    """The learner's code reached a stub: not a failure, and nothing that a test may catch."""


class MissingName(Exception):
    """The learner's file does not define what the exercise asks for."""


class Unusable(BaseException):
    """The learner's file cannot be executed or lacks a name; `error` says why.

    A BaseException, so that no test takes it for an error that the exercise asks for.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Transcript:
    """The last calls from a test into the learner's code, and what each returned or raised."""

    def __init__(self) -> None:
        self._calls: deque[list[str]] = deque(maxlen=REMEMBERED_CALLS)
        self._depth = 0
        self.returned: type | None = None  # the type of what the last call returned

    def lines(self) -> list[str]:
        """The calls as an interactive session."""
        return [line for entry in self._calls for line in entry]

    def recorded(
        self, function: Callable[..., Any], name: str, skip: int = 0, is_read: bool = False
    ) -> Callable[..., Any]:
        """`function`, with its outermost calls recorded under `name`.

        Args:
            function: what is called.
            name: how the call is written.
            skip: how many leading arguments (`self`) are not written.
            is_read: a property: it is read, not called.
        """

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if self._depth:  # a call from the learner's own code
                return function(*args, **kwargs)
            # Written down before the call, which may change its arguments.
            entry = [f">>> {name if is_read else text.call(name, args[skip:], kwargs)}"]
            self._calls.append(entry)
            self._depth += 1
            self.returned = None
            try:
                result = function(*args, **kwargs)
            except NotImplementedError as error:
                if is_stub(error):
                    raise Todo("todo") from None
                entry += text.described(error).splitlines()
                raise
            except Exception as error:
                entry += text.described(error).splitlines()
                raise
            finally:
                self._depth -= 1
            if getattr(function, "__name__", "") != "__init__":
                entry.append(text.brief(result))
                self.returned = type(result)
            return result

        return wrapper


def is_stub(error: BaseException) -> bool:
    """Whether the error comes from a `raise NotImplementedError` in a file of the course.

    torch raises it too: from C++ for an operation on the meta device, and from Python for a module
    without a `forward`. From a worker an error comes without frames, but with a mark.
    """
    if getattr(error, "__kata_stub__", False):
        return isinstance(error, NotImplementedError)
    frame = last_frame(error.__traceback__)
    if not isinstance(error, NotImplementedError) or frame is None:
        return False
    if not str(frame.tb_frame.f_globals.get("__name__")).startswith(PREFIX):
        return False
    line = linecache.getline(frame.tb_frame.f_code.co_filename, frame.tb_lineno)
    return "raise NotImplementedError" in line


def last_frame(traceback: TracebackType | None) -> TracebackType | None:
    """The innermost entry of a traceback."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback


class Answer:
    """The names that one exercise file defines, executed at the first use.

    Args:
        module: the module of the exercise.
        record: whether functions, and methods of classes, record their calls in `transcript`.
    """

    def __init__(self, module: LazyModule, record: bool = True) -> None:
        self._kata_lazy = module
        self._kata_record = record
        self._kata_transcript = Transcript()
        self._kata_ready: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        if name.startswith("_") or name in HYPOTHESIS_ASKS:  # not asked by a test
            raise AttributeError(name)
        if name not in self._kata_ready:
            self._kata_ready[name] = self._wrapped(name, self._attribute(name))
        return self._kata_ready[name]

    def __repr__(self) -> str:
        return f"<answer to {self._kata_lazy.source.exercise}>"

    def _kata_running_line(self) -> tuple[str, int] | None:
        """The file and line that another process executes now; here the traceback says it."""
        return None

    def _kata_end(self) -> None:
        """The test is over: another process that runs the answer is ended."""

    def _attribute(self, name: str) -> Any:
        __tracebackhide__ = True
        try:
            module = self._kata_lazy.get()
            if name not in vars(module):
                file = Path(str(module.__file__))
                raise MissingName(f"{file.name} defines no `{name}`; {_defined(module)}")
        except Exception as error:
            if is_stub(error):
                raise Todo("todo") from None
            raise Unusable(error) from error
        return vars(module)[name]

    def _wrapped(self, name: str, value: Any) -> Any:
        if not self._kata_record:
            return value
        if inspect.isclass(value):
            for cls in value.__mro__:
                if cls.__module__.startswith(PREFIX):
                    self._record_methods(cls)
            return value
        if inspect.isroutine(value) or isinstance(value, functools.partial):
            return self._kata_transcript.recorded(value, name)
        return value

    def _record_methods(self, cls: type) -> None:
        for name, value in list(vars(cls).items()):
            if name.startswith("__") and name not in ("__init__", "__call__"):
                continue
            label = cls.__name__ if name == "__init__" else f"{cls.__name__}.{name}"
            record = self._kata_transcript.recorded
            if isinstance(value, (staticmethod, classmethod)):
                kind, skip = type(value), int(isinstance(value, classmethod))
                setattr(cls, name, kind(record(value.__func__, label, skip)))
            elif isinstance(value, property) and value.fget:
                setattr(cls, name, value.getter(record(value.fget, label, 1, is_read=True)))
            elif inspect.isfunction(value):
                setattr(cls, name, record(value, label, 1))


def _defined(module: ModuleType) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
    ]
    return f"it defines {', '.join(names)}" if names else "it defines nothing yet"


def transcript(answer: Answer) -> list[str]:
    """The last calls that a test made into `answer`."""
    return answer._kata_transcript.lines()
