"""
exercise: 1.5
tries: a generator where a list is asked for
at_most: 0.2
"""


def merge_pair(ids, pair, new_id):
    i = 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == pair
        yield new_id if hit else ids[i]
        i += 1 + hit
