"""5.2 Temperature   [easy, ~10 min]

Drawing the next token from the model's own probabilities is often too wild, always taking the most
likely one too dull. The temperature lies between: below 1 it favours likely tokens, above 1 it
gives unlikely ones a chance. At 0 nothing is left to chance, and no division says so: it is a case
of its own.

Source: Ackley, Hinton and Sejnowski (1985), A Learning Algorithm for Boltzmann Machines,
https://doi.org/10.1207/s15516709cog0901_7; Holtzman et al. (2020), The Curious Case of Neural Text
Degeneration, https://arxiv.org/abs/1904.09751, section 3.3.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def apply_temperature(
    logits: Float[Tensor, "... vocab"], temperature: float
) -> Float[Tensor, "... vocab"]:
    """Divide all logits by `temperature`; at 0, leave only the most likely token of each row.

    At temperature 0 the largest logit of a row (the first one, where several are equal) stays as it
    is and all others become -inf: a softmax then gives that token probability 1. Above 0, an entry
    of -inf stays -inf. There may be any number of leading axes, none included, and rows are
    independent. The result has the dtype and device of `logits`, which is not modified. (Callers
    turn float16 into float32 first: there, 1e4 divided by 0.1 is infinite.)

    Raises:
        ValueError: `temperature` is negative, infinite or NaN.

    >>> apply_temperature(torch.tensor([2.0, 4.0, -1.0]), temperature=0.5)
    tensor([ 4.,  8., -2.])
    >>> apply_temperature(torch.tensor([2.0, 4.0, -1.0]), temperature=0)
    tensor([-inf, 4., -inf])
    """
    raise NotImplementedError("apply_temperature")  # your code here
