"""
exercise: 1.5
tries: a function of another number of parameters
points: 0
verdict: crash
"""


def merge_pair(ids, pair):
    return ids
