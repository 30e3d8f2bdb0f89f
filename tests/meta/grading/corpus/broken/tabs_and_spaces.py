"""
exercise: 1.5
tries: tabs and spaces mixed in one block
points: 0
verdict: crash
"""


def merge_pair(ids, pair, new_id):
        merged = []
	return merged
