import torch

from kata.wrong import wrong
from solutions.ch08_tuning.ex09_grpo import clipped_policy_loss, group_advantages


def widened(x):
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


# ---------------------------------------------------------------------------------- the advantages


def checked(rewards):
    """Rewards to compute with, if there are enough."""
    if rewards.shape[-1] < 2:
        raise ValueError("a group needs at least 2 responses")
    return widened(rewards)


@wrong(
    caught_by=[
        "advantages_of_two_groups_by_hand",
        "each_group_is_standardised_by_itself",
        "last_axis_is_the_group",
        "equal_rewards_give_no_advantage",
        "rewards_become_float32_at_least",
    ]
)
def group_advantages__compares_all_groups(rewards, eps=1e-4):
    """Mean and standard deviation were taken over everything. Each group has its own: a hard prompt
    gives low rewards to all of its responses."""
    rewards = checked(rewards)
    return (rewards - rewards.mean()) / (rewards.std() + eps)


@wrong(
    caught_by=[
        "advantages_of_two_groups_by_hand",
        "each_group_is_standardised_by_itself",
        "last_axis_is_the_group",
        "equal_rewards_give_no_advantage",
        "rewards_become_float32_at_least",
    ]
)
def group_advantages__compares_across_groups(rewards, eps=1e-4):
    """Mean and standard deviation were taken along the wrong axis. A group is the last one."""
    rewards = checked(rewards)
    return (rewards - rewards.mean(0)) / (rewards.std(0) + eps)


@wrong(
    caught_by=[
        "advantages_of_two_groups_by_hand",
        "each_group_is_standardised_by_itself",
        "last_axis_is_the_group",
        "equal_rewards_give_no_advantage",
        "rewards_become_float32_at_least",
    ]
)
def group_advantages__takes_one_deviation_for_all(rewards, eps=1e-4):
    """Each group has its own mean here, but they share one standard deviation. It is the group's,
    too."""
    rewards = checked(rewards)
    return (rewards - rewards.mean(-1, keepdim=True)) / (rewards.std() + eps)


@wrong(
    caught_by=[
        "advantages_of_two_groups_by_hand",
        "each_group_is_standardised_by_itself",
        "last_axis_is_the_group",
        "equal_rewards_give_no_advantage",
        "rewards_become_float32_at_least",
    ]
)
def group_advantages__is_biased(rewards, eps=1e-4):
    """The standard deviation is the biased one, which divides by the size of the group. Divide by
    one less."""
    rewards = checked(rewards)
    std = rewards.std(-1, keepdim=True, correction=0)
    return (rewards - rewards.mean(-1, keepdim=True)) / (std + eps)


@wrong(
    caught_by=[
        "advantages_of_two_groups_by_hand",
        "each_group_is_standardised_by_itself",
        "last_axis_is_the_group",
        "equal_rewards_give_no_advantage",
        "rewards_become_float32_at_least",
    ]
)
def group_advantages__divides_by_the_variance(rewards, eps=1e-4):
    """The deviations were divided by the variance. Its square root is the standard deviation."""
    rewards = checked(rewards)
    return (rewards - rewards.mean(-1, keepdim=True)) / (rewards.var(-1, keepdim=True) + eps)


@wrong(
    caught_by=[
        "advantages_of_two_groups_by_hand",
        "each_group_is_standardised_by_itself",
        "last_axis_is_the_group",
        "equal_rewards_give_no_advantage",
        "rewards_become_float32_at_least",
    ]
)
def group_advantages__only_centres(rewards, eps=1e-4):
    """The mean was subtracted, but the standard deviation has no influence."""
    rewards = checked(rewards)
    return rewards - rewards.mean(-1, keepdim=True)


@wrong(
    caught_by=[
        "advantages_of_two_groups_by_hand",
        "each_group_is_standardised_by_itself",
        "last_axis_is_the_group",
        "equal_rewards_give_no_advantage",
        "rewards_become_float32_at_least",
    ]
)
def group_advantages__only_scales(rewards, eps=1e-4):
    """The mean was not subtracted. A response is good if it is better than its group."""
    rewards = checked(rewards)
    return rewards / (rewards.std(-1, keepdim=True) + eps)


@wrong(
    caught_by=[
        "each_group_is_standardised_by_itself",
        "last_axis_is_the_group",
        "equal_rewards_give_no_advantage",
    ]
)
def group_advantages__divides_by_zero(rewards, eps=1e-4):
    """`eps` was not added to the standard deviation. A group of equal rewards has 0 / 0 then, which
    is NaN."""
    rewards = checked(rewards)
    above = rewards - rewards.mean(-1, keepdim=True)
    return above / rewards.std(-1, keepdim=True) * (1 - eps)


@wrong(caught_by=["each_group_is_standardised_by_itself"])
def group_advantages__ignores_eps(rewards, eps=1e-4):
    """`eps` has no effect, or always the same."""
    return group_advantages(rewards)


@wrong(caught_by=["each_group_is_standardised_by_itself", "last_axis_is_the_group"])
def group_advantages__adds_eps_to_the_variance(rewards, eps=1e-4):
    """`eps` was added to the variance, under the root. It is added to the standard deviation."""
    rewards = checked(rewards)
    std = (rewards.var(-1, keepdim=True) + eps).sqrt()
    return (rewards - rewards.mean(-1, keepdim=True)) / std


@wrong(caught_by=["rewards_become_float32_at_least"])
def group_advantages__wants_floats(rewards, eps=1e-4):
    """Integers and half precision were not converted to float32."""
    if rewards.shape[-1] < 2:
        raise ValueError("a group needs at least 2 responses")
    above = rewards - rewards.mean(-1, keepdim=True)
    return above / (rewards.std(-1, keepdim=True) + eps)


@wrong(caught_by=["rewards_become_float32_at_least"])
def group_advantages__always_gives_float32(rewards, eps=1e-4):
    """float64 rewards became float32 (`.float()`). Only lesser types are converted."""
    return group_advantages(rewards.float(), eps)


@wrong(caught_by=["rewards_become_float32_at_least", "rewards_are_not_modified"])
def group_advantages__writes_into_the_rewards(rewards, eps=1e-4):
    """The caller's rewards were overwritten (`-=`). What is changed has to be a copy."""
    rewards[...] = group_advantages(rewards, eps).to(rewards.dtype)
    return widened(rewards)


@wrong(caught_by=["group_of_one_is_refused"])
def group_advantages__accepts_a_group_of_one(rewards, eps=1e-4):
    """A group of one response was accepted. There is nothing to compare it with."""
    if rewards.shape[-1] < 2:
        return torch.zeros_like(widened(rewards))
    return group_advantages(rewards, eps)


# ---------------------------------------------------------------------------------------- the loss


def ready(logprobs, old_logprobs, advantages, eps, mask):
    """The ratio of each token, the advantage of each row as a column, and the mask."""
    if not logprobs.shape == old_logprobs.shape == mask.shape:
        raise ValueError("logprobs, old_logprobs and mask must have one shape")
    if advantages.shape != logprobs.shape[:1] or not 0 < eps < 1:
        raise ValueError("advantages must be (batch,), and eps above 0 and below 1")
    keep = mask.bool()
    difference = widened(logprobs) - widened(old_logprobs).detach()
    return difference.masked_fill(~keep, 0.0).exp(), widened(advantages).detach()[:, None], keep


def token_mean(objective, keep):
    """Minus the mean over the masked tokens."""
    return -objective.masked_fill(~keep, 0.0).sum() / keep.sum()


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__takes_the_greater_one(logprobs, old_logprobs, advantages, eps, mask):
    """The greater of the two was taken. The clip is to limit the gain: take the lesser one."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    clipped = ratio.clamp(1 - eps, 1 + eps)
    return token_mean(torch.maximum(ratio * gain, clipped * gain), keep)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__always_clips(logprobs, old_logprobs, advantages, eps, mask):
    """Only the clipped ratio was used. A token that went too far in the wrong direction needs its
    gradient to come back: take the lesser of the two products."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    return token_mean(ratio.clamp(1 - eps, 1 + eps) * gain, keep)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__never_clips(logprobs, old_logprobs, advantages, eps, mask):
    """Nothing was clipped: `eps` has no effect."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    return token_mean(ratio * gain, keep)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__clips_above_only(logprobs, old_logprobs, advantages, eps, mask):
    """The ratio was clipped from above only. With a negative advantage it is the lower limit,
    1 - eps, that counts."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(max=1 + eps) * gain), keep)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__takes_the_lesser_ratio(logprobs, old_logprobs, advantages, eps, mask):
    """The lesser of the two ratios was multiplied by the advantage. With a negative advantage the
    lesser product is the one of the greater ratio: multiply first."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    return token_mean(torch.minimum(ratio, ratio.clamp(1 - eps, 1 + eps)) * gain, keep)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__clips_the_product(logprobs, old_logprobs, advantages, eps, mask):
    """The product of ratio and advantage was clipped. It is the ratio that stays near 1."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    product = ratio * gain
    return token_mean(torch.minimum(product, product.clamp(1 - eps, 1 + eps)), keep)


@wrong(caught_by=["loss_agrees_with_a_loop", "gradient_agrees_with_a_loop"])
def clipped_policy_loss__has_a_fixed_eps(logprobs, old_logprobs, advantages, eps, mask):
    """`eps` was always 0.2, whatever is given."""
    ready(logprobs, old_logprobs, advantages, eps, mask)
    return clipped_policy_loss(logprobs, old_logprobs, advantages, 0.2, mask)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "first_step_follows_the_advantages",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__forgets_exp(logprobs, old_logprobs, advantages, eps, mask):
    """The difference of the log-probabilities is the logarithm of the ratio: `exp` is missing."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    ratio = ratio.log()
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain), keep)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "first_step_follows_the_advantages",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__turns_the_ratio_round(logprobs, old_logprobs, advantages, eps, mask):
    """The ratio is that of old to new. A token that has become more likely has a ratio above 1."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    ratio = 1 / ratio
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain), keep)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "first_step_follows_the_advantages",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__has_a_ratio_for_each_response(
    logprobs, old_logprobs, advantages, eps, mask
):
    """The log-probabilities of each response were added up, and one ratio made of that. Each token
    has its own ratio."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    ratio = ratio.prod(-1, keepdim=True).expand(ratio.shape)
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain), keep)


@wrong(
    caught_by=["four_tokens_by_hand"],
    crashes=[
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "gradient_flows_to_the_new_model_only",
        "first_step_follows_the_advantages",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "nothing_left_gives_nan",
        "log_probabilities_become_float32_at_least",
        "loss_runs_on_the_meta_device",
        "tensors_are_not_modified",
    ],
)
def clipped_policy_loss__spreads_advantages_over_tokens(
    logprobs, old_logprobs, advantages, eps, mask
):
    """The advantages were laid along the tokens. Each belongs to a response: it needs a new axis at
    its end, for the tokens."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    gain = gain.T
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain), keep)


@wrong(
    caught_by=[
        "four_tokens_by_hand",
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "first_step_follows_the_advantages",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__has_the_wrong_sign(logprobs, old_logprobs, advantages, eps, mask):
    """The minus is missing. The objective is to rise, a loss falls."""
    return -clipped_policy_loss(logprobs, old_logprobs, advantages, eps, mask)


@wrong(
    caught_by=[
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "first_step_follows_the_advantages",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__averages_each_response(logprobs, old_logprobs, advantages, eps, mask):
    """Each response was averaged first, and the averages then, as in the first paper. Here there is
    one mean, over all tokens: otherwise a token of a long response counts less."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    objective = torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain)
    return -(objective.masked_fill(~keep, 0.0).sum(-1) / keep.sum(-1)).mean()


@wrong(
    caught_by=[
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "first_step_follows_the_advantages",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "nothing_left_gives_nan",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__divides_by_all_tokens(logprobs, old_logprobs, advantages, eps, mask):
    """The sum was divided by the number of all tokens. Those outside of the mask do not count there
    either."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    objective = torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain)
    return -objective.masked_fill(~keep, 0.0).mean()


@wrong(
    caught_by=[
        "loss_agrees_with_a_loop",
        "gradient_agrees_with_a_loop",
        "first_step_follows_the_advantages",
        "tokens_outside_have_no_influence",
        "tokens_outside_get_no_gradient",
        "mask_may_hold_integers",
        "nothing_left_gives_nan",
        "log_probabilities_become_float32_at_least",
    ]
)
def clipped_policy_loss__counts_the_prompt(logprobs, old_logprobs, advantages, eps, mask):
    """The mask has no effect: prompt and padding were counted as well."""
    everything = torch.ones_like(mask)
    ready(logprobs, old_logprobs, advantages, eps, mask)
    return clipped_policy_loss(logprobs, old_logprobs, advantages, eps, everything)


@wrong(caught_by=["tokens_outside_have_no_influence", "tokens_outside_get_no_gradient"])
def clipped_policy_loss__masks_by_multiplication(logprobs, old_logprobs, advantages, eps, mask):
    """The objective was multiplied by the mask. 0 times an infinite value, or NaN, is NaN: fill in
    something harmless before `exp` (`masked_fill`, `where`)."""
    _, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    ratio = (widened(logprobs) - widened(old_logprobs).detach()).exp()
    objective = torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain)
    return -(objective * keep).sum() / keep.sum()


@wrong(caught_by=["tokens_outside_get_no_gradient"])
def clipped_policy_loss__masks_after_exp(logprobs, old_logprobs, advantages, eps, mask):
    """The loss is right, but the gradient is NaN: outside of the mask it is 0 times an infinite
    ratio. Fill in something harmless before `exp`, not only behind it."""
    _, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    ratio = (widened(logprobs) - widened(old_logprobs).detach()).exp()
    objective = torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain)
    return token_mean(objective, keep)


@wrong(caught_by=["mask_may_hold_integers"])
def clipped_policy_loss__inverts_integers(logprobs, old_logprobs, advantages, eps, mask):
    """`~mask` of a mask of 0 and 1 is -1 and -2, both of which are true. Convert it to booleans
    first."""
    ready(logprobs, old_logprobs, advantages, eps, mask)
    keep = ~(~mask).bool()
    return clipped_policy_loss(logprobs, old_logprobs, advantages, eps, keep)


@wrong(caught_by=["gradient_flows_to_the_new_model_only"])
def clipped_policy_loss__trains_the_old_model(logprobs, old_logprobs, advantages, eps, mask):
    """Gradients flow to `old_logprobs`, too. They are what they were: cut them off
    (`.detach()`)."""
    _, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    ratio = (widened(logprobs) - widened(old_logprobs)).masked_fill(~keep, 0.0).exp()
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain), keep)


@wrong(caught_by=["gradient_flows_to_the_new_model_only"])
def clipped_policy_loss__trains_the_advantages(logprobs, old_logprobs, advantages, eps, mask):
    """Gradients flow to `advantages`, too. They are constants here: cut them off (`.detach()`)."""
    ratio, _, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    gain = widened(advantages)[:, None]
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain), keep)


@wrong(
    crashes=[
        "gradient_agrees_with_a_loop",
        "gradient_flows_to_the_new_model_only",
        "first_step_follows_the_advantages",
        "tokens_outside_get_no_gradient",
    ]
)
def clipped_policy_loss__detaches_the_ratio(logprobs, old_logprobs, advantages, eps, mask):
    """The new log-probabilities were cut off as well, so that nothing is learned."""
    return clipped_policy_loss(logprobs.detach(), old_logprobs, advantages, eps, mask)


@wrong(caught_by=["log_probabilities_become_float32_at_least"])
def clipped_policy_loss__stays_in_half_precision(logprobs, old_logprobs, advantages, eps, mask):
    """Half precision was not converted to float32. With two or three digits hardly any ratio is
    right."""
    keep = ready(logprobs, old_logprobs, advantages, eps, mask)[2]
    gain = advantages.detach()[:, None]
    ratio = (logprobs - old_logprobs.detach()).masked_fill(~keep, 0.0).exp()
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain), keep)


@wrong(caught_by=["log_probabilities_become_float32_at_least"])
def clipped_policy_loss__always_gives_float32(logprobs, old_logprobs, advantages, eps, mask):
    """float64 became float32 (`.float()`). Only half precision is converted."""
    given = logprobs.float(), old_logprobs.float(), advantages.float()
    return clipped_policy_loss(*given, eps, mask)


@wrong(crashes=["loss_runs_on_the_meta_device"])
def clipped_policy_loss__looks_into_the_mask(logprobs, old_logprobs, advantages, eps, mask):
    """The mask was used as an index, or read with `.item()`: the processor has to wait for the GPU,
    and the meta device has no values at all."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, eps, mask)
    objective = torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain)
    return -objective[keep].mean()


@wrong(caught_by=["nothing_left_gives_nan"])
def clipped_policy_loss__nothing_left_is_zero(logprobs, old_logprobs, advantages, eps, mask):
    """When no token is left the loss is 0. A mean over nothing is NaN, which somebody notices."""
    return clipped_policy_loss(logprobs, old_logprobs, advantages, eps, mask).nan_to_num()


@wrong(caught_by=["tensors_are_not_modified"])
def clipped_policy_loss__writes_into_the_inputs(logprobs, old_logprobs, advantages, eps, mask):
    """A tensor of the caller was changed (`-=`, `masked_fill_`). What is changed has to be a
    copy."""
    result = clipped_policy_loss(logprobs, old_logprobs, advantages, eps, mask)
    logprobs.data -= old_logprobs
    return result


@wrong(caught_by=["unequal_shapes_are_refused"])
def clipped_policy_loss__accepts_any_shape(logprobs, old_logprobs, advantages, eps, mask):
    """Tensors of unequal shapes were accepted: torch stretches axes of size 1 without a word."""
    logprobs, old_logprobs, mask = torch.broadcast_tensors(logprobs, old_logprobs, mask)
    advantages = advantages.expand(logprobs.shape)[:, 0] if advantages.dim() > 1 else advantages
    advantages = advantages.expand(len(logprobs))
    return clipped_policy_loss(logprobs, old_logprobs, advantages, eps, mask)


@wrong(caught_by=["impossible_eps_is_refused"])
def clipped_policy_loss__accepts_any_eps(logprobs, old_logprobs, advantages, eps, mask):
    """`eps` was not checked."""
    ratio, gain, keep = ready(logprobs, old_logprobs, advantages, 0.5, mask)
    return token_mean(torch.minimum(ratio * gain, ratio.clamp(1 - eps, 1 + eps) * gain), keep)
