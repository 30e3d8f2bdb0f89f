"""
exercise: 2.3
tries: a tensor of a terabyte
points: 0
verdict: crash
"""

import torch


def softmax(x, dim):
    return torch.ones(1 << 38) * x.sum()
