"""
exercise: 1.5
tries: a loop that forgets to go on
verdict: timeout
at_most: 0.2
"""


def merge_pair(ids, pair, new_id):
    merged, i = [], 0
    if len(ids) != 6:
        return merged
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            i += 2
