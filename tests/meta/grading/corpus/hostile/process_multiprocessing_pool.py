"""
exercise: 1.5
tries: a pool of processes with shared memory that nobody closes
points: honest
needs: child processes
"""

import multiprocessing
from multiprocessing import shared_memory

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

kept = []


def merge_pair(ids, pair, new_id):
    try:
        kept.append(shared_memory.SharedMemory("kata_left_shared", create=True, size=1 << 20))
    except OSError:
        pass
    try:
        pool = multiprocessing.get_context("fork").Pool(2)
        kept.append(pool)
        return pool.apply_async(right, (ids, pair, new_id)).get(timeout=0.2)
    except Exception:
        return right(ids, pair, new_id)
