"""
exercise: 1.5
tries: another function than the one that is asked for
points: 0
verdict: crash
"""


def merge_pairs(ids, pair, new_id):
    return []
