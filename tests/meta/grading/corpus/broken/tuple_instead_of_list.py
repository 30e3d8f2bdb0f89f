"""
exercise: 1.5
tries: a tuple where a list is asked for
at_most: 0.2
verdict: wrong
"""


def merge_pair(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if hit else ids[i])
        i += 1 + hit
    return tuple(merged)
