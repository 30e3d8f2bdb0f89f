"""
exercise: 2.3
tries: a list where a tensor is asked for
at_most: 0.1
"""


def softmax(x, dim):
    return x.softmax(dim).tolist()
