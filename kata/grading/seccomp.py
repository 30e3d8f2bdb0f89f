"""A filter for system calls: what a worker may ask of the kernel (Linux, x86-64 and AArch64).

What is not listed is refused: with EPERM, as any forbidden thing, or with ENOSYS where the C
library then falls back on an older call. Nothing is killed, so learner code gets an exception.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
from collections.abc import Collection
from dataclasses import dataclass

from kata.grading.libc import call, no_new_privs

# Below: a name, its number on x86-64, its number on AArch64 ("-" where there is none).
ALLOWED = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69,
pwritev 296 70, preadv2 327 286, pwritev2 328 287, close 3 57, close_range 436 436, lseek 8 62,
dup 32 23, dup2 33 -, dup3 292 24, pipe 22 -, pipe2 293 59, eventfd 284 -, eventfd2 290 19,
epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22,
poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, timerfd_create 283 85,
timerfd_settime 286 86, timerfd_gettime 287 87, signalfd4 289 74, sendfile 40 71,
copy_file_range 326 285, fsync 74 82, fdatasync 75 83, sync_file_range 277 84, fadvise64 221 223,
readahead 187 213, flock 73 32, ftruncate 77 46, fallocate 285 47, creat 85 -, stat 4 -,
fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291, statfs 137 43, fstatfs 138 44, access 21 -,
faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents 78 -,
getdents64 217 61, getcwd 79 17, chdir 80 49, fchdir 81 50, mkdir 83 -, mkdirat 258 34, rmdir 84 -,
unlink 87 -, unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276, umask 95 166,
mmap 9 222, munmap 11 215, mprotect 10 226, mremap 25 216, msync 26 227, mincore 27 232,
madvise 28 233, brk 12 214, mlock 149 228, mlock2 325 284, munlock 150 229, get_mempolicy 239 236,
membarrier 324 283, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139,
rt_sigsuspend 130 133, rt_sigpending 127 136, rt_sigtimedwait 128 137, sigaltstack 131 132,
pause 34 -, alarm 37 -, getitimer 36 102, setitimer 38 103, timer_create 222 107,
timer_settime 223 110, timer_gettime 224 108, timer_getoverrun 225 109, timer_delete 226 111,
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114,
gettimeofday 96 169, time 201 -, times 100 153, restart_syscall 219 128, getpid 39 172,
getppid 110 173, gettid 186 178, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177,
getresuid 118 148, getresgid 120 150, getgroups 115 158, getpgrp 111 -, getpgid 121 155,
getsid 124 156, capget 125 90, getrlimit 97 163, setrlimit 160 164, getrusage 98 165,
sysinfo 99 179, uname 63 160, getcpu 309 168, getrandom 318 278, getpriority 140 141, futex 202 98,
set_robust_list 273 99, set_tid_address 218 96, rseq 334 293, sched_yield 24 124,
sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120,
sched_get_priority_max 146 125, sched_get_priority_min 147 126, arch_prctl 158 -, exit 60 93,
exit_group 231 94, wait4 61 260, waitid 247 95, sendmsg 46 211, recvmsg 47 212, recvfrom 45 207,
shutdown 48 210,
getxattr 191 8, lgetxattr 192 9, fgetxattr 193 10, listxattr 194 11, llistxattr 195 12,
flistxattr 196 13, getsockname 51 204, getpeername 52 205, getsockopt 55 209
"""

REFUSED = {
    "network": """
socket 41 198, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242,
setsockopt 54 208, sendmmsg 307 269, recvmmsg 299 243, socketpair 53 199, sendto 44 206
""",
    "child processes": "fork 57 -, vfork 58 -, clone 56 220, clone3 435 435",
    "other programs": "execve 59 221, execveat 322 281",
    "signals": """
kill 62 129, tkill 200 130, tgkill 234 131, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240,
pidfd_send_signal 424 424, fcntl 72 25
""",
    "other processes": """
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, pidfd_open 434 434,
pidfd_getfd 438 438, process_madvise 440 440, process_mrelease 448 448, kcmp 312 272,
get_robust_list 274 100, prlimit64 302 261, sched_setaffinity 203 122, sched_setscheduler 144 119,
sched_setparam 142 118, sched_setattr 314 274, setpriority 141 140, ioprio_set 251 30,
migrate_pages 256 238, move_pages 279 239, setpgid 109 154, setsid 112 157
""",
    "links": """
symlink 88 -, symlinkat 266 36, link 86 -, linkat 265 37, mknod 133 -, mknodat 259 33
""",
    "file modes": """
chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, utime 132 -, utimes 235 -,
futimesat 261 -, utimensat 280 88, chown 92 -, fchown 93 55, lchown 94 -, fchownat 260 54,
setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15,
fremovexattr 199 16
""",
}
"""By what it protects from. The name `kernel calls` stands for all that is listed nowhere."""

KERNEL_CALLS = "kernel calls"
NAMES = (*REFUSED, KERNEL_CALLS)

# A change of mode is not made but said to be: the libraries that ask for one (shutil.copy,
# datasets) go on. A change of time is refused; Path.touch takes a success for an existing file.
PRETENDED = ("chmod", "fchmod", "fchmodat", "fchmodat2")


@dataclass(frozen=True)
class When:
    """Which calls of one kind are let through, by one of their arguments.

    Attributes:
        argument: its place.
        values: what it is compared with.
        mask: the bits that are looked at, of the lower 32: the kernel takes no more of a number.
        among: whether those values are let through, or all others.
        upper: look at the upper 32 bits, of an address.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    among: bool = True
    upper: bool = False


_NEW_NAMESPACES = 0x7E020000
_CLONE_THREAD = 0x00010000
_MODE_AND_TRUNCATE = 0x203
_TRUNCATE_UNWRITTEN = (0x200, 0x203)  # of what is opened to be read, or for neither
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, the same for locks of
# open files, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ; not F_SETOWN and F_SETSIG, which send
# signals, nor F_SETLEASE, which keeps others from a file.
_FCNTL = (*range(8), 36, 37, 38, 1030, 1031, 1032)
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # isatty, its size, FIONREAD, FIONBIO...
# PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_SECCOMP, PR_CAPBSET_READ,
# PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_SVE_GET_VL, PR_SET_VMA (names of memory areas)
_PRCTL = (15, 16, 3, 21, 23, 39, 40, 51, 0x53564D41)


def _conditions(pid: int) -> dict[str, tuple[When, ...]]:
    """Calls that depend on their arguments; all conditions have to hold."""
    own = (When(0, (pid,)),)
    self_or_own = (When(0, (0, pid)),)
    return {
        # Landlock 1 and 2 let a file be emptied that may be read.
        "open 2 -": (When(1, _TRUNCATE_UNWRITTEN, _MODE_AND_TRUNCATE, among=False),),
        "openat 257 56": (When(2, _TRUNCATE_UNWRITTEN, _MODE_AND_TRUNCATE, among=False),),
        "clone 56 220": (When(0, (_CLONE_THREAD,), _CLONE_THREAD | _NEW_NAMESPACES),),
        "kill 62 129": own,
        "tgkill 234 131": own,
        "rt_sigqueueinfo 129 138": own,
        "rt_tgsigqueueinfo 297 240": own,
        "prlimit64 302 261": self_or_own,
        "sched_setaffinity 203 122": self_or_own,
        "fcntl 72 25": (When(1, _FCNTL),),
        "ioctl 16 29": (When(1, _IOCTL),),
        "prctl 157 167": (When(0, _PRCTL),),
        # A pair of streams inside the process, as asyncio needs; a datagram could have an address.
        "socketpair 53 199": (When(0, (1,)), When(1, (1,), 0xF)),
        "sendto 44 206": (When(4, (0,)), When(4, (0,), upper=True)),
    }


# ------------------------------------------------------------------------------------ the machine

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_MACHINES = {"x86_64": (0xC000003E, 317, 0), "aarch64": (0xC00000B7, 277, 1)}
"""The audit number of a machine, its number of the call `seccomp`, its column in the tables."""
_X32 = 0x40000000
_UNIFIED = 424  # from here on calls are so new that every C library can do without
_Program = list[tuple[int, int, int, int]]


def _packed(*parts: _Program) -> bytes:
    return b"".join(struct.pack("=HBBI", *line) for part in parts for line in part)


def _return(value: int) -> _Program:
    return [(_RETURN, 0, 0, value)]


def _test(when: When) -> _Program:
    """Go on behind this when the condition holds, else end with EPERM."""
    code: _Program = [(_LOAD, 0, 0, 16 + 8 * when.argument + 4 * when.upper)]
    if when.mask != 0xFFFFFFFF:
        code.append((_AND, 0, 0, when.mask))
    count = len(when.values)
    for place, value in enumerate(when.values):
        left = count - place - 1
        # After the last comparison comes the return, and behind it what follows.
        code.append((_EQUAL, left + 1, 0, value) if when.among else (_EQUAL, left, 0, value))
    if not when.among:
        code[-1] = (_EQUAL, 0, 1, when.values[-1])
    return [*code, *_return(_ERRNO | errno.EPERM)]


def _entry(number: int, body: _Program) -> _Program:
    return [(_EQUAL, 0, len(body), number), *body]


def _numbers(table: str, column: int) -> dict[str, int]:
    rows = (row.split() for row in table.split(",") if row)
    return {row[0]: int(row[1 + column]) for row in rows if row[1 + column] != "-"}


@functools.cache
def _fixed(column: int, off: frozenset[str]) -> tuple[bytes, bytes]:
    """What depends on nothing but the machine: what is let through, and what is refused."""
    always = _numbers(ALLOWED, column)
    refused: dict[str, int] = {}
    for name, table in REFUSED.items():
        (always if name in off else refused).update(_numbers(table, column))
    passed = [_entry(number, _return(_ALLOW)) for number in always.values()]
    stopped = []
    for name, number in refused.items():
        code = 0 if name in PRETENDED else errno.ENOSYS if number >= _UNIFIED else errno.EPERM
        if code != errno.EPERM or KERNEL_CALLS in off:  # EPERM is what anything else gets
            stopped.append(_entry(number, _return(_ERRNO | code)))
    return _packed(*passed), _packed(*stopped)


def program(machine: str, pid: int, off: Collection[str] = ()) -> bytes:
    """The filter for a process: an array of `struct sock_filter`, eight bytes each.

    Args:
        machine: `x86_64` or `aarch64`.
        pid: the process, the only one that it may send signals to.
        off: names in `NAMES` to leave out.
    """
    audit, _, column = _MACHINES[machine]
    passed, stopped = _fixed(column, frozenset(off))
    free = {name for group in off for name in _numbers(REFUSED.get(group, ""), column)}
    free |= {"prctl", "ioctl"} if KERNEL_CALLS in off else set()
    checked = [
        _entry(number, [*(line for when in conditions for line in _test(when)), *_return(_ALLOW)])
        for row, conditions in _conditions(pid).items()
        for name, number in _numbers(row, column).items()
        if name not in free
    ]
    start = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, audit), *_return(_ERRNO | errno.ENOSYS)]
    start.append((_LOAD, 0, 0, 0))
    if machine == "x86_64":
        start += [(_AT_LEAST, 0, 1, _X32), *_return(_ERRNO | errno.ENOSYS)]
    end = [(_AT_LEAST, 0, 1, _UNIFIED), *_return(_ERRNO | errno.ENOSYS)]
    end = _return(_ALLOW) if KERNEL_CALLS in off else [*end, *_return(_ERRNO | errno.EPERM)]
    return _packed(start) + passed + _packed(*checked) + stopped + _packed(end)


def install(off: Collection[str] = ()) -> None:
    """Take these rights from this process, for good.

    Raises:
        OSError: the kernel does not offer it, or there is no table for this machine.
    """
    if not set(NAMES) <= set(off):
        machine = _machine()
        _install(machine, program(machine, os.getpid(), off))


def install_internet_only() -> None:
    """From now on sockets are of the internet only: no namespace holds those that are files.

    Raises:
        OSError: as `install`.
    """
    machine = _machine()
    audit, _, column = _MACHINES[machine]
    number = _numbers("socket 41 198", column)["socket"]
    start = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, audit), *_return(_ERRNO | errno.ENOSYS)]
    start.append((_LOAD, 0, 0, 0))
    # IPv4, IPv6, and what lists the interfaces.
    internet = _entry(number, [*_test(When(0, (2, 10, 16))), *_return(_ALLOW)])
    _install(machine, _packed(start, internet, _return(_ALLOW)))


def _machine() -> str:
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {machine}")
    return machine


def _install(machine: str, code: bytes) -> None:
    no_new_privs()
    filters = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(filters))
    call("syscall", _MACHINES[machine][1], 1, 0, fprog)  # SECCOMP_SET_MODE_FILTER
