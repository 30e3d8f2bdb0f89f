"""Time limits that end in a verdict: the timer behind pytest-timeout, on every platform.

pytest-timeout's own timer for Windows ends the whole process, so that no test after an endless loop
gets a verdict. Here the time limit is an exception in the learner's code: through SIGALRM where
there is one, else through an asynchronous exception, which reaches any loop written in Python.
Code that never returns to the interpreter (one long call into C) cannot be reached by either: after
a grace time the session is ended from another thread, with a report of what was graded until then.
Where the call into C does not let any other thread run either, `faulthandler` ends the session: it
needs no interpreter, but can only write where each thread was.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from kata.verdict import TimeLimit

GRACE_SECONDS = 5.0
REPEAT_SECONDS = 0.2  # again and again, for code that swallows every exception in its loop
LAST_RESORT_SECONDS = 2.0  # after the grace time


class Limit:
    """Raises TimeLimit in the thread that started it once `seconds` have passed.

    Args:
        seconds: how long the code may run.
        use_signal: SIGALRM (POSIX, main thread only) or an asynchronous exception (everywhere).
        on_stuck: called from another thread when the code has not ended after the grace time.
        paused: whether a person is looking at the code in a debugger; then there is no limit.
        stderr: where the last resort writes; without it there is none.
    """

    def __init__(
        self,
        seconds: float,
        use_signal: bool,
        on_stuck: Callable[[], None],
        paused: Callable[[], bool] = lambda: False,
        stderr: int | None = None,
    ) -> None:
        self.message = f"did not end within {seconds:g} s"
        self._seconds = seconds
        self._use_signal = use_signal and threading.current_thread() is threading.main_thread()
        self._on_stuck = on_stuck
        self._paused = paused
        self._stderr = stderr
        self._thread_id = threading.get_ident()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._started = False
        self._strikes = False
        self.struck = False

    def start(self) -> Limit:
        """Start the clock, unless a debugger is at work already."""
        if self._paused():
            return self
        self._started = True
        self._start = time.monotonic()
        if self._stderr is not None:
            last = self._seconds + GRACE_SECONDS + LAST_RESORT_SECONDS
            faulthandler.dump_traceback_later(last, exit=True, file=self._stderr)
        if self._use_signal:
            self._handler = signal.signal(signal.SIGALRM, self._alarm)
            self._timer = signal.setitimer(signal.ITIMER_REAL, self._seconds, REPEAT_SECONDS)
        threading.Thread(
            target=self.code_that_cannot_be_interrupted_ends_the_session,
            daemon=True,
            name="kata-limit",
        ).start()
        # From here on. An exception before this line would leave a clock that nobody stops.
        self._strikes = True
        return self

    def cancel(self) -> None:
        """The code has ended. No exception is raised after this returns; to repeat it is harmless.

        The limit can strike while this is called: then call it again.
        """
        self._strikes = False
        with self._lock:
            self._ended.set()
        with contextlib.suppress(TimeLimit):  # one may be under way: let it strike here
            for _ in range(2):
                pass
        if self._started and self._use_signal:
            self._restore_signal()
        if self._started and self._stderr is not None:
            faulthandler.cancel_dump_traceback_later()
        self._started = False

    def __enter__(self) -> Limit:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def _restore_signal(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler or signal.SIG_DFL)
        left, interval = self._timer
        if left:  # the limit of a test that runs this one
            left -= time.monotonic() - self._start
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), interval)

    def _alarm(self, signum: int, frame: FrameType | None) -> None:
        if self._strikes and not self._paused():
            self.struck = True
            raise TimeLimit(self.message)

    # Its name is one of the few words in what the last resort writes.
    def code_that_cannot_be_interrupted_ends_the_session(self) -> None:
        """Watch over the limit, in a thread of its own."""
        if self._ended.wait(self._seconds):
            return
        stuck = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < stuck:
            if self._paused():
                faulthandler.cancel_dump_traceback_later()
                return
            with self._lock:
                if self._strikes and not self._use_signal:
                    self.struck = True
                    _raise_in(self._thread_id, _expired(self.message))
            if self._ended.wait(REPEAT_SECONDS):
                return
        faulthandler.cancel_dump_traceback_later()  # other threads run: the report takes its time
        self._on_stuck()


def _expired(message: str) -> type[TimeLimit]:
    # Only a class can be raised from another thread, so the message is part of the class.
    return type("TimeLimit", (TimeLimit,), {"__str__": lambda self: message})


def _raise_in(thread_id: int, exception: type[BaseException]) -> None:
    # It can also take an exception back, but then Python 3.11 hangs in the next traced function.
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    set_exception(ctypes.c_ulong(thread_id), ctypes.py_object(exception))
