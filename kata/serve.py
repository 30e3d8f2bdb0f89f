"""`kata playground`: the notebook of chapter 10 as a page, for this machine alone."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from kata.course import CourseError

LOOPBACK = "127.0.0.1"
ANSWERS = "KATA_PLAYGROUND_ANSWERS"  # the tree of `kata playground --answers`
MODELS = "KATA_PLAYGROUND_MODELS"  # more models, as kata.playground_models.named takes them
NOTEBOOK = Path("ch10_playground", "playground.ipynb")
NO_VOILA = (
    "voila, which makes a page of the notebook, is not installed; run: python -m pip install -e . "
    "(without a page: kata playground --terminal)"
)
# Nothing is fetched from elsewhere: the template of voila has links to fonts and the like.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "connect-src 'self' ws://127.0.0.1:*; frame-ancestors 'none'"
)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def check_port(port: int) -> None:
    """Make sure that nobody listens on a port.

    Raises:
        CourseError: somebody does.
    """
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            raise CourseError(f"port {port} is taken; without --port a free one is found")


def serve(notebook: Path, port: int, ready: Callable[[str], None]) -> None:
    """Show a notebook as a page until Ctrl-C; every visit has a Python process of its own.

    The page is reached from this machine only, by whoever knows the token in its address.

    Args:
        notebook: the file.
        port: where to listen; 0 takes a free one.
        ready: is called with the address, as soon as it can be opened.

    Raises:
        CourseError: there is no such notebook, voila is missing, or the port is taken.
    """
    if not notebook.is_file():
        raise CourseError(f"there is no {notebook}")
    try:
        from tornado.ioloop import IOLoop
        from voila.app import Voila
    except ImportError:
        raise CourseError(NO_VOILA) from None
    port = port or free_port()
    check_port(port)
    app = Voila()
    app.initialize([str(notebook.resolve()), "--no-browser"])
    app.ip, app.port, app.port_retries = LOOPBACK, port, 0
    app.log_level = logging.ERROR
    app.token = secrets.token_urlsafe(18)
    app.tornado_settings = {
        "allow_remote_access": False,  # no other Host than this machine's names
        "headers": {"Content-Security-Policy": POLICY},
        "ws_ping_interval": 30_000,
        "ws_ping_timeout": 30_000,  # the default is longer than the interval: tornado warns of it
    }
    if os.name == "posix":
        app.config.KernelManager.transport = "ipc"  # files instead of ports that all users see
    address = f"http://{LOOPBACK}:{port}/?token={app.token}"
    IOLoop.current().add_callback(ready, address)
    app.start()
