"""
exercise: 2.3
tries: float64 whatever came in
at_most: 0.4
"""


def softmax(x, dim):
    return x.double().softmax(dim)
