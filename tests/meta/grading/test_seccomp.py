"""The filter for system calls, whose program is run here for every machine."""

import errno
import re
import struct
from pathlib import Path

import pytest

from kata.grading import seccomp

MACHINES = ("x86_64", "aarch64")
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW = 0x7FFF0000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
PID = 4242


def number_of(name, machine):
    return NUMBERS[name][MACHINES.index(machine)]


def decide(machine, number, *arguments, off=(), audit=None):
    """What the filter of a machine says to a call: its program, run in Python."""
    arguments += (0,) * (6 - len(arguments))
    audit = audit or AUDIT[machine]
    data = struct.pack("<IIQ6Q", number, audit, 0, *arguments)
    lines = list(struct.iter_unpack("<HBBI", seccomp.program(machine, PID, off)))
    accumulator, place = 0, 0
    while True:
        code, if_true, if_false, value = lines[place]
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code in (0x15, 0x35):
            holds = accumulator == value if code == 0x15 else accumulator >= value
            place += if_true if holds else if_false
        else:
            assert code == 0x06
            return value


NUMBERS = {  # on x86-64 and on AArch64
    "read": (0, 63),
    "openat": (257, 56),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "sendto": (44, 206),
    "clone": (56, 220),
    "clone3": (435, 435),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "execve": (59, 221),
    "prlimit64": (302, 261),
    "fchmod": (91, 52),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "prctl": (157, 167),
    "ptrace": (101, 117),
    "mount": (165, 40),
}
DECISIONS = [
    ("read", (), ALLOW),
    ("socket", (1, 1), EPERM),
    ("socketpair", (1, 0x80801), ALLOW),
    ("socketpair", (1, 2), EPERM),
    ("socketpair", (2, 1), EPERM),
    ("sendto", (3, 1, 1, 0, 0), ALLOW),
    ("sendto", (3, 1, 1, 0, 1), EPERM),
    ("sendto", (3, 1, 1, 0, 1 << 32), EPERM),
    ("openat", (0, 0, 0), ALLOW),
    ("openat", (0, 0, 0x201), ALLOW),  # empties a file that it may write
    ("openat", (0, 0, 0x200), EPERM),  # empties a file that it may read
    ("openat", (0, 0, 0x80203), EPERM),
    ("clone", (0x3D0F00,), ALLOW),  # a thread
    ("clone", (0x3D0F00 | 0x10000000,), EPERM),
    ("clone", (0x1200011,), EPERM),  # a process
    ("clone3", (), ENOSYS),
    ("kill", (PID, 9), ALLOW),
    ("kill", (PID + 1, 9), EPERM),
    ("kill", (0, 9), EPERM),
    ("kill", (2**64 - 1, 9), EPERM),
    ("tgkill", (PID, 1, 9), ALLOW),
    ("tgkill", (1, PID, 9), EPERM),
    ("prlimit64", (0,), ALLOW),
    ("prlimit64", (1,), EPERM),
    ("fcntl", (0, 1), ALLOW),
    ("fcntl", (0, 8), EPERM),
    ("ioctl", (0, 0x5401), ALLOW),
    ("ioctl", (0, 0x5412), EPERM),  # TIOCSTI types into a terminal
    ("prctl", (15,), ALLOW),
    ("prctl", (4, 1), EPERM),
    ("execve", (), EPERM),
    ("ptrace", (), EPERM),
    ("mount", (), EPERM),
    ("fchmod", (), 0x50000),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("name", "arguments", "decision"), DECISIONS)
def test_filter_decides_on_every_machine(machine, name, arguments, decision):
    assert decide(machine, number_of(name, machine), *arguments) == decision


@pytest.mark.parametrize("machine", MACHINES)
def test_filter_refuses_what_it_does_not_know(machine):
    assert decide(machine, 600) == ENOSYS
    assert decide(machine, number_of("read", machine), audit=0x40000003) == ENOSYS
    assert decide(machine, 600, off=["kernel calls"]) == ALLOW
    assert decide(machine, number_of("ptrace", machine), off=["kernel calls"]) == EPERM


def test_filter_refuses_calls_of_x32():
    assert decide("x86_64", 0x40000000) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("group", seccomp.REFUSED)
def test_group_that_is_switched_off_is_let_through(machine, group):
    for number in seccomp._numbers(seccomp.REFUSED[group], MACHINES.index(machine)).values():
        assert decide(machine, number, off=[group]) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_the_kernel(machine):
    place = Path("/usr/include") / (
        "x86_64-linux-gnu/asm/unistd_64.h" if machine == "x86_64" else "asm-generic/unistd.h"
    )
    if not place.is_file():
        pytest.skip(f"not run: there are no kernel headers ({place})")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", place.read_text(), re.MULTILINE)
    kernel = {name: int(number) for name, number in found} | {"fchmodat2": 452}  # of Linux 6.6
    kernel.setdefault("newfstatat", kernel.get("fstatat"))
    tables = [seccomp.ALLOWED, *seccomp.REFUSED.values(), *seccomp._conditions(0)]
    column = MACHINES.index(machine)
    for name, number in seccomp._numbers(",".join(tables), column).items():
        assert (name, number) == (name, kernel.get(name))
