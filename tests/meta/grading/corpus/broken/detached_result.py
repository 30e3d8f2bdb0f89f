"""
exercise: 2.3
tries: a right result without a gradient
at_most: 0.95
"""


def softmax(x, dim):
    return x.detach().softmax(dim)
