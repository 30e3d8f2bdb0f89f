"""
exercise: 1.5
tries: a syntax error in the middle
points: 0
verdict: crash
"""


def merge_pair(ids, pair, new_id):
    merged = []
    for i in range(len(ids)
        merged.append(ids[i])
    return merged
