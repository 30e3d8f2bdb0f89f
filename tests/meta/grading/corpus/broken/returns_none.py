"""
exercise: 1.5
tries: a forgotten return
at_most: 0.1
verdict: wrong
"""


def merge_pair(ids, pair, new_id):
    merged = [new_id if symbol == pair[0] else symbol for symbol in ids]
