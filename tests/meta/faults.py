"""Makes the n-th thing that a command does to the file system fail.

Counted is what changes files and what opens them, with Python's own `open`, through pathlib and
through tempfile. A write that fails has written its first half, as on a full disk.
"""

import builtins
import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

NAMES = (
    "open",
    "write",
    "replace",
    "rename",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "fsync",
    "chmod",
)


def full_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os._exit(9)


class Faults:
    """Counts the operations, and lets one of them fail.

    Args:
        at: which one, from 1; 0 only counts.
        fault: what happens then.
        after: whether the operation itself is done before.
    """

    def __init__(self, at: int = 0, fault: Callable[[], None] = full_disk, after: bool = False):
        self.count = 0
        self._at = at
        self._fault = fault
        self._after = after

    def run(self, operation: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.count += 1
        if self.count != self._at:
            return operation(*args, **options)
        if self._after:
            result = operation(*args, **options)
            if isinstance(result, io.IOBase):
                result.close()
            elif operation.__name__ == "open":
                os.close(result)
        elif operation.__name__ == "write":
            operation(*args[:-1], args[-1][: len(args[-1]) // 2])
        elif operation.__name__ == "close":
            operation()
        self._fault()
        return None

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Every operation counts inside of this."""
        saved = [(os, name, getattr(os, name)) for name in NAMES]
        saved += [(builtins, "open", builtins.open), (io, "open", io.open)]
        try:
            for module, name, operation in saved:
                setattr(module, name, self._wrapped(operation))
            yield
        finally:
            for module, name, operation in saved:
                setattr(module, name, operation)

    def _wrapped(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            result = self.run(operation, *args, **options)
            return File(result, self) if isinstance(result, io.BufferedWriter) else result

        return wrapper


class File:
    """A file that is written, of which every operation counts too."""

    def __init__(self, file: io.BufferedWriter, faults: Faults) -> None:
        self._file = file
        self._faults = faults

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        return self._faults.run(self._file.write, data)

    def flush(self) -> None:
        self._faults.run(self._file.flush)

    def close(self) -> None:
        if not self._file.closed:
            self._faults.run(self._file.close)
