"""
exercise: 2.3
tries: a numpy array where a tensor is asked for
at_most: 0.1
"""

import numpy as np


def softmax(x, dim):
    exps = np.exp(x.numpy())
    return exps / exps.sum(dim, keepdims=True)
