"""2.8 GELU   [easy, ~15 min]

GPT-2 and BERT put GELU between the two layers of every MLP. It weighs each number by the chance
that a standard normal variable is smaller than it: like ReLU far from zero, smooth around it. GPT-2
was trained with a cheaper tanh form. The two differ by less than 0.0005, and a pretrained model
still notices when it gets the other one.

Source: Hendrycks and Gimpel (2016), https://arxiv.org/abs/1606.08415, section 2.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


def gelu(
    x: Float[Tensor, "..."], approximate: Literal["none", "tanh"] = "none"
) -> Float[Tensor, "..."]:
    """Return x * P(Z <= x) for a standard normal Z, element by element.

    `"none"` is the exact form, written with the error function:
    P(Z <= x) = (1 + erf(x / sqrt(2))) / 2. `"tanh"` is GPT-2's form:
    P(Z <= x) ~ (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2.

    Finite for every finite `x`, however large. The result has the shape, dtype and device of `x`,
    gradients flow, and `x` is not modified. torch has `erf` and `tanh`; its own GELU is the oracle.

    Raises:
        ValueError: `approximate` is neither `"none"` nor `"tanh"`.

    >>> gelu(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    tensor([-0.1587,  0.0000,  0.8413,  1.9545])
    """
    # solution
    if approximate == "none":
        return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    if approximate == "tanh":
        # (1 + tanh(u)) / 2 is the sigmoid of 2 u, which saves two passes over the tensor.
        return x * torch.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))
    raise ValueError(f'approximate must be "none" or "tanh", got {approximate!r}')
