"""
exercise: 2.3
tries: sparse, nested, quantised, complex, conjugate, negated and functional tensors
points: 0
"""

import torch


def softmax(x, dim):
    wrong = torch.ones(x.shape)
    kinds = [
        lambda: wrong.to_sparse(),
        lambda: torch.nested.nested_tensor([wrong.flatten()]),
        lambda: torch.quantize_per_tensor(wrong, 0.1, 0, torch.qint8),
        lambda: wrong.to(torch.complex64).conj(),
        lambda: torch._neg_view(wrong),
        lambda: torch._to_functional_tensor(wrong),
        lambda: wrong.to_mkldnn(),
        lambda: torch.nn.UninitializedParameter(),
    ]
    return kinds[x.numel() % len(kinds)]()
