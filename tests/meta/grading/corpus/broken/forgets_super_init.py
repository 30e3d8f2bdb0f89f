"""
exercise: 2.6
tries: a module whose __init__ does not call torch's
points: 0
verdict: crash
"""

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x):
        return x * self.weight + self.bias
