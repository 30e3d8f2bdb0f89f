"""
exercise: 1.5
tries: an import of another exercise by the name of the folder, as an editor writes it
points: 0
verdict: crash
"""

from exercises.ch01_tokenizers.ex04_get_pair_counts import get_pair_counts


def merge_pair(ids, pair, new_id):
    return get_pair_counts(ids)
