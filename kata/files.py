"""Writing files so that a crash, a full disk or a second process never leaves half of one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from types import EllipsisType
from typing import Any


class Changed(OSError):
    """Another program has written the file in the meantime; it was left as it is."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EBUSY, "another program has just changed it", str(path))


def write(path: Path, data: bytes, *, expected: bytes | EllipsisType | None = ...) -> None:
    """Replace the file at once: a reader sees the old content or the new one, nothing between.

    A script that begins with `#!` becomes executable.

    Args:
        path: the file; its folder is made.
        data: the new content.
        expected: what is in the file before, None when there is no file; looked at last of all.

    Raises:
        Changed: something else is in it.
        OSError: it cannot be written; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes a file that only its owner can read; this one takes the old one's place.
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    if data.startswith(b"#!"):
        mode |= (mode & 0o444) >> 2
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(beside, mode)
        _check(path, expected)
        _put(beside, path)
    except BaseException:  # Ctrl-C can come when it has taken its place already
        Path(beside).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """The same for a text, in UTF-8 with plain line ends."""
    write(path, text.encode())


def remove(path: Path, expected: bytes) -> None:
    """Remove a file that holds what is expected, and the folders that are empty without it.

    Raises:
        Changed: something else is in it.
    """
    _check(path, expected)
    path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()
        path.parent.parent.rmdir()


def _check(path: Path, expected: bytes | EllipsisType | None) -> None:
    if not isinstance(expected, EllipsisType) and content(path) != expected:
        raise Changed(path)


def content(path: Path) -> bytes | None:
    """The bytes of a file, or None when there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _put(beside: str, path: Path) -> None:
    try:
        os.replace(beside, path)
    except PermissionError:
        if os.name != "nt" or not path.exists():
            raise
        path.chmod(stat.S_IWRITE)  # Windows replaces no file that is read-only
        os.replace(beside, path)


def remove_folder(folder: Path) -> None:
    """Remove a folder and all that is in it, however deep; what cannot be removed stays."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:  # it descends by recursion, `rm` does not
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False)


def write_json(path: Path, value: Any) -> None:
    """The same for a JSON document."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
