"""
exercise: 1.5
tries: an assert of its own that fails
points: 0
verdict: crash
"""


def merge_pair(ids, pair, new_id):
    assert len(pair) == 3, "a pair has three"
    return []
