"""A person at a terminal: starts a command, reads the screen, presses keys. POSIX only."""

import codecs
import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

SECONDS = 90  # for anything: the machine may be busy
CLEARED = re.compile(r"\x1b\[2J\x1b\[H|\x1b\[H\x1b\[2J")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Makes the terminal the controlling one, so that its Ctrl-C and Ctrl-Z reach the command.
LAUNCH = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def until(condition, what="it"):
    """Wait until something is the case."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.02)


class Person:
    """Works with a program on a terminal of so many columns."""

    def __init__(self, program, cwd, columns=100, **environ):
        self.mine, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.terminal = os.dup(theirs)
        self.before = termios.tcgetattr(theirs)
        environ = {"TERM": "xterm", "NO_COLOR": "1"} | environ
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *program],
            cwd=cwd,
            env={k: v for k, v in os.environ.items() if k != "COLUMNS"} | environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""
        self._since = 0
        self._gone = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with contextlib.suppress(OSError):  # the other side is gone
            while not self._gone.is_set():
                if select.select([self.mine], [], [], 0.05)[0]:
                    self.seen += decode(os.read(self.mine, 65536)).replace("\r", "")

    @property
    def screen(self):
        """What has been written since the screen was cleared."""
        return ESCAPES.sub("", CLEARED.split(self.seen)[-1])

    @property
    def news(self):
        """What has been written since the last action."""
        return ESCAPES.sub("", self.seen[self._since :])

    def sees(self, *texts):
        """Wait until all of this has been written since the last action, in this order."""
        pattern = re.compile(".*".join(map(re.escape, texts)), re.DOTALL)
        try:
            until(lambda: pattern.search(self.news), f"to see {texts}")
        except AssertionError as error:
            raise AssertionError(f"{error}; on the screen is:\n{self.screen}") from None

    def acts(self):
        """What is written from now on answers what is done next."""
        self._since = len(self.seen)

    def presses(self, keys):
        """Press keys."""
        self.acts()
        os.write(self.mine, keys.encode())

    def is_quiet(self):
        """Whether the terminal gives single keys and does not show them."""
        return not termios.tcgetattr(self.terminal)[3] & (termios.ICANON | termios.ECHO)

    def left_as_before(self):
        """Whether the terminal is as it was at the start."""
        return termios.tcgetattr(self.terminal) == self.before

    def ends(self):
        """Wait for the end, and return the exit code."""
        return self.process.wait(SECONDS)

    def goes_away(self):
        """Close the terminal."""
        self._gone.set()
        self._reader.join(SECONDS)
        for file in (self.terminal, self.mine):
            os.close(file)

    def kill(self):
        """End what is left."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        if not self._gone.is_set():
            self.goes_away()
