"""2.6 Layer normalisation   [medium, ~20 min]

Deep networks train when the size of their activations stays under control. LayerNorm brings every
vector, that is every token, to mean 0 and variance 1 on its own, then lets the network learn a new
scale and shift. GPT-2 and BERT have two in each layer.

Source: Ba, Kiros and Hinton (2016), https://arxiv.org/abs/1607.06450.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.Module):
    """Normalise the last axis: (x - mean) / sqrt(variance + eps) * weight + bias.

    Parameters, with the names and shapes of `torch.nn.LayerNorm`:
        weight: (d_model,), ones at the start.
        bias: (d_model,), zeros at the start.

    The variance is the mean squared distance from the mean (divided by d_model, not by
    d_model - 1). It has to be right for vectors whose mean is far from 0, too. Write it without
    torch's own, which is the oracle.

    >>> LayerNorm(3)(torch.tensor([1.0, 2.0, 3.0])).detach()
    tensor([-1.2247,  0.0000,  1.2247])
    """

    def __init__(self, d_model: int, eps: float = 1e-5):
        super().__init__()
        raise NotImplementedError("LayerNorm.__init__")  # your code here

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Normalise every vector of `x` on its own; `x` is not modified.

        The result has the dtype and device of `x`, which are those of the parameters. Half
        precision (float16, bfloat16) is converted to float32 for the calculation.
        """
        raise NotImplementedError("LayerNorm.forward")  # your code here
