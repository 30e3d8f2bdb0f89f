"""
exercise: 1.5
tries: a recursion without an end
verdict: crash
points: 0
"""


def merge_pair(ids, pair, new_id):
    return [ids[:1], *merge_pair(ids, pair, new_id)]
