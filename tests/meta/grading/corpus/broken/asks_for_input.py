"""
exercise: 1.5
tries: a question to somebody at a keyboard, at the top level
points: 0
verdict: crash
"""

name = input("What is your name? ")


def merge_pair(ids, pair, new_id):
    return []
