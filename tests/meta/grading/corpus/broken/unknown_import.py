"""
exercise: 1.5
tries: an import of a package that is not installed
points: 0
verdict: crash
"""

import tensorflow_of_my_laptop as tf


def merge_pair(ids, pair, new_id):
    return tf.merge(ids, pair, new_id)
