"""
exercise: 2.6
tries: names with escapes and markup, a metaclass that answers for everything, a lying __new__
points: 0
"""

import torch
from torch import nn


class Meta(type):
    def __call__(cls, *args, **kwargs):
        return Answer.__new__(Answer)

    def __instancecheck__(cls, other):
        return True

    def __getattr__(cls, name):
        return cls


class Answer(nn.Module, metaclass=Meta):
    def __getattr__(self, name):
        raise ValueError("<script>kata_injected</script> \x1b]0;kata_injected\x07 \u202egnorw")

    def forward(self, x):
        return torch.zeros_like(x)


class LayerNorm(metaclass=Meta):
    pass


for cls in (Answer, LayerNorm):
    cls.__name__ = cls.__qualname__ = "\x1b]0;kata_injected\x07<script>kata_injected</script>\n\n# x"
