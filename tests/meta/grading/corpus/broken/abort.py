"""
exercise: 1.5
tries: os.abort, as a library does that has lost its mind
points: 0
verdict: crash
"""

import os


def merge_pair(ids, pair, new_id):
    os.abort()
