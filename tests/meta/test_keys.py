"""`kata.keys`: single keys, and a terminal that is as it was before when it is over."""

import queue
import shutil
import signal
import subprocess
import sys

import pytest

from kata import keys
from kata.keys import END, RESUMED, Keys

pytest.importorskip("termios")

from tests.meta.minicourse import PROJECT
from tests.meta.person import SECONDS, Person, until

pytestmark = pytest.mark.timeout(300)
LISTEN = """
import queue
from kata.keys import Keys
pressed = queue.SimpleQueue()
with Keys(pressed.put) as keys:
    print("ready", keys.available, flush=True)
    while (key := pressed.get()) not in ("q", ""):
        print("key", ascii(key), flush=True)
        if key == "e":
            raise SystemExit(3)
print("end", ascii(key), flush=True)
"""


@pytest.fixture
def person():
    person = Person([sys.executable, "-c", LISTEN], PROJECT)
    person.sees("ready True")
    yield person
    person.kill()


def test_each_key_is_told_at_once_and_not_shown(person):
    person.presses("h")
    person.sees("key 'h'\n")
    assert person.news == "key 'h'\n"
    person.presses("N")
    person.sees("key 'n'\n")


def test_arrows_and_other_long_keys_are_nothing(person):
    person.presses("\x1b[H")
    person.presses("x")
    person.sees("key 'x'\n")
    assert person.seen.count("key") == 1


@pytest.mark.parametrize(("typed", "code"), [("q", 0), ("e", 3), ("\x04", 0)])
def test_terminal_is_put_back_at_the_end(person, typed, code):
    assert person.is_quiet()
    person.presses(typed)
    assert person.ends() == code
    assert person.left_as_before()


def test_terminal_is_put_back_after_an_interrupt(person):
    person.presses("\x03")
    person.sees("KeyboardInterrupt")
    person.ends()
    assert person.left_as_before()


@pytest.mark.skipif(not shutil.which("bash"), reason="not run: needs a shell with job control")
def test_ctrl_z_gives_the_shell_its_terminal_back():
    person = Person(["bash", "--norc", "--noprofile", "-i"], PROJECT, PS1="$ ")
    try:
        person.sees("$ ")
        person.presses(f"{sys.executable} -c '{LISTEN}'\n")
        person.sees("ready True")
        person.presses("\x1a")
        person.sees("Stopped", "$ ")
        person.presses("echo is $((20 + 3))\n")
        person.sees("is 23")
        person.presses("fg\n")
        person.sees(f"key {RESUMED!r}")
        assert person.is_quiet()
        person.presses("hq")
        person.sees("key 'h'", "end 'q'", "$ ")
    finally:
        person.kill()


def test_end_is_told_when_the_terminal_goes_away(tmp_path):
    said = tmp_path / "said"
    code = "import signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code += f"sys.stdout = open({str(said)!r}, 'w')\n{LISTEN}"
    person = Person([sys.executable, "-c", code], PROJECT)
    until(lambda: said.exists() and said.read_text() == "ready True\n")
    person.goes_away()
    assert person.ends() == 0
    assert said.read_text() == "ready True\nend ''\n"


def listen(**stdin):
    return subprocess.Popen(
        [sys.executable, "-c", LISTEN], cwd=PROJECT, stdout=subprocess.PIPE, text=True, **stdin
    )


def test_pipe_has_no_keys_but_an_end():
    with listen(stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready False\n"
        out, _ = process.communicate("hq", timeout=SECONDS)
    assert (out, process.returncode) == ("end ''\n", 0)


def test_nothing_at_all_is_no_end():
    with listen(stdin=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == "ready False\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.kill()


class Console:
    """Stands in for msvcrt: a few characters, and then nothing more."""

    def __init__(self, typed):
        self.typed = list(typed)

    def kbhit(self):
        return bool(self.typed)

    def getwch(self):
        return self.typed.pop(0)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("hN", ["h", "n"]),
        ("\xe0Hx", ["x"]),
        ("\x00;x", ["x"]),
        ("h\x04", ["h", END]),
    ],
)
def test_keys_of_windows_are_told_alike(monkeypatch, typed, told):
    monkeypatch.setitem(sys.modules, "msvcrt", Console(typed))
    monkeypatch.delattr(signal, "SIGTSTP")
    monkeypatch.setattr(keys, "is_terminal", lambda: True)
    pressed = queue.SimpleQueue()
    with Keys(pressed.put):
        assert [pressed.get(timeout=SECONDS) for _ in told] == told


def test_ctrl_c_that_windows_gives_as_a_key_interrupts(monkeypatch):
    monkeypatch.setitem(sys.modules, "msvcrt", Console("\x03"))
    monkeypatch.delattr(signal, "SIGTSTP")
    monkeypatch.setattr(keys, "is_terminal", lambda: True)
    raised = queue.SimpleQueue()
    monkeypatch.setattr(signal, "raise_signal", raised.put)
    with Keys(lambda key: None):
        assert raised.get(timeout=SECONDS) == signal.SIGINT


@pytest.mark.parametrize("stdin", [None, object()])
def test_missing_standard_input_is_no_terminal(monkeypatch, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    assert not keys.is_terminal()
