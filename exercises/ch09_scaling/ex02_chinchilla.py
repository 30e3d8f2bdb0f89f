"""9.2 The Chinchilla law   [medium, ~20 min]

With a fixed budget of compute, should a model be larger, or read more? The loss of a language model
is well described by a constant and two powers, one of the parameters and one of the tokens. The
best split of a budget (C = 6 N D, 9.1) follows from it: both grow about as its square root. By this
rule Chinchilla, with 70 billion parameters, beat Gopher, which has four times as many but read a
quarter of the text.

Source: Hoffmann et al. (2022), Training Compute-Optimal Large Language Models,
https://arxiv.org/abs/2203.15556, sections 3.3 and D.3, equations 4 and 10. On how uncertain its
constants are: Besiroglu et al. (2024), https://arxiv.org/abs/2404.10102.
"""

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True)
class LossConstants:
    """The constants of the law L(N, D) = E + A / N^alpha + B / D^beta, in nats per token."""

    E: float  # what no model can predict: the entropy of text
    A: float
    B: float
    alpha: float
    beta: float


HOFFMANN = LossConstants(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)


def chinchilla_loss(
    n_params: Number, n_tokens: Number, constants: LossConstants = HOFFMANN
) -> Number:
    """Return the loss of a model with `n_params` parameters, trained on `n_tokens` tokens.

    Both may be numbers, infinity included, or tensors, which are broadcast: the result is a tensor
    of their dtype on their device then, with gradients. Neither is modified.

    >>> round(chinchilla_loss(70e9, 1.4e12), 3)  # Chinchilla
    1.937
    >>> round(chinchilla_loss(280e9, 300e9), 3)  # Gopher
    1.993
    """
    raise NotImplementedError("chinchilla_loss")  # your code here


def optimal_allocation(flops: float, constants: LossConstants = HOFFMANN) -> tuple[float, float]:
    """Return the numbers of parameters and tokens with the least loss that cost `flops` together.

    They use the budget up: 6 * n_params * n_tokens is `flops`, but for rounding. Neither is rounded
    to a whole number.

    Raises:
        ValueError: `flops` is not above 0.

    >>> n_params, n_tokens = optimal_allocation(1e21)
    >>> f"{n_params:.3g} parameters, {n_tokens:.3g} tokens"
    '1.82e+09 parameters, 9.14e+10 tokens'
    """
    raise NotImplementedError("optimal_allocation")  # your code here
