"""
exercise: 1.5
tries: print in the place of return
at_most: 0.1
verdict: wrong
"""


def merge_pair(ids, pair, new_id):
    print([new_id if symbol == pair[0] else symbol for symbol in ids])
