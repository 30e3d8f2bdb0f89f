"""What keeps learner code from the machine and from the marks.

A worker calls `confine` when it is freshly forked, before any learner code: it takes rights away
from itself, for good and without being root. What a machine does not offer is reported as
inactive, and the rest still holds. Linux offers nearly all of it, other systems little.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kata.grading import landlock, seccomp
from kata.grading.libc import call, no_new_privs, prctl
from kata.grading.model import Protection

if sys.platform != "win32":
    import resource

PACKAGE = Path(__file__).resolve().parent.parent
LIBRARIES = [Path("/lib"), Path("/lib64"), Path("/usr/lib"), Path("/usr/lib64"), Path("/nix/store")]
SYSTEM_FILES = [
    Path("/etc/ld.so.cache"),
    Path("/etc/localtime"),
    Path("/usr/share/zoneinfo"),
    Path("/sys/devices/system/cpu"),
]
KERNEL_FILES = [Path("/proc/cpuinfo"), Path("/dev/urandom"), Path("/dev/zero")]
NULL = Path("/dev/null")
SHARED = Path("/dev/shm")
NOBODY = 65534
MOST_OF_ONE_USER = 8192  # processes and threads: more than anybody has, less than a machine can
KEPT_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TZ", "LD_LIBRARY_PATH"),
    *("KATA_DATA", "TIKTOKEN_CACHE_DIR", "HF_HUB_CACHE"),
)
SWITCHED_OFF = "switched off"
MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a worker may use.

    Attributes:
        memory_bytes: address space on top of what the process maps when it is confined.
        cpu_seconds: processor time of all its threads together.
        file_bytes: the size of one file.
        disk_bytes: the size of all files in the scratch folder, where that can be bounded.
        disk_files: how many files and folders there may be in it.
        open_files: the number that file descriptors stay below.
        threads: how many it may have.
    """

    memory_bytes: int = 4096 * MIB
    cpu_seconds: int = 120
    file_bytes: int = 64 * MIB
    disk_bytes: int = 128 * MIB
    disk_files: int = 4096
    open_files: int = 128
    threads: int = 256


def confine(
    scratch: Path,
    readable: Sequence[Path] = (),
    limits: Limits = Limits(),
    off: Collection[str] = (),
    writable: Sequence[Path] = (),
    keep: Collection[int] = (),
) -> list[Protection]:
    """Take rights from this process, for good: call it in a fresh fork, before learner code.

    Args:
        scratch: an empty folder, made where it is missing, in which the worker may write and
            which becomes its working folder. Where the kernel allows it a file system of the
            worker's own is laid over it: nobody else sees what is in it, and it is gone with
            the worker.
        readable: further files and folders that the worker may read.
        limits: what it may use.
        off: names of protections to leave out, to show what each is good for.
        writable: further folders in which it may write, seen by others.
        keep: file descriptors that stay open, besides 1 and 2. Python objects of the others are
            to be detached or never collected.

    Returns:
        Every protection there is, whether it holds here, and by what means.

    Raises:
        RuntimeError: the process has several threads; what is taken from one, the others keep.
        ValueError: `off` names a protection that there is not.
    """
    if unknown := set(off) - set(NAMES):
        raise ValueError(f"no protection is called {sorted(unknown)}; there are {list(NAMES)}")
    _one_thread()
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    worker = _Worker(scratch, [*readable], [*writable], limits, frozenset(off), {*keep}, _is_root())
    return [*(worker.step(name) for name in _STEPS), *worker.rights()]


def _one_thread() -> None:
    with contextlib.suppress(OSError):
        count = len(os.listdir("/proc/self/task"))
        if count > 1:
            raise RuntimeError(f"confine() wants a process of one thread, this one has {count}")


@dataclass
class _Worker:
    """The process that is being confined. Most methods are one protection, and say its means."""

    scratch: Path
    readable: list[Path]
    writable: list[Path]
    limits: Limits
    off: frozenset[str]
    keep: set[int]
    is_root: bool
    has_own_user_count: bool = False

    def step(self, name: str) -> Protection:
        """Put one protection in force."""
        if name in self.off:
            return Protection(name, False, SWITCHED_OFF)
        try:
            return Protection(name, True, _STEPS[name](self))
        except OSError as error:
            return Protection(name, False, error.strerror or str(error))

    # ------------------------------------------------------------------------- what it inherits

    def inherited_files(self) -> str:
        """Close what the zygote had open."""
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        for fd in map(int, os.listdir("/dev/fd")):
            if fd > 2 and fd not in self.keep:
                with contextlib.suppress(OSError):  # such as that of the listing itself
                    os.close(fd)
        return "closed"

    def environment(self) -> str:
        """Leave no variable of the grader's."""
        variables = environment(self.scratch)
        os.environ.clear()
        os.environ.update(variables)
        tempfile.tempdir = None
        sys.dont_write_bytecode = True
        return f"{len(variables)} variables, none of the grader's"

    def session(self) -> str:
        """Stand apart from the grader's terminal and process group."""
        os.umask(0o077)
        if sys.platform == "win32":
            raise OSError("not on Windows")
        with contextlib.suppress(PermissionError):  # it leads a group already
            os.setsid()
        if os.getsid(0) != os.getpid():
            raise OSError("it leads a process group in another session")
        return "session and process group of its own"

    def disk_space(self) -> str:
        """Lay a small file system over the scratch folder that only this process sees."""
        self.has_own_user_count = _own_mounts()
        sizes = f"size={self.limits.disk_bytes},nr_inodes={self.limits.disk_files},mode=0700"
        nosuid_nodev_noexec = 2 | 4 | 8
        target = os.fsencode(self.scratch)
        call("mount", b"kata", target, b"tmpfs", nosuid_nodev_noexec, sizes.encode())
        with contextlib.suppress(OSError):  # `datasets` wants shared memory for a counter
            call(
                "mount", b"kata", os.fsencode(SHARED), b"tmpfs", nosuid_nodev_noexec, sizes.encode()
            )
            self.writable.append(SHARED)
        return f"tmpfs of {self.limits.disk_bytes // MIB} MiB"

    # ----------------------------------------------------------------------------------- limits

    def memory(self) -> str:
        """Bound the address space, and be the first to go when the machine has none left."""
        if sys.platform != "linux":
            raise OSError(f"{sys.platform} enforces no limit")
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as file:
            file.write(b"1000")
        _limit("AS", mapped_bytes() + self.limits.memory_bytes)
        for name, most in (("MEMLOCK", 0), ("MSGQUEUE", 0), ("SIGPENDING", 256)):
            _limit(name, most)
        return f"RLIMIT_AS, {self.limits.memory_bytes // MIB} MiB on top of what is loaded"

    def processor_time(self) -> str:
        """End it when it has computed for too long."""
        _limit("CPU", self.limits.cpu_seconds)
        return f"RLIMIT_CPU, {self.limits.cpu_seconds} s"

    def file_size(self) -> str:
        """Bound each file."""
        _limit("FSIZE", self.limits.file_bytes)
        return f"RLIMIT_FSIZE, {self.limits.file_bytes // MIB} MiB"

    def open_files(self) -> str:
        """Bound their number."""
        _limit("NOFILE", self.limits.open_files)
        return f"RLIMIT_NOFILE, {self.limits.open_files}"

    def core_dumps(self) -> str:
        """Leave no picture of its memory, on the disk or for another worker."""
        _limit("CORE", 0)
        try:
            prctl(_SET_DUMPABLE, 0)
        except OSError:
            return "RLIMIT_CORE"
        return "RLIMIT_CORE, undumpable"

    # ----------------------------------------------------------------------------------- rights

    def user(self) -> str:
        """Where nothing else keeps files from it, do not stay root."""
        if sys.platform == "win32" or os.geteuid():
            raise OSError("not root: it runs as who grades")
        if "file access" not in self.off and _has_landlock():
            raise OSError("not needed: Landlock bounds file access")
        os.setgroups([])
        if not _others_can_read(Path(os.__file__).parent):
            raise OSError("another user cannot read this Python")
        for folder in (self.scratch, *self.writable):
            os.chown(folder, NOBODY, NOBODY)
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        self.is_root, self.has_own_user_count = False, True
        return f"user {NOBODY}"

    def threads(self) -> str:
        """Bound their number, which the kernel counts by user and namespace."""
        if sys.platform != "linux":
            raise OSError(f"{sys.platform} enforces no limit")
        if self.is_root:
            raise OSError("root may have any number: grade as another user")
        if self.has_own_user_count:
            most, of = self.limits.threads, "of its own"
        else:
            most, of = MOST_OF_ONE_USER, "of this user together"
        _limit("NPROC", most)
        return f"RLIMIT_NPROC, {most} {of}"

    def privileges(self) -> str:
        """Give up what root can do, and every way to become root."""
        no_new_privs()
        _drop_capabilities()
        return "no_new_privs, no capabilities"

    def parent_death(self) -> str:
        """Be killed when the zygote ends."""
        parent = os.getppid()
        prctl(_SET_PDEATHSIG, 9)
        if os.getppid() != parent:  # it ended just now
            os._exit(1)
        return "PR_SET_PDEATHSIG"

    def rights(self) -> Iterable[Protection]:
        """Give up files and system calls."""
        os.chdir(self.scratch)  # now that a file system may lie over it
        readable = [*interpreter_folders(), *LIBRARIES, *SYSTEM_FILES, *KERNEL_FILES]
        abi, missing = 0, []
        try:
            readable += self.readable
            abi = landlock.restrict(readable, [self.scratch, NULL, *self.writable], self.off)
        except OSError as error:
            missing.append(f"no Landlock: {error.strerror or error}")
        filtered = seccomp.NAMES
        try:
            seccomp.install(self.off)
        except OSError as error:
            filtered = ()
            missing.append(f"no seccomp: {error.strerror or error}")
        for name in _RIGHTS:
            means = ["seccomp"] * (name in filtered)
            # Of the network Landlock knows TCP and abstract sockets only.
            if abi >= landlock.SINCE.get(name, 99) and (means or name != "network"):
                means.append(f"Landlock {abi}")
            why_not = SWITCHED_OFF if name in self.off else "; ".join(missing)
            active = bool(means) and name not in self.off
            yield Protection(name, active, ", ".join(means) if active else why_not)


FILE_ACCESS = "file access"
_RIGHTS = (FILE_ACCESS, *seccomp.NAMES)
_STEPS: dict[str, Callable[[_Worker], str]] = {
    "inherited files": _Worker.inherited_files,
    "environment": _Worker.environment,
    "own session": _Worker.session,
    "disk space": _Worker.disk_space,
    "memory": _Worker.memory,
    "processor time": _Worker.processor_time,
    "file size": _Worker.file_size,
    "open files": _Worker.open_files,
    "own user": _Worker.user,
    "threads": _Worker.threads,
    "privileges": _Worker.privileges,
    "core dumps": _Worker.core_dumps,
    "end with parent": _Worker.parent_death,  # a change of user would clear it
}
NAMES = (*_STEPS, *_RIGHTS)
"""What `confine` can switch off."""
BUBBLEWRAP = "bubblewrap"
OPTIONAL = ("disk space", "own user", "threads", BUBBLEWRAP)
"""What comes on top where a machine has it; the others are all needed."""

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECUREBITS, _CAPBSET_DROP, _CAP_AMBIENT = 1, 4, 28, 24, 47
_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000


def environment(scratch: Path) -> dict[str, str]:
    """The variables of a worker, and of the zygote that it is forked from."""
    here = str(scratch)
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    if "HF_HOME" in os.environ:  # its models may be read, its caches of data sets not be written
        kept.setdefault("HF_HUB_CACHE", os.path.join(os.environ["HF_HOME"], "hub"))
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": here,
        "TMPDIR": here,
        "USER": "worker",
        "LOGNAME": "worker",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": here,
        "HF_HOME": here,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **kept,
    }


@functools.cache
def interpreter_folders() -> tuple[Path, ...]:
    """The libraries of this Python, its packages, and `kata` itself; nothing of the course."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    libraries = [Path(prefix, name) for prefix in prefixes for name in ("lib", "lib64")]
    packages = [Path(p) for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]
    found = [*libraries, Path(os.__file__).parent, *packages]
    there = [p.resolve() for p in found if os.path.isdir(p)]  # one that may not be seen is not
    return tuple(dict.fromkeys([*there, PACKAGE]))


def mapped_bytes() -> int:
    """The address space of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _limit(name: str, value: int) -> None:
    """Set a limit that cannot be raised again; one that is lower already stays."""
    if sys.platform == "win32":
        raise OSError("not on Windows")
    kind = getattr(resource, f"RLIMIT_{name}")
    _, most = resource.getrlimit(kind)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    try:
        resource.setrlimit(kind, (value, value))
    except ValueError as error:
        raise OSError(f"RLIMIT_{name}: {error}") from error


def _is_root() -> bool:
    """Whether this user is root, also where a user namespace calls it by another number."""
    if sys.platform == "win32":
        return False
    with contextlib.suppress(OSError):
        return os.getuid() in (0, os.stat("/usr/lib").st_uid)
    return os.getuid() == 0


def _others_can_read(folder: Path) -> bool:
    """Whether another user could list it; this process is root."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        os.listdir(folder)
    except OSError:
        return False
    finally:
        os.seteuid(0)
        os.setegid(0)
    return True


def own_network() -> None:
    """Enter a network that holds this process alone, whose loopback interface is up.

    There learner code may open sockets: nobody hears them.

    Raises:
        OSError: this machine does not let us.
    """
    _enter(_NEW_NETWORK)
    import fcntl
    import socket

    up, get_flags, set_flags = 0x1 | 0x40, 0x8913, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(probe, get_flags, request))[1]
        fcntl.ioctl(probe, set_flags, struct.pack("16sh14x", b"lo", flags | up))
    seccomp.install_internet_only()


def _own_mounts() -> bool:
    """Enter a mount namespace; whether by a user namespace, which takes who is not root."""
    is_by_user = _enter(_NEW_MOUNTS)
    recursive_private = 0x4000 | 0x40000
    call("mount", b"none", b"/", None, recursive_private, None)
    return is_by_user


def _enter(namespace: int) -> bool:
    """Enter a namespace of a kind; whether it took a user namespace."""
    user, group = os.geteuid(), os.getegid()
    if not user:
        call("unshare", namespace)
    else:
        _user_namespaces_are_whole()
        prctl(_SET_DUMPABLE, 1)  # else the files of /proc/self are root's
        call("unshare", namespace | _NEW_USER)
        for name, text in {
            "setgroups": "deny",
            "uid_map": f"{user} {user} 1",
            "gid_map": f"{group} {group} 1",
        }.items():
            Path("/proc/self", name).write_text(text)
    return user != 0


def _user_namespaces_are_whole() -> None:
    """Raise where AppArmor lets nobody do a thing in the namespace that he may enter."""
    with contextlib.suppress(FileNotFoundError):
        if Path(_APPARMOR).read_text().strip() == "1":
            raise OSError(f"AppArmor forbids it ({_APPARMOR} is 1)")


def _drop_capabilities() -> None:
    with contextlib.suppress(OSError):  # without CAP_SETPCAP there is nothing to take
        prctl(_SET_SECUREBITS, 0b11101111)  # root is as anyone, and that is locked
        for capability in range(64):
            prctl(_CAPBSET_DROP, capability)
    with contextlib.suppress(OSError):
        prctl(_CAP_AMBIENT, 4)  # PR_CAP_AMBIENT_CLEAR_ALL
    version3 = 0x20080522
    call("capset", struct.pack("Ii", version3, 0), bytes(24))


def _has_landlock() -> bool:
    try:
        return landlock.version() > 0
    except OSError:
        return False


# --------------------------------------------------------------------- the judge, and the machine


def protect_judge() -> Protection:
    """Keep the judge's memory from processes of the same user; its forks inherit it."""
    name = "judge's memory"
    try:
        _limit("CORE", 0)
        prctl(_SET_DUMPABLE, 0)
    except OSError as error:
        return Protection(name, False, error.strerror or str(error))
    return Protection(name, True, "undumpable")


_REPORT = """
import json, sys, dataclasses, pathlib
sys.path.append(sys.argv[2])
from kata.grading import sandbox
found = [sandbox.protect_judge(), *sandbox.confine(pathlib.Path(sys.argv[1]))]
print(json.dumps([dataclasses.asdict(p) for p in found]))
"""


def available() -> list[Protection]:
    """What this machine offers, found out by a process that confines itself and ends."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", _REPORT, folder, str(PACKAGE.parent)],
            capture_output=True,
            text=True,
            check=True,
        )
    found = [Protection(**p) for p in json.loads(done.stdout)]
    base = _bubblewrap()
    if isinstance(base, str):
        return [*found, Protection(BUBBLEWRAP, False, base)]
    return [*found, Protection(BUBBLEWRAP, True, base[0])]


def wrapped(
    command: list[str], readable: Sequence[Path] = (), writable: Sequence[Path] = ()
) -> list[str]:
    """A command line inside of bubblewrap where that works, else the command line as it is.

    Inside there are namespaces of its own for processes, network, mounts and users, a small
    `/tmp` of its own, and of the disk only what Python needs. Inherited sockets stay open.
    Process numbers are others inside than outside: whoever is outside must not signal them.

    Args:
        command: begins with this Python.
        readable: further files and folders to show.
        writable: further folders to show, in which can be written.
    """
    base = _bubblewrap()
    if isinstance(base, str):
        return command
    shown = [part for path in readable for part in ("--ro-bind", str(path), str(path))]
    shown += [part for path in writable for part in ("--bind", str(path), str(path))]
    return [*base, *shown, "--", *command]


_WRAP = [
    *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
    *("--unshare-cgroup-try", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"),
    *("--die-with-parent", "--new-session", "--clearenv"),
    *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"),
]


def _binds() -> list[str]:
    python = [Path(sys.executable), Path(sys.executable).resolve(), Path(sys.prefix, "pyvenv.cfg")]
    links = Path("/etc/alternatives")  # behind which Debian has some libraries
    seen = [*LIBRARIES, *SYSTEM_FILES, links, *interpreter_folders(), *python]
    shown = [part for path in seen for part in ("--ro-bind-try", str(path), str(path))]
    variables = environment(Path("/tmp")).items()
    return [*shown, *(part for name, value in variables for part in ("--setenv", name, value))]


@functools.cache
def _bubblewrap() -> list[str] | str:
    """The command that other commands are put behind, or why there is none."""
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    if program is None:
        return "not installed" if sys.platform == "linux" else "only on Linux"
    base = [program, *_WRAP, *_binds()]
    probe = [*base, "--", sys.executable, "-P", "-c", "import kata.grading.sandbox"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    why = done.stderr.strip().splitlines() or [f"it ends with {done.returncode}"]
    return why[-1] if done.returncode else base
