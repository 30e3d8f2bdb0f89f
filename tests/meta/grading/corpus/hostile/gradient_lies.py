"""
exercise: 2.3
tries: a backward that raises, returns another shape, nothing, or ends the process
at_most: 0.9
"""

import os

import torch


class Lie(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, dim):
        ctx.dim = dim
        return torch.softmax(x, dim)

    @staticmethod
    def backward(ctx, grad):
        if ctx.dim == 0:
            os._exit(0)
        return torch.zeros(1).expand(grad.numel() << 20), None


def softmax(x, dim):
    return Lie.apply(x, dim)
