"""
exercise: 1.4
tries: one branch done, and the stub's line in the other
at_most: 0.7
verdict: todo
"""


def get_pair_counts(ids, counts=None):
    if counts is not None:
        raise NotImplementedError("get_pair_counts")  # your code here
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts
