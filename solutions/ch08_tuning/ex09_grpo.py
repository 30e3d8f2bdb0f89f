"""8.9 GRPO   [hard, ~35 min]

Where an answer can be checked (a sum, a proof, a program) no preferences are needed: sample a group
of responses to one prompt, reward each, and make those more likely that did better than their
group. The group takes the place of the critic, a second network, that PPO needs. The samples come
from the model as it was some steps ago, so each token is weighted with how much more likely it is
now, and the clip of PPO takes the gain out of going too far in one update. The penalty for leaving
a reference model, which the paper adds, is left out here, as many do since.

Source: Shao et al. (2024), DeepSeekMath, https://arxiv.org/abs/2402.03300, section 4.1; Schulman et
al. (2017), Proximal Policy Optimization, https://arxiv.org/abs/1707.06347, equation 7; Yu et al.
(2025), DAPO, https://arxiv.org/abs/2503.14476, section 3.3 (the mean over tokens).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def group_advantages(
    rewards: Float[Tensor, "... group"] | Int[Tensor, "... group"], eps: float = 1e-4
) -> Float[Tensor, "... group"]:
    """Return (reward - mean) / (standard deviation + eps), each group by itself.

    The last axis holds the responses to one prompt: only they are compared. The paper does not say
    which standard deviation it means. Take the unbiased one, which divides by the group's size
    minus one: so do TRL and verl. A group whose rewards are all equal teaches nothing: its
    advantages are 0, up to rounding.

    Args:
        rewards: not modified. Half precision and integers are converted to float32 first.
        eps: added to the standard deviation.

    Returns:
        The shape and device of `rewards`; float64 for float64, else float32.

    Raises:
        ValueError: a group has fewer than two responses.

    >>> group_advantages(torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]), eps=0.0001)
    tensor([[-0.9999,  0.0000,  0.9999],
            [ 0.0000,  0.0000,  0.0000]])
    """
    # solution
    if rewards.shape[-1] < 2:
        raise ValueError(f"a group needs at least 2 responses, got {rewards.shape[-1]}")
    rewards = rewards.to(torch.promote_types(rewards.dtype, torch.float32))
    above = rewards - rewards.mean(-1, keepdim=True)
    return above / (rewards.std(-1, keepdim=True) + eps)  # torch's default is the unbiased one


def clipped_policy_loss(
    logprobs: Float[Tensor, "batch seq"],
    old_logprobs: Float[Tensor, "batch seq"],
    advantages: Float[Tensor, "batch"],
    eps: float,
    mask: Bool[Tensor, "batch seq"] | Int[Tensor, "batch seq"],
) -> Float[Tensor, ""]:
    """Return minus the mean, over all masked tokens of the batch, of the clipped objective of PPO.

    With the ratio p / p_old of a token's two probabilities, and the advantage A of its response,
    the objective of the token is the lesser one of ratio * A and clip(ratio, 1 - eps, 1 + eps) * A.
    The mean is one over tokens, as in DAPO: a long response weighs more than a short one.

    Gradients flow to `logprobs` only. No input is modified. Nothing depends on the values in a
    tensor (no `.item()`, no boolean mask as index), so that it runs on the meta device.

    Args:
        logprobs: log-probability of each token under the model that learns.
        old_logprobs: the same under the model that wrote the responses.
        advantages: one for each response; all of its tokens share it.
        eps: how far the ratio counts.
        mask: True (or 1) at the tokens that the model wrote. Others have no influence, whatever
            their log-probabilities are (-inf or NaN, say), and their gradient is 0. When no token
            is left the result is NaN.

    Returns:
        A tensor without axes on the device of the inputs; float64 for float64, else float32. Half
        precision is converted to float32 first.

    Raises:
        ValueError: `logprobs`, `old_logprobs` and `mask` are not of one shape, or `advantages` is
            not (batch,); `eps` is not above 0 and below 1.

    >>> old, new = torch.tensor([[0.2, 0.5]]).log(), torch.tensor([[0.1, 0.9]]).log()
    >>> mask = torch.tensor([[True, True]])
    >>> clipped_policy_loss(new, old, torch.tensor([1.0]), 0.2, mask)  # of 0.5 and 1.2
    tensor(-0.8500)
    """
    # solution
    if not logprobs.shape == old_logprobs.shape == mask.shape:
        shapes = [tuple(x.shape) for x in (logprobs, old_logprobs, mask)]
        raise ValueError(f"logprobs, old_logprobs and mask must have one shape, got {shapes}")
    if advantages.shape != logprobs.shape[:1]:
        raise ValueError(f"advantages must be ({len(logprobs)},), got {tuple(advantages.shape)}")
    if not 0 < eps < 1:
        raise ValueError(f"eps must be above 0 and below 1, got {eps}")
    at_least = torch.promote_types(logprobs.dtype, torch.float32)
    now, before, advantages = (x.to(at_least) for x in (logprobs, old_logprobs, advantages))
    keep = mask.bool()
    # Masked before exp: a gradient of 0 times an infinite ratio is NaN.
    ratio = (now - before.detach()).masked_fill(~keep, 0.0).exp()
    gain = advantages.detach()[:, None]  # (batch, 1): not along the tokens
    objective = torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain)
    return -objective.masked_fill(~keep, 0.0).sum() / keep.sum()
