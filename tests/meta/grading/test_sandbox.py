"""What keeps a worker in bounds: each protection is switched off, and its attack succeeds."""

import contextlib
import dataclasses
import errno
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from kata.course import Course
from kata.grading import landlock, libc, sandbox, seccomp
from kata.grading.model import Protection
from tests.meta.command import Kata
from tests.meta.grading import attacks

if sys.platform != "win32":
    import resource

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="not run: needs Linux"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),  # xdist has threads
]
as_root = pytest.mark.skipif(
    sys.platform == "linux" and os.getuid() != 0, reason="not run: needs root"
)
NOBODY = 65534
USERS = ["self", pytest.param("nobody", marks=as_root)]
REFUSALS = {"EPERM", "EACCES", "ENOSYS", "EBADF", "ENOSPC", "EFBIG", "EMFILE", "ENOMEM"}
MIB = 1 << 20
LIMITS = sandbox.Limits(256 * MIB, 30, MIB, 2 * MIB, disk_files=100, open_files=40)
SHORT = dataclasses.replace(LIMITS, cpu_seconds=1)  # the others may need one, on a slow machine


class Ground:
    """Where attacks take place: a judge, its secrets, and a worker that attacks."""

    def __init__(self, folder: Path, user: str):
        self.folder = folder
        self.user = user
        self.secret = folder / "solution.py"
        self.secret.write_text("the answer")
        self.scratch = folder / "scratch"
        self.inherited = os.open(self.secret, os.O_RDONLY)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.protect_judge = False
        os.environ["KATA_TEST_SECRET"] = "token"

    def run(self, attack, off=(), limits=LIMITS, **more):
        """What became of the attack: ("done", its result), ("refused", errno) or ("died", how)."""
        for left in (self.scratch, self.folder / "new"):
            shutil.rmtree(left, ignore_errors=True)
        if not self.secret.exists():
            self.secret.write_text("the answer")
        reader, writer = os.pipe()
        judge = os.fork()
        if not judge:
            with contextlib.suppress(BaseException):
                self._judge(attack, writer, {"off": off, "limits": limits, **more})
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(judge, 0)
        assert status == 0, f"the judge has ended with {status}"
        return tuple(json.loads(said))

    def _judge(self, attack, writer, settings):
        self.scratch.mkdir()
        os.chmod(self.scratch, 0o777)
        if self.user == "nobody":
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            libc.prctl(4, 1)  # PR_SET_DUMPABLE, which a change of user takes away
        if self.protect_judge:
            assert sandbox.protect_judge().active
        inner_reader, inner_writer = os.pipe()
        worker = os.fork()
        if not worker:
            os.close(inner_reader)
            self._worker(attack, inner_writer, settings)
        os.close(inner_writer)
        said = os.read(inner_reader, 1 << 16)
        _, status = os.waitpid(worker, 0)
        os.write(writer, said or json.dumps(["died", status]).encode())

    def _worker(self, attack, writer, settings):
        try:
            settings = {"scratch": self.scratch, **settings}
            self.protections = sandbox.confine(keep=[writer, *settings.pop("keep", ())], **settings)
            os.set_inheritable(writer, False)
            said = ["done", attack(self)]
        except OSError as error:
            said = ["refused", errno.errorcode.get(error.errno, str(error))]
        except BaseException as error:
            said = ["raised", f"{type(error).__name__}: {error}"]
        os.write(writer, json.dumps(said).encode())
        os._exit(0)


@pytest.fixture
def ground(request):
    sandbox.interpreter_folders()  # as in a zygote; another user may not see them
    folder = Path(tempfile.mkdtemp())  # pytest's own are closed to other users
    os.chmod(folder, 0o777)
    found = Ground(folder, getattr(request, "param", "self"))
    yield found
    os.close(found.inherited)
    found.listener.close()
    del os.environ["KATA_TEST_SECRET"]
    shutil.rmtree(folder)


@pytest.mark.parametrize("ground", USERS, indirect=True)
@pytest.mark.parametrize(
    ("name", "attack", "others"), [pytest.param(*a, id=a[1].__name__) for a in attacks.ATTACKS]
)
def test_each_protection_stops_its_attack(ground, name, attack, others):
    limits = SHORT if attack is attacks.compute_for_long else LIMITS
    outcome, detail = ground.run(attack, off={*others, name}, limits=limits)
    if attack is attacks.become_program:
        assert (outcome, detail) == ("died", 0)
    else:
        assert outcome == "done", detail
    outcome, detail = ground.run(attack, off=others, limits=limits)
    needs(ground, name)
    if outcome == "raised":
        assert detail.startswith(("MemoryError", "RuntimeError: can't start new thread"))
    elif outcome == "died":
        assert attack is attacks.compute_for_long
    else:
        assert (outcome, detail in REFUSALS) == ("refused", True), detail


def needs(ground, name):
    """Skip the test where this machine does not have a protection."""
    (found,) = [p for p in ground.run(protections)[1] if p[0] == name]
    if not found[1]:
        pytest.skip(f"not run: {name}: {found[2]}")


def protections(ground):
    return [[p.name, p.active, p.detail] for p in ground.protections]


# --------------------------------------------------------------------------- further attacks


@as_root
def test_without_landlock_root_becomes_another_user(ground, monkeypatch):
    monkeypatch.setattr(sandbox, "_others_can_read", lambda folder: True)
    os.chmod(ground.secret, 0o600)
    assert ground.run(attacks.read_file, off={"file access", "own user"})[0] == "done"
    assert ground.run(attacks.read_file, off={"file access"}) == ("refused", "EACCES")
    assert ground.run(write_scratch, off={"file access"}) == ("done", "written")


@as_root
def test_root_keeps_no_capability(ground):
    os.chmod(ground.secret, 0o600)
    os.chown(ground.secret, NOBODY, NOBODY)
    others = {"file access", "own user"}
    assert ground.run(attacks.read_file, off={*others, "privileges"})[0] == "done"
    assert ground.run(attacks.read_file, off=others) == ("refused", "EACCES")


def write_scratch(g):
    (g.scratch / "file").write_text("written")
    return (g.scratch / "file").read_text()


@pytest.mark.parametrize(
    "attack", [attacks.overwrite_file, attacks.truncate_file, attacks.change_attribute]
)
@pytest.mark.parametrize("ground", USERS, indirect=True)
def test_nothing_outside_is_changed(ground, attack):
    os.chmod(ground.secret, 0o666)
    assert ground.run(attack)[0] == "refused"
    assert ground.secret.read_text() == "the answer"


def test_a_change_of_mode_is_only_said_to_be_made(ground):
    before = ground.secret.stat()
    assert ground.run(lambda g: os.chmod(g.secret, 0o777)) == ("done", None)
    assert ground.secret.stat() == before


def test_the_course_cannot_be_read(ground):
    assert ground.run(attacks.read_tests_of_the_course) == ("refused", "EACCES")
    assert ground.run(lambda g: len(Path(sandbox.__file__).read_text()))[0] == "done"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="not run: needs x86-64")
def test_calls_of_32_bit_programs_are_refused(ground):
    if ground.run(attacks.call_as_32_bit, off=seccomp.NAMES)[0] != "done":
        pytest.skip("not run: this kernel runs no 32-bit programs")
    assert ground.run(attacks.call_as_32_bit) == ("refused", "EPERM")


@pytest.mark.parametrize("attack", [attacks.read_judge_environment, attacks.write_judge_memory])
@pytest.mark.parametrize("ground", ["nobody"], indirect=True)
@as_root
def test_judge_that_protects_itself_cannot_be_read(ground, attack):
    off = {*attacks.OTHER_MEMORY, "file access"}
    assert ground.run(attack, off=off)[0] == "done"
    ground.protect_judge = True
    assert ground.run(attack, off=off) == ("refused", "EACCES")


@pytest.mark.parametrize("off", [(), ("end with parent",)])
def test_worker_ends_with_its_zygote(ground, off):
    alive, held = os.pipe()  # it ends when nobody holds the other end any more
    zygote = os.fork()
    if not zygote:
        os.close(alive)
        ready, is_ready = os.pipe()
        if not os.fork():
            ground.scratch.mkdir()
            sandbox.confine(ground.scratch, off=off, keep=[held, is_ready])
            os.write(is_ready, b"x")
            time.sleep(0.5)
            os.write(held, b"it lives on")
            os._exit(0)
        os.read(ready, 1)
        os._exit(0)
    os.close(held)
    os.waitpid(zygote, 0)
    with open(alive, "rb") as pipe:
        assert pipe.read() == (b"it lives on" if off else b"")


def test_memory_that_is_gone_takes_only_the_worker(ground):
    def grow(g):
        kept = []
        while True:
            kept.append(bytes(10 << 20))

    assert ground.run(grow) == ("raised", "MemoryError: ")


def test_a_limit_cannot_be_raised_again(ground):
    def raise_limit(g):
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert ground.run(raise_limit)[0] == "raised"


# ------------------------------------------------------------------------- what goes on working


def test_scratch_folder_is_the_workers_own(ground):
    assert ground.run(lambda g: os.getcwd() == str(g.scratch) == tempfile.gettempdir())[1]
    needs(ground, "disk space")
    assert ground.run(write_scratch) == ("done", "written")
    assert list(ground.scratch.iterdir()) == []


def test_scratch_folder_is_made_where_it_is_missing(ground):
    def work(g):
        return os.listdir(g.scratch / "deeper")

    assert ground.run(work, scratch=ground.scratch / "deeper") == ("done", [])


def test_further_folders_can_be_read_and_written(ground):
    shared = ground.folder / "shared"
    shared.mkdir()

    def work(g):
        (shared / "new").write_text(g.secret.read_text())
        g.secret.write_text("x")

    more = {"readable": [ground.secret], "writable": [shared]}
    assert ground.run(work, **more) == ("refused", "EACCES")
    assert (shared / "new").read_text() == "the answer"
    assert ground.secret.read_text() == "the answer"


def test_standard_input_is_empty(ground):
    assert ground.run(lambda g: os.read(0, 10).decode()) == ("done", "")


def test_kept_files_stay_open(ground):
    result = ground.run(attacks.read_inherited_file, keep=[ground.inherited])
    assert result == ("done", "the answer")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "bubblewrap"])
def test_what_an_answer_may_need_goes_on_working(tmp_path, wrapped):
    script = Path(__file__).with_name("legitimate.py")
    command = [sys.executable, str(script), str(tmp_path / "scratch")]
    if wrapped:
        needs_bubblewrap()
        command = sandbox.wrapped(command, readable=[script])
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"imported": []}


# ------------------------------------------------------------------------ what a machine lacks


def test_what_a_machine_does_not_offer_is_reported(ground, monkeypatch):
    def missing(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(landlock, "call", missing)
    monkeypatch.setattr(seccomp, "call", missing)
    found = {name: (active, text) for name, active, text in ground.run(protections)[1]}
    why = "no Landlock: Function not implemented; no seccomp: Function not implemented"
    assert {name for name, (_, text) in found.items() if text == why} == {
        "file access",
        *seccomp.NAMES,
    }
    assert found["file size"] == (True, "RLIMIT_FSIZE, 1 MiB")


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_are_honest(ground, monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    found = {name: (active, text) for name, active, text in ground.run(protections)[1]}
    active = {name for name, (active, _) in found.items() if active}
    everywhere = {"inherited files", "environment"}
    unix = {"own session", "processor time", "file size", "open files", "core dumps"}
    assert active == everywhere | (unix if system == "darwin" else set())
    assert found["network"][1].endswith(f"only on Linux, this is {system}")


def test_landlock_of_before_knows_less(ground, monkeypatch):
    monkeypatch.setattr(landlock, "version", lambda: 3)
    found = {name: text for name, _, text in ground.run(protections)[1]}
    assert (found["file access"], found["links"]) == ("Landlock 3", "seccomp, Landlock 3")
    assert (found["network"], found["signals"]) == ("seccomp", "seccomp")
    assert ground.run(attacks.read_file) == ("refused", "EACCES")


def test_several_threads_are_an_error(ground):
    def work(g):
        end = threading.Event()
        threading.Thread(target=end.wait, daemon=True).start()
        sandbox.confine(g.scratch)

    text = "RuntimeError: confine() wants a process of one thread, this one has 2"
    assert ground.run(work, off=sandbox.NAMES) == ("raised", text)


def test_protection_that_there_is_not_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no protection is called \['net'\]; there are \['inh"):
        sandbox.confine(tmp_path, off=["net"])


def test_asking_changes_nothing_here():
    def settings():
        limits = [resource.getrlimit(kind) for kind in range(16)]
        return limits, dict(os.environ), os.getcwd(), libc.prctl(3), libc.prctl(39)

    before = settings()
    found = sandbox.available()
    assert settings() == before
    assert [p.name for p in found] == ["judge's memory", *sandbox.NAMES, sandbox.BUBBLEWRAP]


# ---------------------------------------------------------------------------------- bubblewrap


def needs_bubblewrap():
    found = sandbox.available()[-1]
    if not found.active:
        pytest.skip(f"not run: bubblewrap: {found.detail}")


INSIDE = """
import json, os, socket, sys
said = socket.socket(fileno=int(sys.argv[1]))
_, (fd,), _, _ = socket.recv_fds(said, 10, 1)
interfaces = [name for _, name in socket.if_nameindex()]
found = [os.read(fd, 10).decode(), sorted(os.listdir("/")), interfaces, os.getppid()]
said.sendall(json.dumps([*found, dict(os.environ)]).encode())
"""


def test_bubblewrap_shows_little_and_passes_sockets(monkeypatch):
    needs_bubblewrap()
    monkeypatch.setenv("KATA_TEST_SECRET", "token")
    mine, theirs = socket.socketpair()
    number = str(theirs.fileno())
    command = sandbox.wrapped([sys.executable, "-c", INSIDE, number])
    reader, writer = os.pipe()
    os.write(writer, b"passed")
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        socket.send_fds(mine, [b"x"], [reader])
        passed, seen, interfaces, parent, variables = json.loads(mine.recv(1 << 16))
        assert process.wait() == 0
    assert passed == "passed"
    assert not {"home", "etc/passwd", "mnt"} & set(seen)
    assert (interfaces, parent) == (["lo"], 1)
    assert "KATA_TEST_SECRET" not in variables
    mine.close()
    for end in (reader, writer):
        os.close(end)


@pytest.mark.parametrize("found", [None, "/bin/false"])
def test_where_bubblewrap_does_not_work_the_command_stays_as_it_is(monkeypatch, found):
    sandbox._bubblewrap.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: found)
    command = [sys.executable, "-c", "pass"]
    assert sandbox.wrapped(command) == command
    sandbox._bubblewrap.cache_clear()


# ------------------------------------------------------------------------------------ the doctor


def test_doctor_shows_the_protections(tmp_path, monkeypatch, capsys):
    found = [
        Protection("file access", True, "Landlock 7"),
        Protection("network", False, "no seccomp: Function not implemented"),
        Protection("bubblewrap", False, "not installed"),
    ]
    monkeypatch.setattr(sandbox, "available", lambda: found)
    result = Kata(Course(tmp_path), monkeypatch, capsys)("doctor", "--grading")
    assert result.code == 1
    assert result.lines == [
        "file access        Landlock 7",
        "network            problem: no seccomp: Function not implemented",
        "bubblewrap         not installed (optional)",
        "",
        "1 problem to solve.",
    ]


def test_doctor_is_content_with_the_rest(tmp_path, monkeypatch, capsys):
    found = [Protection("file access", True, "Landlock 7")]
    monkeypatch.setattr(sandbox, "available", lambda: found)
    result = Kata(Course(tmp_path), monkeypatch, capsys)("doctor", "--grading")
    assert (result.code, result.lines[-1]) == (0, "Everything needed is here.")
