"""
exercise: 2.6
tries: a layer whose parameters, state and modes are lies: endless, wrong names, raising, huge
points: 0
verdict: timeout|crash|wrong
"""

import itertools

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.full((d_model,), 7.0))

    def named_parameters(self, *args, **kwargs):
        return zip(itertools.cycle(["weight", "bias"]), itertools.repeat(self.weight))

    def parameters(self, recurse=True):
        return itertools.repeat(self.weight)

    def state_dict(self, *args, **kwargs):
        return {"weight": torch.zeros(1).expand(1 << 40), "../../x": self}

    def load_state_dict(self, *args, **kwargs):
        return self

    def to(self, *args, **kwargs):
        return nn.Identity()

    def __call__(self, x):
        return nn.Parameter(torch.zeros(1, 1, 1, 1, 1))

    def __getattr__(self, name):
        return super().__getattr__("weight" if name != "weight" else name)
