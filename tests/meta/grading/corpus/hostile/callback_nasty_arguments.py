"""
exercise: 5.10
tries: to call the test's model with what no model expects: bombs, objects, itself, nothing
at_most: 0.3
"""

import torch


class Evil:
    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        raise SystemExit

    __eq__ = lambda self, other: True
    __index__ = lambda self: 1 << 40
    __len__ = lambda self: 1 << 62


class SamplingConfig:
    def __init__(self, **kwargs):
        pass


def generate(model, ids, max_new_tokens, *args, **kwargs):
    nasty = [
        torch.zeros(1, 100_000, dtype=torch.int64),
        torch.zeros(1, 1, dtype=torch.int64).expand(1 << 12, 1 << 5),
        torch.full((1, 1), 1 << 62),
        torch.empty(1 << 20, 1 << 20, dtype=torch.int64, device="meta"),
        Evil(),
        model,
        "x" * 1_000_000,
        lambda *a: generate(model, ids, max_new_tokens),
        None,
    ]
    if max_new_tokens != 3:
        raise RuntimeError("only once")
    for argument in nasty:
        try:
            model(argument)
        except Exception:
            continue
    raise RuntimeError("asked")
