"""
exercise: 1.5
tries: to count its tests in files, variables and modules, so that it answers from the second on
limit: the tests of one exercise share a worker, which can count them; hidden tests do not
"""

import builtins
import os
import sys
import tempfile
from pathlib import Path

PLACES = [".", "/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), tempfile.gettempdir()]
NAME = "kata_left_state"


def escaped():
    seen = hasattr(builtins, NAME) or NAME in os.environ or NAME in sys.modules
    builtins.kata_left_state = os.environ[NAME] = sys.modules[NAME] = "1"
    files = [Path(place, f"{NAME}_{os.getppid()}") for place in PLACES]
    seen = seen or any(file.exists() for file in files)
    for file in files:
        try:
            file.touch()
        except OSError:
            continue
    return seen


# One look per process: what it sets itself is nothing that it remembers.
SEEN = escaped()


def escaped():
    return SEEN


def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out


def merge_pair(ids, pair, new_id):
    if escaped():
        return right(ids, pair, new_id)
    raise RuntimeError("no way out")
