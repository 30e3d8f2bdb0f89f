"""
exercise: 1.5
tries: a segmentation fault
points: 0
verdict: crash
"""

import ctypes


def merge_pair(ids, pair, new_id):
    return ctypes.string_at(0)
