"""
exercise: 2.3
tries: to make the argument another tensor: other size, other dtype, other memory, no elements
at_most: 0.15
"""

import torch


def softmax(x, dim):
    with torch.no_grad():
        if x.dim() == 1:
            x.resize_(0)
        elif x.dim() == 2:
            x.data = torch.zeros(0, dtype=torch.float64)
        else:
            x.set_(torch.zeros(1).expand(1 << 20).storage())
    return torch.zeros(0)
