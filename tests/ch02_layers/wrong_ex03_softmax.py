import torch

from kata.wrong import wrong


@wrong(
    caught_by=[
        "two_scores_by_hand",
        "agrees_with_torch",
        "large_scores_do_not_overflow",
        "slices_do_not_influence_each_other",
        "minus_infinity_gets_no_probability",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def softmax__forgets_exp(x, dim):
    """The scores themselves were divided by their sum: `exp` is missing, which makes them positive
    first."""
    return x / x.sum(dim, keepdim=True)


@wrong(caught_by=["agrees_with_torch", "gradient_agrees_with_torch"])
def softmax__ignores_dim(x, dim):
    """The sum was taken over the last axis, whatever `dim` says."""
    exps = (x - x.amax(-1, keepdim=True)).exp()
    return exps / exps.sum(-1, keepdim=True)


@wrong(
    caught_by=[
        "agrees_with_torch",
        "slices_do_not_influence_each_other",
        "minus_infinity_gets_no_probability",
        "slices_of_length_one_and_empty_batches",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def softmax__sums_over_everything(x, dim):
    """The sum was taken over the whole tensor instead of along `dim`."""
    exps = (x - x.amax(dim, keepdim=True)).exp()
    return exps / exps.sum()


@wrong(
    caught_by=["slices_do_not_influence_each_other", "slices_of_length_one_and_empty_batches"],
    crashes=[
        "agrees_with_torch",
        "minus_infinity_gets_no_probability",
        "input_is_not_modified",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
        "stays_on_the_device_of_the_input",
    ],
)
def softmax__drops_the_summed_axis(x, dim):
    """The sum lost its axis (`keepdim=True` is missing), so that it does not line up with `x`."""
    exps = (x - x.amax(dim, keepdim=True)).exp()
    return exps / exps.sum(dim)


@wrong(caught_by=["large_scores_do_not_overflow", "slices_do_not_influence_each_other"])
def softmax__overflows(x, dim):
    """`exp` of a large score is infinite, and inf / inf is NaN. Shifting all scores of a slice by
    the same amount does not change its softmax: which shift is safe?"""
    return x.exp() / x.exp().sum(dim, keepdim=True)


@wrong(caught_by=["large_scores_do_not_overflow", "slices_do_not_influence_each_other"])
def softmax__overflows_in_the_logarithm(x, dim):
    """The logarithm of the sum is infinite, because `exp` of a large score is. Subtract the maximum
    of the slice from all its scores first."""
    return (x - x.exp().sum(dim, keepdim=True).log()).exp()


@wrong(
    caught_by=["slices_do_not_influence_each_other"],
    crashes=["slices_of_length_one_and_empty_batches"],
)
def softmax__shifts_by_the_global_maximum(x, dim):
    """The maximum of the whole tensor was subtracted. In a slice far below it nothing is left, and
    0 / 0 is NaN: each slice needs its own maximum."""
    exps = (x - x.max()).exp()
    return exps / exps.sum(dim, keepdim=True)


@wrong(
    caught_by=[
        "large_scores_do_not_overflow",
        "slices_do_not_influence_each_other",
        "minus_infinity_gets_no_probability",
    ]
)
def softmax__shifts_by_the_mean(x, dim):
    """The mean was subtracted. A score can still be huge after that, and the mean of a slice with
    an entry of -inf is -inf."""
    exps = (x - x.mean(dim, keepdim=True)).exp()
    return exps / exps.sum(dim, keepdim=True)


@wrong(caught_by=["large_scores_do_not_overflow", "slices_do_not_influence_each_other"])
def softmax__clips_the_scores(x, dim):
    """The scores were clipped to a range. That avoids the overflow, but scores outside of the range
    become equal."""
    exps = x.clamp(-50, 50).exp()
    return exps / exps.sum(dim, keepdim=True)


@wrong(caught_by=["gradient_agrees_with_torch"])
def softmax__detaches_the_sum(x, dim):
    """The sum was treated as a constant (`.detach()`, `.data`, `no_grad`): its part of the gradient
    is missing."""
    exps = (x - x.amax(dim, keepdim=True)).exp()
    return exps / exps.sum(dim, keepdim=True).detach()


@wrong(caught_by=["input_is_not_modified"], crashes=["gradient_agrees_with_torch"])
def softmax__modifies_the_input(x, dim):
    """`x` itself was changed: `x -= ...` and `x.exp_()` write into the caller's tensor."""
    x -= x.amax(dim, keepdim=True)
    return x.exp() / x.exp().sum(dim, keepdim=True)


@wrong(caught_by=["keeps_the_dtype", "stays_on_the_device_of_the_input"])
def softmax__fills_a_new_tensor(x, dim):
    """The result was written into a new `torch.zeros(...)`, which is float32 and on the CPU
    whatever `x` is."""
    exps = (x - x.amax(dim, keepdim=True)).exp()
    result = torch.zeros(x.shape)
    result += exps / exps.sum(dim, keepdim=True)
    return result
