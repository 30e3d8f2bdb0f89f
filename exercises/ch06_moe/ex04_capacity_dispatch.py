"""6.4 Expert capacity   [hard, ~45 min]

On an accelerator every shape has to be known in advance, but how many tokens choose an expert is
not. So each expert gets a buffer with a fixed number of slots, its capacity. Tokens that find it
full are dropped: this expert gives them nothing, and only the residual connection around the layer
carries them on. The choices come from `topk_router` (6.1).

Source: Lepikhin et al. (2020), GShard, https://arxiv.org/abs/2006.16668, section 2.2 and algorithm
1; Fedus, Zoph and Shazeer (2021), https://arxiv.org/abs/2101.03961, equation 3.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def expert_capacity(n_tokens: int, n_experts: int, k: int, capacity_factor: float) -> int:
    """Return the slots per expert: `capacity_factor` times an equal share, rounded up.

    An equal share is n_tokens * k / n_experts, as a fraction.

    Raises:
        ValueError: `capacity_factor` is not greater than 0.

    >>> expert_capacity(n_tokens=10, n_experts=4, k=1, capacity_factor=1.25)
    4
    """
    raise NotImplementedError("expert_capacity")  # your code here


def capacity_dispatch(
    idx: Int[Tensor, "tokens k"], n_experts: int, capacity: int
) -> tuple[Bool[Tensor, "tokens k"], Int[Tensor, "tokens k"]]:
    """Decide which choices find a slot, and which one: return (keep, slot).

    `idx[t, c]` is the expert that token t chose as its choice number c. Experts serve the first
    choices of all tokens, in the order of the tokens, then the second choices of all tokens, and
    so on.
        slot: how many choices of the same expert are served before this one (int64).
        keep: whether the choice fits, that is, whether `slot` is less than `capacity`.

    Both are on the device of `idx`. Compute it with tensors, without a loop over the tokens: then
    it works on the `meta` device too, where tensors have shapes but no values.

    >>> keep, slot = capacity_dispatch(torch.tensor([[0, 1], [1, 0], [0, 1]]), 2, capacity=2)
    >>> slot.tolist()
    [[0, 1], [0, 2], [1, 2]]
    >>> keep.tolist()
    [[True, True], [True, False], [True, False]]
    """
    raise NotImplementedError("capacity_dispatch")  # your code here


def dispatch(
    x: Float[Tensor, "tokens d_model"],
    idx: Int[Tensor, "tokens k"],
    keep: Bool[Tensor, "tokens k"],
    slot: Int[Tensor, "tokens k"],
    n_experts: int,
    capacity: int,
) -> Float[Tensor, "experts capacity d_model"]:
    """Copy each token into the slots that `capacity_dispatch` gave to its choices.

    Slots that nobody got hold zeros. The result has the dtype and device of `x`, and its gradient
    goes back to `x`.

    >>> x, idx = torch.tensor([[3.0], [5.0], [7.0]]), torch.tensor([[0], [0], [0]])
    >>> dispatch(x, idx, *capacity_dispatch(idx, 2, capacity=2), 2, capacity=2).tolist()
    [[[3.0], [5.0]], [[0.0], [0.0]]]
    """
    raise NotImplementedError("dispatch")  # your code here


def combine(
    buffers: Float[Tensor, "experts capacity d_model"],
    idx: Int[Tensor, "tokens k"],
    keep: Bool[Tensor, "tokens k"],
    slot: Int[Tensor, "tokens k"],
    weights: Float[Tensor, "tokens k"],
) -> Float[Tensor, "tokens d_model"]:
    """Bring the rows of the buffers back to their tokens: the weighted sum over a token's choices.

    A choice that was not kept contributes zero, and the weights of the others stay as they are: a
    token without any kept choice comes back as zeros. The result has the dtype and device of
    `buffers`, which are those of `weights`; its gradient goes back to both.

    >>> idx = torch.tensor([[0], [0]])
    >>> keep, slot = capacity_dispatch(idx, 1, capacity=1)
    >>> combine(torch.tensor([[[8.0]]]), idx, keep, slot, weights=torch.ones(2, 1)).tolist()
    [[8.0], [0.0]]
    """
    raise NotImplementedError("combine")  # your code here
