"""
exercise: 1.5
tries: values that break a reader: an int of a million digits, endless nesting, a list in itself
points: 0
"""


def merge_pair(ids, pair, new_id):
    if len(ids) == 6:
        return 10**1_000_000
    if len(ids) == 3:
        loop = []
        loop.append(loop)
        return loop
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep if len(ids) % 2 else [float("nan"), float("inf"), -0.0, "\ud800", b"\xff", {1: deep}]
