"""
exercise: 1.5
tries: a file of its own laptop at the top level
points: 0
verdict: crash
"""

DATA = open("/home/me/Desktop/data.txt").read()


def merge_pair(ids, pair, new_id):
    return []
