"""Landlock: a process takes the right to files, TCP ports and signals from itself (Linux 5.13)."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from kata.grading.libc import call, no_new_privs

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine

# LANDLOCK_ACCESS_FS_*: bits 0 to 12 since version 1, then one each.
_EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SYM, _REFER, _TRUNCATE = 1 << 12, 1 << 13, 1 << 14
_OF_FILES = _EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | 1 << 15
_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP = 0b11  # bind and connect
_SCOPES = {"network": 1 << 0, "signals": 1 << 1}  # abstract sockets, signals
_SCOPES_SINCE = 6
SINCE = {"file access": 1, "other programs": 1, "links": 1, "network": 4, "signals": _SCOPES_SINCE}
"""From which version on it helps against what."""

READ = READ_FILE | READ_DIR
WRITE = (
    READ | WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
)  # no links, no pipes, no sockets, no devices: who reads the folder later meets only files


def version() -> int:
    """Which version the kernel has.

    Raises:
        OSError: none, or it is switched off.
    """
    return call("syscall", _CREATE, None, 0, 1)


def restrict(
    readable: Iterable[Path], writable: Iterable[Path], off: frozenset[str] = frozenset()
) -> int:
    """Leave this process only these folders and files, and no way to more.

    Args:
        readable: what may be read; what does not exist is passed over.
        writable: folders in which everything but links, pipes and sockets may be made.
        off: names in `SINCE` to leave out.

    Returns:
        The version of the kernel's Landlock.

    Raises:
        OSError: the kernel does not offer it.
    """
    abi = version()
    handled = (1 << _FS_BITS.get(abi, 16)) - 1 if "file access" not in off else 0
    may_write = WRITE | (_MAKE_SYM if "links" in off else 0)
    may_read = READ | (_EXECUTE if "other programs" in off else 0)
    tcp = _TCP if abi >= SINCE["network"] and "network" not in off else 0
    scopes = sum(bit for name, bit in _SCOPES.items() if name not in off)
    if abi < _SCOPES_SINCE:
        scopes = 0
    if not handled | tcp | scopes:
        return abi
    attributes = struct.pack("=QQQ", handled, tcp, scopes)
    rules = call("syscall", _CREATE, attributes, len(attributes), 0)
    try:
        if handled:
            for path in readable:
                _add(rules, path, may_read & handled)
            for path in writable:
                _add(rules, path, may_write & handled)
        no_new_privs()
        call("syscall", _RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return abi


def _add(rules: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        call("syscall", _ADD, rules, 1, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)
