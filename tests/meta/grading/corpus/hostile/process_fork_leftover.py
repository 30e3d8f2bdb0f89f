"""
exercise: 1.5
tries: a child that goes on for a minute after the answer was given
points: honest
needs: child processes
"""

import os
import time

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def merge_pair(ids, pair, new_id):
    try:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    except OSError:
        pass
    return right(ids, pair, new_id)
