"""
exercise: 1.5
tries: nothing but comments
points: 0
verdict: crash
"""

# def merge_pair(ids, pair, new_id):
#     I did not get this far.
