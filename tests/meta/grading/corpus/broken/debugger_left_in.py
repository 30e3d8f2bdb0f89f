"""
exercise: 1.5
tries: a breakpoint
points: 0
"""


def merge_pair(ids, pair, new_id):
    breakpoint()
    raise RuntimeError("after the breakpoint")
