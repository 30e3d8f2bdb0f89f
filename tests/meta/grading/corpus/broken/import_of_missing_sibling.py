"""
exercise: 1.5
tries: an import of a file of its own that it did not hand in
points: 0
verdict: crash
"""

from .my_helpers import merge


def merge_pair(ids, pair, new_id):
    return merge(ids, pair, new_id)
