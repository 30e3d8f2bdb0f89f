"""
exercise: 2.3
tries: a right result that hangs on the graph of a model of its own, which goes on for ever
points: honest
"""

import torch

own = torch.zeros(1, requires_grad=True)


def softmax(x, dim):
    result = torch.softmax(x, dim)
    for _ in range(2000):
        result = result + own.to(result.dtype)
    return result
