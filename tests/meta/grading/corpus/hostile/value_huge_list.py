"""
exercise: 1.5
tries: a list of ten million numbers, which no reader wants
points: 0
"""


def merge_pair(ids, pair, new_id):
    if len(ids) == 6:
        return [0] * 10_000_000
    raise RuntimeError("only once")
