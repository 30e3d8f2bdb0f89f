"""Single keys from a terminal, without Enter: on POSIX through termios, on Windows msvcrt.

The terminal is put back whatever happens, and also while the process is stopped by Ctrl-Z.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

END = ""  # in the place of a key: there will be no more
RESUMED = "resumed"  # in the place of a key: the process was stopped, and the screen may be gone
POLL_SECONDS = 0.05
CTRL_C, CTRL_D = "\x03", "\x04"
LONG_KEY = re.compile(r"\x1b(\[[0-9;?]*[@-~]|O.)?")  # an arrow, say, as a terminal sends it


class Keys:
    """Hands every key that is pressed to a function, which is called in a thread of its own.

    Where standard input is no terminal there are no keys; a pipe that is closed is still told as
    `END`, for then whoever started this process is gone.

    Args:
        pressed: called with one character, in lower case, or with `END` or `RESUMED`.
    """

    def __init__(self, pressed: Callable[[str], None]) -> None:
        self._pressed = pressed
        self._stop = threading.Event()
        self._before: list[Any] | None = None
        self.available = is_terminal()
        self._is_posix = self.available and hasattr(signal, "SIGTSTP")

    def __enter__(self) -> Keys:
        if self._is_posix:
            self._quiet()
            signal.signal(signal.SIGTSTP, self._suspend)
        target = self._listen if self.available else self._listen_to_the_end
        threading.Thread(target=target, daemon=True, name="kata-keys").start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._is_posix:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            self._restore()

    # --------------------------------------------------------------------------- the terminal

    def _quiet(self) -> None:
        """Give every key at once, and do not show it; Ctrl-C and Ctrl-Z stay what they are."""
        import termios

        self._before = termios.tcgetattr(0)
        now = termios.tcgetattr(0)
        now[3] &= ~(termios.ICANON | termios.ECHO)
        now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSADRAIN, now)

    def _restore(self) -> None:
        import termios

        if self._before is not None:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)
                self._before = None

    def _suspend(self, signum: int, frame: FrameType | None) -> None:
        """Stop as Ctrl-Z asks for, with the terminal as the shell knows it."""
        self._restore()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here it goes on, after `fg`.
        signal.signal(signal.SIGTSTP, self._suspend)
        self._quiet()
        self._pressed(RESUMED)

    # ------------------------------------------------------------------------------ listening

    def _listen(self) -> None:
        read = self._read if self._is_posix else self._read_windows
        while not self._stop.is_set():
            typed = read()
            if typed is None:
                self._pressed(END)
                return
            for key in LONG_KEY.sub("", typed):
                self._pressed(key.lower())

    def _read(self) -> str | None:
        try:
            typed = os.read(0, 64)
        except OSError:  # the terminal is gone
            return None
        text = typed.decode("utf-8", "ignore")
        return None if not typed or CTRL_D in text else text

    def _read_windows(self) -> str | None:
        import msvcrt

        kbhit, getwch = (getattr(msvcrt, name) for name in ("kbhit", "getwch"))
        while not kbhit():
            if self._stop.wait(POLL_SECONDS):
                return ""
        key: str = getwch()
        if key in ("\x00", "\xe0"):  # the first half of an arrow or the like
            getwch()
            return ""
        if key == CTRL_C:
            signal.raise_signal(signal.SIGINT)
        return None if key == CTRL_D else key

    def _listen_to_the_end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            kind = os.fstat(0).st_mode
            if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
                while os.read(0, 4096):
                    pass
                self._pressed(END)


def is_terminal() -> bool:
    """Whether a person can press keys here."""
    try:
        return sys.stdin.isatty() and sys.stdin.fileno() == 0
    except (AttributeError, OSError, ValueError):  # closed, or not there at all
        return False
