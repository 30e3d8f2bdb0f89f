import torch

from kata.wrong import wrong


@wrong(
    caught_by=[
        "unlikely_scores_stay_finite",
        "slices_do_not_influence_each_other",
        "minus_infinity_stays_minus_infinity",
    ]
)
def log_softmax__takes_the_log_of_softmax(x, dim):
    """The logarithm was taken of the probability, which rounds to 0 for an unlikely token: its
    logarithm is -inf then."""
    return x.softmax(dim).log()


@wrong(
    caught_by=[
        "unlikely_scores_stay_finite",
        "slices_do_not_influence_each_other",
        "minus_infinity_stays_minus_infinity",
    ]
)
def log_softmax__adds_a_small_number(x, dim):
    """A small number was added, or a lower limit set, before the logarithm. That hides how unlikely
    a token is: nothing comes out below the logarithm of that number."""
    return (x.softmax(dim) + 1e-9).log()


@wrong(
    caught_by=[
        "unlikely_scores_stay_finite",
        "slices_do_not_influence_each_other",
        "minus_infinity_stays_minus_infinity",
    ]
)
def log_softmax__overflows(x, dim):
    """`exp` of a large score is infinite. As in softmax, the maximum of the slice has to be
    subtracted first."""
    return x - x.exp().sum(dim, keepdim=True).log()


@wrong(
    caught_by=[
        "two_scores_by_hand",
        "agrees_with_torch",
        "unlikely_scores_stay_finite",
        "slices_do_not_influence_each_other",
        "minus_infinity_stays_minus_infinity",
        "slices_of_length_one_and_empty_batches",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def log_softmax__forgets_the_shift(x, dim):
    """The maximum was subtracted inside the exponential only: the logarithm of the sum lacks it
    now."""
    return x - (x - x.amax(dim, keepdim=True)).exp().sum(dim, keepdim=True).log()


@wrong(
    caught_by=["slices_do_not_influence_each_other", "minus_infinity_stays_minus_infinity"],
    crashes=["slices_of_length_one_and_empty_batches"],
)
def log_softmax__shifts_by_the_global_maximum(x, dim):
    """The maximum of the whole tensor was subtracted. In a slice far below it every exponential is
    0, and so is their sum: each slice needs its own maximum."""
    shifted = x - x.max()
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


@wrong(caught_by=["agrees_with_torch", "gradient_agrees_with_torch"])
def log_softmax__ignores_dim(x, dim):
    """The sum was taken over the last axis, whatever `dim` says."""
    return x - x.logsumexp(-1, keepdim=True)


@wrong(
    caught_by=[
        "two_scores_by_hand",
        "agrees_with_torch",
        "slices_do_not_influence_each_other",
        "gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def log_softmax__uses_another_base(x, dim):
    """The logarithm has the base 2 or 10. The natural one is asked for."""
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log2()


@wrong(caught_by=["gradient_agrees_with_torch"])
def log_softmax__detaches_the_sum(x, dim):
    """The sum was treated as a constant (`.detach()`, `.data`, `no_grad`): its part of the gradient
    is missing."""
    return x - x.logsumexp(dim, keepdim=True).detach()


@wrong(caught_by=["input_is_not_modified"], crashes=["gradient_agrees_with_torch"])
def log_softmax__modifies_the_input(x, dim):
    """`x` itself was changed: `x -= ...` writes into the caller's tensor."""
    x -= x.amax(dim, keepdim=True)
    return x - x.exp().sum(dim, keepdim=True).log()


@wrong(caught_by=["keeps_the_dtype", "stays_on_the_device_of_the_input"])
def log_softmax__fills_a_new_tensor(x, dim):
    """The result was written into a new `torch.zeros(...)`, which is float32 and on the CPU
    whatever `x` is."""
    result = torch.zeros(x.shape)
    result += x - x.logsumexp(dim, keepdim=True)
    return result
