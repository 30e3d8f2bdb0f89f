import torch

from kata.wrong import wrong


def attend(scores, v, mask):
    """The right way on from the scores."""
    if mask is None:
        return scores.softmax(-1) @ v
    has_key = mask.any(-1, keepdim=True)
    weights = scores.masked_fill(has_key & ~mask, -torch.inf).softmax(-1)
    return (weights @ v).masked_fill(~has_key, 0.0)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "agrees_with_torch_without_a_mask",
        "agrees_with_torch_under_a_mask",
        "a_query_without_keys_gets_zeros",
        "gradients_agree_with_torch",
        "a_query_without_keys_passes_no_gradient_on",
        "keeps_the_dtype",
    ]
)
def scaled_dot_product_attention__forgets_the_scale(q, k, v, mask=None):
    """The scores were not divided by sqrt(d)."""
    return attend(q @ k.transpose(-2, -1), v, mask)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "agrees_with_torch_without_a_mask",
        "agrees_with_torch_under_a_mask",
        "a_query_without_keys_gets_zeros",
        "gradients_agree_with_torch",
        "a_query_without_keys_passes_no_gradient_on",
        "keeps_the_dtype",
    ]
)
def scaled_dot_product_attention__divides_by_d(q, k, v, mask=None):
    """The scores were divided by d. It has to be the square root of d."""
    return attend(q @ k.transpose(-2, -1) / q.shape[-1], v, mask)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "agrees_with_torch_without_a_mask",
        "agrees_with_torch_under_a_mask",
        "a_query_without_keys_gets_zeros",
        "gradients_agree_with_torch",
        "a_query_without_keys_passes_no_gradient_on",
        "keeps_the_dtype",
    ]
)
def scaled_dot_product_attention__scales_with_the_values(q, k, v, mask=None):
    """The scale was taken from the size of the values. It belongs to the dot product, so d is the
    last axis of queries and keys."""
    return attend(q @ k.transpose(-2, -1) / v.shape[-1] ** 0.5, v, mask)


@wrong(
    caught_by=[
        "agrees_with_torch_under_a_mask",
        "a_query_without_keys_gets_zeros",
        "large_scores_do_not_overflow",
        "gradients_agree_with_torch",
        "a_query_without_keys_passes_no_gradient_on",
        "keeps_the_dtype",
    ]
)
def scaled_dot_product_attention__inverts_the_mask(q, k, v, mask=None):
    """The mask was read the other way round: True means "may attend", so what is False must go."""
    return attend(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, v, None if mask is None else ~mask)


@wrong(
    caught_by=[
        "agrees_with_torch_under_a_mask",
        "a_query_without_keys_gets_zeros",
        "large_scores_do_not_overflow",
        "gradients_agree_with_torch",
        "a_query_without_keys_passes_no_gradient_on",
        "keeps_the_dtype",
    ]
)
def scaled_dot_product_attention__ignores_the_mask(q, k, v, mask=None):
    """The mask was not used."""
    return attend(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, v, None)


@wrong(
    caught_by=[
        "agrees_with_torch_under_a_mask",
        "large_scores_do_not_overflow",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
    ]
)
def scaled_dot_product_attention__masks_after_the_softmax(q, k, v, mask=None):
    """The mask was applied to the weights. What is left of a row no longer sums to 1: mask the
    scores, before the softmax."""
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
    return (weights if mask is None else weights * mask) @ v


@wrong(
    caught_by=[
        "agrees_with_torch_under_a_mask",
        "large_scores_do_not_overflow",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
    ]
)
def scaled_dot_product_attention__masks_with_zero(q, k, v, mask=None):
    """Masked scores became 0, but exp(0) is 1: those keys still get a weight. Which score has an
    exp of 0?"""
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, 0.0)
        return (scores.softmax(-1) @ v).masked_fill(~mask.any(-1, keepdim=True), 0.0)
    return scores.softmax(-1) @ v


@wrong(caught_by=["a_query_without_keys_gets_zeros", "a_query_without_keys_passes_no_gradient_on"])
def scaled_dot_product_attention__masks_with_a_large_number(q, k, v, mask=None):
    """Masked scores became a large negative number. Where everything is masked all scores are
    equal then, and the query gets the mean of values that it may not see."""
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return scores.softmax(-1) @ v


@wrong(caught_by=["a_query_without_keys_gets_zeros", "a_query_without_keys_passes_no_gradient_on"])
def scaled_dot_product_attention__gives_nan_on_an_empty_row(q, k, v, mask=None):
    """A query without any key: a softmax over nothing but -inf is NaN. The docstring asks for
    zeros."""
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


@wrong(caught_by=["a_query_without_keys_passes_no_gradient_on"])
def scaled_dot_product_attention__repairs_nan_too_late(q, k, v, mask=None):
    """The NaNs of a query without any key were replaced in the output, but not in the weights:
    backwards they still reach the gradient of the values (0 * NaN is NaN)."""
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ v).nan_to_num(0.0)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "agrees_with_torch_without_a_mask",
        "agrees_with_torch_under_a_mask",
        "a_query_without_keys_gets_zeros",
        "large_scores_do_not_overflow",
        "gradients_agree_with_torch",
        "a_query_without_keys_passes_no_gradient_on",
        "keeps_the_dtype",
    ]
)
def scaled_dot_product_attention__normalises_over_the_queries(q, k, v, mask=None):
    """The softmax ran over the queries. The weights of one query sum to 1 over the keys, the last
    axis."""
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-2).nan_to_num(0.0) @ v


@wrong(caught_by=["large_scores_do_not_overflow"])
def scaled_dot_product_attention__overflows(q, k, v, mask=None):
    """`exp` of a large score is infinite, and inf / inf is NaN. Use a softmax that is safe for any
    score, such as that of 2.3."""
    exps = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).exp()
    if mask is not None:
        exps = exps * mask
    total = exps.sum(-1, keepdim=True)
    return exps / total.where(total > 0, 1) @ v


@wrong(
    crashes=[
        "two_keys_by_hand",
        "agrees_with_torch_without_a_mask",
        "agrees_with_torch_under_a_mask",
        "inputs_are_not_modified",
    ]
)
def scaled_dot_product_attention__transposes_fixed_axes(q, k, v, mask=None):
    """The keys were transposed along axes 1 and 2, which is right for exactly one leading axis.
    Count from the end: -2 and -1."""
    return attend(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, v, mask)


@wrong(caught_by=["gradients_agree_with_torch", "a_query_without_keys_passes_no_gradient_on"])
def scaled_dot_product_attention__detaches_the_weights(q, k, v, mask=None):
    """The weights were cut off from the gradient (`.detach()`, `.data`, `no_grad`): queries and
    keys would never learn."""
    return attend((q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).detach(), v, mask)


@wrong(
    caught_by=["inputs_are_not_modified"],
    crashes=["gradients_agree_with_torch", "a_query_without_keys_passes_no_gradient_on"],
)
def scaled_dot_product_attention__scales_in_place(q, k, v, mask=None):
    """`q` itself was changed: `q /= ...` writes into the caller's tensor."""
    q /= q.shape[-1] ** 0.5
    return attend(q @ k.transpose(-2, -1), v, mask)


@wrong(caught_by=["keeps_the_dtype"])
def scaled_dot_product_attention__computes_in_float32(q, k, v, mask=None):
    """The result is float32, whatever the dtype of the inputs. Convert it back."""
    return attend(q.float() @ k.float().transpose(-2, -1) / q.shape[-1] ** 0.5, v.float(), mask)


@wrong(crashes=["stays_on_the_device_of_the_inputs"])
def scaled_dot_product_attention__makes_a_tensor_on_the_cpu(q, k, v, mask=None):
    """A tensor was made on the CPU for inputs that are elsewhere. Give it `device=q.device`, or do
    without it."""
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        hidden = torch.full(scores.shape, -torch.inf, dtype=q.dtype)
        return torch.where(mask, scores, hidden).softmax(-1).nan_to_num(0.0) @ v
    return scores.softmax(-1) @ v
