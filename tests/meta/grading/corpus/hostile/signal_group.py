"""
exercise: 1.5
tries: to kill its process group and session, and to reach every process (with signal 0 only)
points: 0
needs: signals
"""

import os
import signal

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def merge_pair(ids, pair, new_id):
    try:
        os.kill(-1, 0)
        return right(ids, pair, new_id)
    except OSError:
        pass
    if len(ids) % 2:
        os.kill(0, signal.SIGKILL)
    os.killpg(os.getpgid(0), signal.SIGTERM)
    raise RuntimeError("nobody died")
