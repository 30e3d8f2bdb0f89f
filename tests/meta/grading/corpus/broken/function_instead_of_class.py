"""
exercise: 2.6
tries: a function where a module is asked for
points: 0
"""


def LayerNorm(x, eps=1e-5):
    return x
