"""
exercise: 1.5
tries: a number where a function is asked for
points: 0
verdict: crash
"""

merge_pair = 7
