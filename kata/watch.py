"""`kata watch`: an exercise is checked whenever its file is saved, at once."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Annotated

import typer

from kata import complete
from kata.terminal import say

INTERRUPTED = 130
ENDED = "Stopped watching. `kata watch` goes on with what is next."


def watch(
    exercise: Annotated[
        str | None,
        typer.Argument(
            help="a number (1.5); without it, what comes next", autocompletion=complete.exercises
        ),
    ] = None,
    own: Annotated[
        bool, typer.Option("--own", help="imports come from your files, not from solutions")
    ] = False,
    poll: Annotated[
        bool, typer.Option("--poll", help="look again and again: for network folders")
    ] = False,
) -> None:
    """Check an exercise whenever you save it, at once."""
    from kata import cli
    from kata.watcher import Watcher

    course = cli.the_course()
    found = course.find(exercise) if exercise else cli.following(course)
    try:
        with _orderly_end():
            Watcher(course, found, own, poll).run()
    except KeyboardInterrupt:
        say()
        say(ENDED)
        sys.exit(INTERRUPTED)
    say(ENDED)


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """Let a signal that ends the process put the terminal back first."""

    def end(signum: int, frame: FrameType | None) -> None:
        sys.exit(128 + signum)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), end) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
