"""6.6 Grouped dispatch   [medium, ~30 min]

Searching the tokens of one expert after the other looks at every choice once per expert. Sorting
the choices by expert puts the tokens of each one side by side: one gather, one slice per expert,
and the results go back to where their tokens came from. Fast MoE kernels start with this sort;
those of GPUs then multiply all slices at once. Does what the second half of `MoELayer` (6.2) does.

Source: Gale et al. (2022), MegaBlocks, https://arxiv.org/abs/2211.15841, sections 2 and 5.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


def grouped_dispatch(
    x: Float[Tensor, "tokens d_model"],
    idx: Int[Tensor, "tokens k"],
    weights: Float[Tensor, "tokens k"],
    experts: Sequence[Callable[[Tensor], Tensor]],
) -> Float[Tensor, "tokens d_model"]:
    """Return for each token the sum of weights[token, j] * experts[idx[token, j]](token) over j.

    An expert is called once, with all the tokens that chose it, (n, d_model) in any order, and
    returns as many rows in the same order. One that no token chose is not called: with no tokens at
    all, none is. The experts in a row of `idx` are different ones; the weights are used as they
    are, whatever their sum. Use no loop over tokens.

    The result has the shape, dtype and device of `x`, also when `weights` has another dtype. The
    inputs are not modified. Gradients flow to `x`, to `weights` and through the experts.

    Raises:
        ValueError: `idx` has a number for which there is no expert.

    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> idx, weights = torch.tensor([[1, 0], [1, 2]]), torch.tensor([[0.5, 0.5], [0.75, 0.25]])
    >>> grouped_dispatch(x, idx, weights, [torch.zeros_like, lambda x: 10 * x, torch.neg])
    tensor([[ 5.0000, 10.0000],
            [21.7500, 29.0000]])
    """
    raise NotImplementedError("grouped_dispatch")  # your code here
