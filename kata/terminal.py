"""Writing to whatever stdout is: a wide or narrow terminal, a pipe, an old Windows code page."""

from __future__ import annotations

import io
import os
import sys
from typing import Literal, NoReturn

from rich.console import Console
from rich.text import Text

READABLE = 88


def prepare() -> None:
    """Let a character that the terminal cannot show be written as an escape, not crash."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write what is left for stdout, while an error can still be told.

    Raises:
        OSError: it cannot be written, to a full disk say.
    """
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        sys.stdout = None  # else Python tries again at its end
        raise


def screen() -> Console:
    """Where results are written; made at each use, because stdout can be replaced."""
    # For NO_COLOR rich leaves out colours, but not bold and dim.
    styles: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(color_system=styles, markup=False, highlight=False, emoji=False)


def say(text: str | Text = "", style: str = "") -> None:
    """Write a line that the terminal may wrap, but that is never cut: paths stay clickable."""
    screen().print(text, style=style, soft_wrap=True)


def paragraph(text: str) -> None:
    """Write prose, wrapped between words."""
    console = screen()
    console.print(text, width=min(console.width, READABLE))


def stop(message: str, code: int) -> NoReturn:
    """End with one line on stderr."""
    print(f"kata: {message}", file=sys.stderr)
    sys.exit(code)
