"""
exercise: 2.6
tries: methods without self
points: 0
verdict: crash
"""

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(d_model, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(x):
        return x
