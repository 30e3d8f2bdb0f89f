"""
exercise: 2.6
tries: a layer that contains itself, and a hundred layers
points: 0
"""

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(d_model))
        self.layers = nn.ModuleList([nn.Identity() for _ in range(100)])
        self._modules["me"] = self
        self._parameters["a b.c\x1b]0;kata_injected\x07"] = self.weight

    def forward(self, x):
        return self
