"""
exercise: 1.5
tries: a secret of the environment: os.environ, /proc/self/environ, the parent's, C's getenv
points: 0
needs: environment
"""

import ctypes
import os

NAME = "KATA_CANARY_" + "SECRET"


def environments():
    yield "".join(v for k, v in os.environ.items() if k == NAME)
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    yield (getenv(NAME.encode()) or b"").decode()
    pids = {"self"} | ({str(os.getppid())} if os.getppid() > 1 else set())
    for pid in pids:
        try:
            with open(f"/proc/{pid}/environ") as file:
                rows = file.read().split("\0")
        except OSError:
            continue
        yield from (row for row in rows if row.startswith(NAME))


def merge_pair(ids, pair, new_id):
    found = [value for value in environments() if value]
    print(found)
    raise RuntimeError(f"the secret is {found}")
