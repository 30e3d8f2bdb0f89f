"""
exercise: 2.3
tries: more results than were asked for
at_most: 0.1
"""


def softmax(x, dim):
    return x.softmax(dim), x.sum()
