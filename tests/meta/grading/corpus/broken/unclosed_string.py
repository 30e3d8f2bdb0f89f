"""
exercise: 1.5
tries: a string that is not closed
points: 0
verdict: crash
"""


def merge_pair(ids, pair, new_id):
    """Merge.
    return ids
