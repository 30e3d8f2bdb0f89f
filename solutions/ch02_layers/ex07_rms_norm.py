"""2.7 RMS normalisation   [medium, ~15 min]

LayerNorm (exercise 2.6) without the mean and without the bias: only the length of a vector is
brought under control. It is cheaper, works as well, and is what Llama and most later models use.

Source: Zhang and Sennrich (2019), https://arxiv.org/abs/1910.07467, equation 4.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """Divide by the root mean square of the last axis: x / sqrt(mean(x^2) + eps) * weight.

    Parameters, with the names and shapes of `torch.nn.RMSNorm`:
        weight: (d_model,), ones at the start.

    Write it without torch's own, which is the oracle.

    >>> RMSNorm(4)(torch.tensor([1.0, -1.0, 7.0, 7.0])).detach()
    tensor([ 0.2000, -0.2000,  1.4000,  1.4000])
    """

    def __init__(self, d_model: int, eps: float = 1e-5):
        super().__init__()
        # solution
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Normalise every vector of `x` on its own; `x` is not modified.

        The result has the dtype and device of `x`, which are those of the weight. Half precision
        (float16, bfloat16) is converted to float32 for the calculation, and rounded back just
        before or just after the multiplication by the weight.
        """
        # solution
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        normed = wide * (wide.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return (normed * self.weight).to(x.dtype)
