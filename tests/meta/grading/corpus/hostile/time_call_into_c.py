"""
exercise: 1.5
tries: a regular expression that needs centuries and does not let any other thread run
verdict: timeout
points: 0
"""

import re


def merge_pair(ids, pair, new_id):
    if len(ids) == 6:
        re.match(r"(a+)+$", "a" * 60 + "b")
    raise RuntimeError("only once")
