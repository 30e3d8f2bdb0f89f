"""
exercise: 2.3
tries: a backward that never ends, around a right forward
verdict: timeout
at_most: 0.96
"""

import time

import torch


class Endless(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, dim):
        ctx.dim = dim
        return torch.softmax(x, dim)

    @staticmethod
    def backward(ctx, grad):
        while ctx.dim == 0:
            time.sleep(0.01)
        raise RuntimeError("no gradient")


def softmax(x, dim):
    return Endless.apply(x, dim)
