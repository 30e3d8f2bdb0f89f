"""8.8 Direct preference optimisation   [medium, ~20 min]

People find it hard to write the best response, but easy to say which of two is better. DPO learns
from such pairs, with neither a reward model nor sampling. How much more likely a response has
become than it was under a frozen copy, the reference, is taken for its reward; the loss asks that
the chosen one's be higher than the rejected one's. Builds on the log-probabilities of 8.7.

Source: Rafailov et al. (2023), Direct Preference Optimization, https://arxiv.org/abs/2305.18290,
equation 7.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def dpo_loss(
    policy_chosen: Float[Tensor, "batch"],
    policy_rejected: Float[Tensor, "batch"],
    ref_chosen: Float[Tensor, "batch"],
    ref_rejected: Float[Tensor, "batch"],
    beta: float,
) -> Float[Tensor, ""]:
    """Return the mean over the pairs of -log sigmoid(reward of chosen - reward of rejected).

    A reward is beta * (log-probability under the policy - log-probability under the reference).
    Loss and gradients are finite and right for rewards of any size. Gradients flow to the policy's
    log-probabilities, never to the reference's. No input is modified. Nothing depends on the values
    in a tensor (no `.item()`, no `if`), so that it runs on the meta device.

    Args:
        policy_chosen: of each pair, the log-probability of the chosen response (8.7) under the
            model that learns.
        policy_rejected: the same of the rejected response.
        ref_chosen: as `policy_chosen`, under the reference.
        ref_rejected: as `policy_rejected`, under the reference.
        beta: a large one keeps the policy close to the reference.

    Returns:
        A tensor without axes on the device of the inputs; float64 for float64, else float32. Half
        precision is converted to float32 first.

    Raises:
        ValueError: the four tensors are not all of one shape; `beta` is not above 0.

    >>> probs = torch.tensor([0.3]), torch.tensor([0.1]), torch.tensor([0.2]), torch.tensor([0.2])
    >>> dpo_loss(*(p.log() for p in probs), beta=1.0).neg().exp()  # 1.5 to 0.5
    tensor(0.7500)
    """
    raise NotImplementedError("dpo_loss")  # your code here
