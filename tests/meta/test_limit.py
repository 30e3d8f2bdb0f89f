"""Time limits alone, in the two ways in which they can strike."""

import contextlib
import signal
import sys
import threading
import time
import types

import pytest

from kata import limit
from kata.limit import Limit
from kata.verdict import TimeLimit

needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no SIGALRM here")
BOTH = pytest.mark.parametrize(
    "use_signal",
    [pytest.param(True, id="signal", marks=needs_signals), pytest.param(False, id="thread")],
)


def never():
    raise AssertionError("the code was not stuck")


def loop(seconds):
    """Stay in Python for some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def limit_threads():
    return [t for t in threading.enumerate() if t.name == "kata-limit"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    for thread in limit_threads():
        thread.join(2)
    assert not limit_threads()


@BOTH
def test_code_that_ends_in_time_is_left_alone(use_signal):
    with Limit(0.05, use_signal, never):
        pass
    loop(0.1)


@BOTH
def test_code_that_does_not_end_is_interrupted(use_signal):
    start = time.monotonic()
    with pytest.raises(TimeLimit) as caught, Limit(0.1, use_signal, never):
        loop(5)
    assert 0.1 <= time.monotonic() - start < 2
    assert str(caught.value) == "did not end within 0.1 s"


@BOTH
def test_no_exception_comes_after_the_end(use_signal):
    for _ in range(20):
        with pytest.raises(TimeLimit), Limit(0.01, use_signal, never):
            loop(5)
    loop(0.5)


@BOTH
def test_code_that_catches_exceptions_is_interrupted(use_signal):
    def work():
        while True:
            with contextlib.suppress(Exception):
                loop(0.001)

    with pytest.raises(TimeLimit), Limit(0.1, use_signal, never):
        work()


@BOTH
def test_it_strikes_again_when_it_is_swallowed(use_signal, monkeypatch):
    monkeypatch.setattr(limit, "REPEAT_SECONDS", 0.05)
    struck = 0
    with Limit(0.05, use_signal, never):
        while struck < 3:
            try:
                loop(5)
            except TimeLimit:
                struck += 1
    assert struck == 3


@BOTH
def test_to_cancel_twice_is_harmless(use_signal):
    running = Limit(0.05, use_signal, never).start()
    running.cancel()
    running.cancel()
    loop(0.1)


@BOTH
def test_debuggers_and_coverage_work_afterwards(use_signal):
    with Limit(1, use_signal, never):
        pass
    before = sys.gettrace()
    sys.settrace(lambda frame, event, arg: None)
    try:
        loop(0.01)
    finally:
        sys.settrace(before)


@BOTH
def test_code_that_cannot_be_interrupted_is_reported_from_another_thread(use_signal, monkeypatch):
    monkeypatch.setattr(limit, "GRACE_SECONDS", 0.2)
    reported = []
    running = Limit(
        0.1, use_signal, lambda: reported.append(threading.current_thread().name)
    ).start()
    end = time.monotonic() + 2
    while not reported and time.monotonic() < end:
        with contextlib.suppress(TimeLimit):  # it goes on all the same
            loop(0.01)
    running.cancel()
    assert reported == ["kata-limit"]


@BOTH
def test_a_debugger_stops_the_clock(use_signal):
    with Limit(0.05, use_signal, never, paused=lambda: True):
        loop(0.15)


@BOTH
def test_a_debugger_that_is_entered_later_stops_the_clock(use_signal):
    paused = False
    with Limit(0.1, use_signal, never, paused=lambda: paused):
        paused = True
        loop(0.4)


@needs_signals
def test_a_limit_within_a_limit_leaves_the_outer_one_as_it_was():
    def inner():
        with pytest.raises(TimeLimit, match=r"within 0\.05 s"), Limit(0.05, True, never):
            loop(5)
        loop(5)

    with pytest.raises(TimeLimit, match=r"within 0\.3 s"), Limit(0.3, True, never):
        inner()


@needs_signals
def test_the_handler_of_others_is_put_back():
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        with Limit(1, True, never):
            assert signal.getsignal(signal.SIGALRM) is not signal.SIG_IGN
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGALRM, before)


def test_outside_of_the_main_thread_there_is_a_limit_too():
    caught = []

    def work():
        try:
            with Limit(0.1, True, never):  # signals are for the main thread only
                loop(5)
        except TimeLimit as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(3)
    assert len(caught) == 1


def test_the_last_resort_is_called_off(monkeypatch):
    calls = []
    pretended = types.SimpleNamespace(
        dump_traceback_later=lambda seconds, exit, file: calls.append((seconds, exit, file)),
        cancel_dump_traceback_later=lambda: calls.append("cancelled"),
    )
    monkeypatch.setattr(limit, "faulthandler", pretended)
    with Limit(1, False, never, stderr=2):
        pass
    assert calls == [(8.0, True, 2), "cancelled"]
