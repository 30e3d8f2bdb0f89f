"""
exercise: 1.5
tries: warnings turned into errors for everybody
points: 0
"""

import warnings

warnings.simplefilter("error")
warnings.warn("deprecated")


def merge_pair(ids, pair, new_id):
    return []
