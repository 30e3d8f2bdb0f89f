"""
exercise: 7.13
tries: a test that needs a network of its own: sockets of this machine that have a path
points: 0
needs: network
"""

import gc
import os
import socket
from pathlib import Path


def course():
    """The folder of the course, as the session in this process has it."""
    jobs = (x for x in gc.get_objects() if isinstance(x, dict) and "canaries" in x and "root" in x)
    return Path(next(jobs)["root"])


def reached():
    os.chdir(course() / ".kata")
    connection = socket.socket(socket.AF_UNIX)
    connection.connect("canary.sock")
    return connection


def data_parallel_step(*args, **kwargs):
    raise RuntimeError(reached())


def save_on_rank_zero(*args, **kwargs):
    raise RuntimeError(reached())
