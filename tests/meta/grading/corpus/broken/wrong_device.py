"""
exercise: 2.3
tries: a device that this machine may not have
at_most: 0.1
"""


def softmax(x, dim):
    return x.to("cuda").softmax(dim)
