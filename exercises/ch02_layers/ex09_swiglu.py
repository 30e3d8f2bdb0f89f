"""2.9 SiLU and SwiGLU   [easy, ~20 min]

The MLP of Llama, Mistral, Qwen and most models after them. One branch, the gate, decides by how
much each hidden unit of the other branch is let through. SiLU is the gate's activation: x times its
own sigmoid, so it is smooth, and slightly negative below zero. Builds on `Linear` (2.1).

Source: Shazeer (2020), https://arxiv.org/abs/2002.05202, equation 6; SiLU: Elfwing, Uchibe and Doya
(2017), https://arxiv.org/abs/1702.03118.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .ex01_linear import Linear


def silu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return x * sigmoid(x), element by element.

    The value and its gradient are finite for every finite `x`, however large. The result has the
    shape, dtype and device of `x`, and `x` is not modified. torch has `sigmoid`; its own SiLU is
    the oracle.

    >>> silu(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.2689,  0.0000,  1.7616])
    """
    raise NotImplementedError("silu")  # your code here


class SwiGLU(nn.Module):
    """Two layers up, one of them a gate, and one layer down: w2(silu(w1(x)) * w3(x)).

    Parameters, all of them, in the (out, in) layout of `Linear`; no layer has a bias:
        w1.weight: (d_ff, d_model), the gate (`gate_proj` in Llama's checkpoints).
        w2.weight: (d_model, d_ff), the way down (`down_proj`).
        w3.weight: (d_ff, d_model), the way up (`up_proj`).

    >>> mlp = SwiGLU(d_model=4, d_ff=11)
    >>> mlp(torch.ones(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        raise NotImplementedError("SwiGLU.__init__")  # your code here

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Transform the last axis of `x`; every other axis stays as it is."""
        raise NotImplementedError("SwiGLU.forward")  # your code here
