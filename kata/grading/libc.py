"""Calls of the C library that Python has no function for (Linux only)."""

from __future__ import annotations

import ctypes
import functools
import os
import sys


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(function: str, *arguments: int | bytes | None) -> int:
    """Call a function that answers -1 when it fails; numbers are passed as `long`.

    Raises:
        OSError: it failed, or this is not Linux, where numbers of calls mean other things.
    """
    if sys.platform != "linux":
        raise OSError(f"only on Linux, this is {sys.platform}")
    result: int = getattr(_library(), function)(
        *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    )
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, *values: int) -> int:
    """Change or read a property of this process."""
    return call("prctl", option, *values, *[0] * (4 - len(values)))


def no_new_privs() -> None:
    """No program that this process starts may have more rights than it has."""
    prctl(38, 1)
