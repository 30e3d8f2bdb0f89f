import torch
from torch.nn import functional as F

from kata.wrong import wrong
from solutions.ch08_tuning.ex08_dpo_loss import dpo_loss


def loss(margins, beta):
    """The mean of -log sigmoid, in float32 at least, of arguments that make sense."""
    if beta <= 0:
        raise ValueError("beta must be above 0")
    margins = margins.to(torch.promote_types(margins.dtype, torch.float32))
    return -F.logsigmoid(beta * margins).mean()


def ready(*given):
    """The four as they are to be used: of one shape, widened, the reference's detached."""
    if len({x.shape for x in given}) > 1:
        raise ValueError("all must have one shape")
    dtype = torch.promote_types(given[0].dtype, torch.float32)
    pc, pr, rc, rr = (x.to(dtype) for x in given)
    return pc, pr, rc.detach(), rr.detach()


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__swaps_chosen_and_rejected(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    """Chosen and rejected were swapped: the model learns to say what nobody wants."""
    return dpo_loss(policy_rejected, policy_chosen, ref_rejected, ref_chosen, beta)


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "starts_at_log_two",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__has_no_reference(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The reference has no influence. A reward is how much more likely a response has become than
    it was under the reference."""
    pc, pr, _, _ = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return loss(pc - pr, beta)


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "starts_at_log_two",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__adds_the_reference(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The reference has the wrong sign: the log-probability under it is subtracted, within chosen
    and within rejected."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return loss((pc + rc) - (pr + rr), beta)


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__adds_the_rewards(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The two rewards were added. It is their difference that counts."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return loss((pc - rc) + (pr - rr), beta)


@wrong(caught_by=["gradients_agree_with_a_classifier"])
def dpo_loss__trains_the_reference(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """Gradients flow to the reference, too. It stays what it was: cut it off (`.detach()`)."""
    pc, pr, _, _ = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return loss((pc - ref_chosen) - (pr - ref_rejected), beta)


@wrong(caught_by=["gradients_agree_with_a_classifier"])
def dpo_loss__trains_the_chosen_only(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    """The rejected response gets no gradient. The model learns from both."""
    return dpo_loss(policy_chosen, policy_rejected.detach(), ref_chosen, ref_rejected, beta)


@wrong(caught_by=["extreme_pairs_have_finite_losses", "gradients_agree_with_a_classifier"])
def dpo_loss__takes_the_log_of_a_sigmoid(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    """The logarithm was taken of the sigmoid, which rounds to 0 for a pair that is very wrong: the
    loss is infinite. `logsigmoid` does both in one."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    loss(pc, beta)
    return -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).log().mean()


@wrong(
    caught_by=[
        "agrees_with_a_classifier",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
    ]
)
def dpo_loss__adds_a_small_number(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """A small number was added before the logarithm. That makes it finite, but wrong, and a pair
    that is very wrong gets no gradient. `logsigmoid` needs none."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    loss(pc, beta)
    return -(torch.sigmoid(beta * ((pc - rc) - (pr - rr))) + 1e-8).log().mean()


@wrong(caught_by=["extreme_pairs_have_finite_losses", "gradients_agree_with_a_classifier"])
def dpo_loss__goes_through_exp(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """`exp` of a large margin is infinite. `logsigmoid` (or `softplus`) computes log(1 + exp(x))
    without that."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    loss(pc, beta)
    return (1 + torch.exp(-beta * ((pc - rc) - (pr - rr)))).log().mean()


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__compares_probabilities(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    """The log-probabilities were turned into probabilities. Those of whole responses round to 0:
    stay with the logarithms."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return loss((pc.exp() - rc.exp()) - (pr.exp() - rr.exp()), beta)


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "starts_at_log_two",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__has_no_logarithm(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The logarithm is missing: the result is the mean of -sigmoid."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    loss(pc, beta)
    return -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).mean()


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__ignores_beta(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """`beta` has no effect, or always the same."""
    loss(policy_chosen, beta)
    return dpo_loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected, 0.1)


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "starts_at_log_two",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__multiplies_the_loss_by_beta(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    """`beta` was multiplied with the loss. It belongs to the rewards, within the sigmoid."""
    loss(policy_chosen, beta)
    return beta * dpo_loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected, 1.0)


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "starts_at_log_two",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__has_the_wrong_sign(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The minus is missing. A loss falls when the model gets better."""
    return -dpo_loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__averages_before_the_sigmoid(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    """The margins of all pairs were averaged, and one loss made of that. Each pair has its own."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return loss(((pc - rc) - (pr - rr)).mean(), beta)


@wrong(
    caught_by=[
        "two_pairs_by_hand",
        "agrees_with_a_classifier",
        "starts_at_log_two",
        "extreme_pairs_have_finite_losses",
        "gradients_agree_with_a_classifier",
        "keeps_float64_and_raises_half_precision",
    ]
)
def dpo_loss__sums(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The losses were added up. It is their mean."""
    mean = dpo_loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    return mean * len(policy_chosen)


@wrong(caught_by=["keeps_float64_and_raises_half_precision"])
def dpo_loss__stays_in_half_precision(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    """Half precision was not converted to float32. The difference of two sums of hundreds has no
    digits left in it."""
    ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    loss(policy_chosen, beta)
    chosen, rejected = policy_chosen - ref_chosen.detach(), policy_rejected - ref_rejected.detach()
    return -F.logsigmoid(beta * (chosen - rejected)).mean()


@wrong(caught_by=["keeps_float64_and_raises_half_precision"])
def dpo_loss__converts_too_late(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The loss was converted to float32 when it was finished. Its digits were lost by then: convert
    the log-probabilities."""
    half = dpo_loss__stays_in_half_precision
    result = half(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    return result.to(torch.promote_types(result.dtype, torch.float32))


@wrong(caught_by=["inputs_are_not_modified"])
def dpo_loss__writes_into_the_policy(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    """A tensor of the caller was changed (`-=`). What is changed has to be a copy."""
    result = dpo_loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    policy_chosen.data -= ref_chosen
    return result


@wrong(caught_by=["unequal_shapes_are_refused"])
def dpo_loss__accepts_any_shape(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """Tensors of unequal shapes were accepted: torch makes all pairs of (batch, 1) and (batch,)
    without a word."""
    loss(policy_chosen, beta)
    given = torch.broadcast_tensors(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return dpo_loss(*given, beta)


@wrong(caught_by=["impossible_beta_is_refused"])
def dpo_loss__accepts_any_beta(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """`beta` was not checked. With 0 nothing is learned, and below that the opposite."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr))).mean()


@wrong(crashes=["runs_on_the_meta_device"])
def dpo_loss__looks_at_the_margins(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The values were looked at (`if`, `.item()`): the processor has to wait for the GPU, and the
    meta device has no values at all. `logsigmoid` is right for large and small ones."""
    pc, pr, rc, rr = ready(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    margins = beta * ((pc - rc) - (pr - rr))
    loss(margins, beta)
    return torch.stack([-m if m < -50 else (1 + torch.exp(-m)).log() for m in margins]).mean()
