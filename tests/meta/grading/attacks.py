"""What learner code may try. An attack gets the `Ground` of test_sandbox, and fails by raising."""

import ctypes
import encodings.idna  # noqa: F401  (for names of hosts: another user may not load it)
import errno
import mmap
import os
import platform
import signal
import socket
import stat
import sys
import threading
import time
from pathlib import Path

from kata.grading import landlock, libc, sandbox

if sys.platform != "win32":
    import fcntl
    import resource

OTHER_MEMORY = {"own user", "privileges", "disk space", *landlock.SINCE} - {"file access"}
"""Each of these keeps a process from the memory of another one."""


def read_inherited_file(g):
    return os.pread(g.inherited, 10, 0).decode()


def read_environment(g):
    return os.environ["KATA_TEST_SECRET"] if "KATA_TEST_SECRET" in os.environ else refuse()


def refuse():
    raise OSError(errno.EPERM, "nothing was reached")


def stay_in_group(g):
    return os.getpgrp() == os.getpgid(os.getppid()) or refuse()


def fill_disk(g):
    for i in range(4):
        (g.scratch / str(i)).write_bytes(bytes(900_000))


def make_many_files(g):
    for i in range(200):
        (g.scratch / str(i)).touch()


def take_memory(g):
    return len(mmap.mmap(-1, 512 << 20))


def take_memory_in_python(g):
    return len([b"x" * (1 << 20) for _ in range(512)])


def compute_for_long(g):
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while time.process_time() < 1.3:
        pass


def write_large_file(g):
    return (g.scratch / "large").write_bytes(bytes(1 << 21))


def open_many_files(g):
    return len([os.open(os.devnull, os.O_RDONLY) for _ in range(60)])


def make_many_threads(g):
    threading.stack_size(32768)
    end = threading.Event()
    for _ in range(300):
        threading.Thread(target=end.wait, daemon=True).start()


def be_dumpable(g):
    return libc.prctl(3) or refuse()


def read_file(g):
    return g.secret.read_text()


def read_file_by_proc(g):
    return Path(f"/proc/self/root{g.secret}").read_text()


def list_folder(g):
    return sorted(p.name for p in g.folder.iterdir())


def read_password_file(g):
    return Path("/etc/passwd").read_text()[:4]


def write_file(g):
    return (g.folder / "conftest.py").write_text("x")


def overwrite_file(g):
    return g.secret.write_text("x")


def truncate_file(g):
    os.truncate(g.secret, 0)


def remove_file(g):
    g.secret.unlink()


def move_file(g):
    g.secret.rename(g.scratch / "mine")


def make_folder(g):
    (g.folder / "new").mkdir()


def read_tests_of_the_course(g):
    return len((sandbox.PACKAGE.parent / "pyproject.toml").read_text())


def read_judge_environment(g):
    return len(Path(f"/proc/{os.getppid()}/environ").read_bytes())


def write_judge_memory(g):
    os.close(os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR))


def connect_to_localhost(g):
    socket.create_connection(g.address, 2).close()


def send_datagram(g):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return s.sendto(b"answer", ("127.0.0.1", 9))


def open_abstract_socket(g):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("\0kata-test")


def open_datagram_pair(g):
    for s in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        s.close()


def open_netlink(g):
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()


def fork(g):
    if os.fork() == 0:
        os._exit(0)


def start_program(g):
    os.posix_spawn("/bin/true", ["true"], {})


def become_program(g):
    os.execv("/bin/true", ["true"])


def ask_whether_judge_lives(g):
    os.kill(os.getppid(), 0)


def signal_everybody(g):
    os.kill(-1, 0)


def signal_group(g):
    os.killpg(os.getpgid(os.getppid()), 0)


def signal_judge_by_thread(g):
    tgkill = {"x86_64": 234, "aarch64": 131}[platform.machine()]
    libc.call("syscall", tgkill, os.getppid(), os.getppid(), 0)


def signal_judge_by_pipe(g):
    """A pipe that is written to sends the signal of one's choice to the process of one's choice."""
    reader, _ = os.pipe()
    fcntl.fcntl(reader, 10, signal.SIGWINCH)  # F_SETSIG
    fcntl.fcntl(reader, fcntl.F_SETOWN, os.getppid())


def lock_out_by_lease(g):
    fd = os.open(g.scratch / "file", os.O_CREAT | os.O_RDONLY)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def signal_judge_by_pidfd(g):
    os.close(os.pidfd_open(os.getppid()))


def limit_judge(g):
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)


def slow_judge(g):
    os.setpriority(os.PRIO_PROCESS, os.getppid(), 1)


def move_judge(g):
    os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))


def join_group_of_judge(g):
    os.setpgid(0, 0)


def make_symbolic_link(g):
    (g.scratch / "link").symlink_to(g.secret)


def make_hard_link(g):
    (g.scratch / "file").touch()
    (g.scratch / "link").hardlink_to(g.scratch / "file")


def make_pipe(g):
    os.mkfifo(g.scratch / "pipe")


def change_mode_of_open_file(g):
    path = g.scratch / "file"
    with path.open("w") as file:
        os.fchmod(file.fileno(), 0o700)
    return stat.S_IMODE(path.stat().st_mode) == 0o700 or refuse()


def change_time_of_file(g):
    path = g.scratch / "file"
    path.touch()
    os.utime(path, (1, 1))


def change_attribute(g):
    os.setxattr(g.secret, "user.mark", b"x")


def make_memory_file(g):
    os.close(os.memfd_create("x"))


def watch_files(g):
    os.close(libc.call("inotify_init1", 0))


def make_keyring(g):
    add_key = {"x86_64": 248, "aarch64": 217}[platform.machine()]
    libc.call("syscall", add_key, b"user", b"kata", b"x", 1, -2)  # of the process


def become_dumpable(g):
    libc.prctl(4, 1)


def outlive_parent(g):
    libc.prctl(1, 0)


def call_as_32_bit(g):
    """Ask for the process number in the way of 32-bit programs, where calls have other numbers."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3")  # mov eax, 20; int 0x80
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    answer = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return answer == os.getpid() or refuse()


# The protection; the attack; what else would stop it and is left out both times.
ATTACKS = [
    ("inherited files", read_inherited_file, ()),
    ("environment", read_environment, ()),
    ("own session", stay_in_group, ()),
    ("disk space", fill_disk, ()),
    ("disk space", make_many_files, ()),
    ("memory", take_memory, ()),
    ("memory", take_memory_in_python, ()),
    ("processor time", compute_for_long, ()),
    ("file size", write_large_file, ("disk space",)),
    ("open files", open_many_files, ()),
    ("threads", make_many_threads, ()),
    ("core dumps", be_dumpable, ("own user",)),
    ("file access", read_file, ("own user",)),
    ("file access", read_file_by_proc, ("own user", "core dumps")),
    ("file access", list_folder, ("own user",)),
    ("file access", read_password_file, ("own user",)),
    ("file access", write_file, ("own user",)),
    ("file access", remove_file, ("own user",)),
    ("file access", move_file, ("own user", "disk space")),
    ("file access", make_folder, ("own user",)),
    ("file access", read_judge_environment, OTHER_MEMORY),
    ("file access", write_judge_memory, OTHER_MEMORY),
    ("network", connect_to_localhost, ()),
    ("network", send_datagram, ()),
    ("network", open_abstract_socket, ()),
    ("network", open_datagram_pair, ()),
    ("network", open_netlink, ()),
    ("child processes", fork, ()),
    ("child processes", start_program, ("file access", "other programs", "own user")),
    ("other programs", become_program, ("file access", "own user")),
    ("signals", ask_whether_judge_lives, ()),
    ("signals", signal_everybody, ()),
    ("signals", signal_group, ()),
    ("signals", signal_judge_by_thread, ()),
    ("signals", signal_judge_by_pipe, ()),
    ("signals", lock_out_by_lease, ()),
    ("other processes", signal_judge_by_pidfd, ()),
    ("other processes", limit_judge, ()),
    ("other processes", slow_judge, ("privileges",)),
    ("other processes", move_judge, ("privileges",)),
    ("other processes", join_group_of_judge, ("own session",)),
    ("links", make_symbolic_link, ()),
    ("links", make_hard_link, ()),
    ("links", make_pipe, ("file access", "own user")),
    ("file modes", change_mode_of_open_file, ()),
    ("file modes", change_time_of_file, ()),
    ("kernel calls", make_memory_file, ()),
    ("kernel calls", watch_files, ()),
    ("kernel calls", make_keyring, ()),
    ("kernel calls", become_dumpable, ()),
    ("kernel calls", outlive_parent, ()),
]
