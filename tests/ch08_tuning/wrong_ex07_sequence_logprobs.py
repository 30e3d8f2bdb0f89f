import torch

from kata.wrong import wrong
from solutions.ch08_tuning.ex07_sequence_logprobs import sequence_logprobs


def widened(logits):
    """At least float32."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def checked(ids, mask):
    """The mask as booleans, if it has the right shape."""
    if mask.shape != ids.shape:
        raise ValueError("mask must have the shape of ids")
    return mask.bool()


def of_each_token(model, ids):
    """The log-probability of each token but the first."""
    logprobs = widened(model(ids)[:, :-1]).log_softmax(-1)
    return logprobs.gather(-1, ids[:, 1:, None]).squeeze(-1)


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "first_token_never_counts",
        "mask_may_hold_integers",
        "impossible_tokens_outside_have_no_influence",
        "gradient_of_the_logits_agrees_with_torch",
        "model_reads_the_ids_once",
        "keeps_float64_and_raises_half_precision",
    ]
)
def sequence_logprobs__does_not_shift(model, ids, mask):
    """Each token was judged by the logits at this token itself, which the model has just read. They
    say what follows it: the probability of a token is in the logits before it."""
    mask = checked(ids, mask)
    logprobs = widened(model(ids)).log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    return logprobs.masked_fill(~mask, 0).sum(-1)


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "first_token_never_counts",
        "mask_may_hold_integers",
        "impossible_tokens_outside_have_no_influence",
        "gradient_of_the_logits_agrees_with_torch",
        "model_reads_the_ids_once",
        "keeps_float64_and_raises_half_precision",
    ]
)
def sequence_logprobs__does_not_shift_the_mask(model, ids, mask):
    """The mask was not shifted with the tokens: it counted the token before the response, and left
    out the last one. After the shift the first column belongs to the second token."""
    mask = checked(ids, mask)[:, :-1]
    return of_each_token(model, ids).masked_fill(~mask, 0).sum(-1)


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "mask_may_hold_integers",
        "unlikely_tokens_have_finite_sums",
        "impossible_tokens_outside_have_no_influence",
        "gradient_of_the_logits_agrees_with_torch",
        "model_reads_the_ids_once",
        "keeps_float64_and_raises_half_precision",
    ]
)
def sequence_logprobs__averages(model, ids, mask):
    """The result is the mean over the tokens of each response. It is their sum."""
    total = sequence_logprobs(model, ids, mask)
    return total / mask[:, 1:].sum(-1).clamp(min=1)


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "first_token_never_counts",
        "mask_may_hold_integers",
        "impossible_tokens_outside_have_no_influence",
        "gradient_of_the_logits_agrees_with_torch",
        "model_reads_the_ids_once",
        "keeps_float64_and_raises_half_precision",
    ]
)
def sequence_logprobs__counts_the_prompt(model, ids, mask):
    """The mask has no effect: prompt and padding were counted as well."""
    checked(ids, mask)
    return of_each_token(model, ids).sum(-1)


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "first_token_never_counts",
        "mask_may_hold_integers",
        "unlikely_tokens_have_finite_sums",
        "impossible_tokens_outside_have_no_influence",
        "gradient_of_the_logits_agrees_with_torch",
        "model_reads_the_ids_once",
        "keeps_float64_and_raises_half_precision",
        "runs_on_the_meta_device",
    ]
)
def sequence_logprobs__sums_over_the_batch(model, ids, mask):
    """The result is one number for the whole batch. Each row has its own sum."""
    return sequence_logprobs(model, ids, mask).sum()


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "first_token_never_counts",
        "mask_may_hold_integers",
        "unlikely_tokens_have_finite_sums",
        "impossible_tokens_outside_have_no_influence",
        "gradient_of_the_logits_agrees_with_torch",
        "model_reads_the_ids_once",
        "keeps_float64_and_raises_half_precision",
    ]
)
def sequence_logprobs__is_a_loss(model, ids, mask):
    """The sign is that of a loss. A log-probability is never above 0."""
    return -sequence_logprobs(model, ids, mask)


@wrong(
    caught_by=[
        "agrees_with_torch",
        "first_token_never_counts",
        "mask_may_hold_integers",
        "unlikely_tokens_have_finite_sums",
        "impossible_tokens_outside_have_no_influence",
        "gradient_of_the_logits_agrees_with_torch",
        "model_reads_the_ids_once",
        "keeps_float64_and_raises_half_precision",
    ]
)
def sequence_logprobs__sums_logits(model, ids, mask):
    """The logits themselves were added up. They are no log-probabilities before the log-softmax."""
    mask = checked(ids, mask)[:, 1:]
    chosen = widened(model(ids)[:, :-1]).gather(-1, ids[:, 1:, None]).squeeze(-1)
    return chosen.masked_fill(~mask, 0).sum(-1)


@wrong(
    caught_by=[
        "two_rows_by_hand",
        "agrees_with_torch",
        "first_token_never_counts",
        "mask_may_hold_integers",
        "unlikely_tokens_have_finite_sums",
        "impossible_tokens_outside_have_no_influence",
        "gradient_of_the_logits_agrees_with_torch",
        "model_reads_the_ids_once",
        "keeps_float64_and_raises_half_precision",
    ]
)
def sequence_logprobs__sums_probabilities(model, ids, mask):
    """Probabilities were added up, their logarithms are to be."""
    mask = checked(ids, mask)[:, 1:]
    return of_each_token(model, ids).exp().masked_fill(~mask, 0).sum(-1)


@wrong(caught_by=["unlikely_tokens_have_finite_sums"])
def sequence_logprobs__takes_the_log_of_a_softmax(model, ids, mask):
    """The logarithm was taken of the softmax. The probability of an unlikely token rounds to 0, and
    its logarithm is -inf: use `log_softmax`."""
    mask = checked(ids, mask)[:, 1:]
    logprobs = widened(model(ids)[:, :-1]).softmax(-1).log()
    return logprobs.gather(-1, ids[:, 1:, None]).squeeze(-1).masked_fill(~mask, 0).sum(-1)


@wrong(caught_by=["impossible_tokens_outside_have_no_influence"])
def sequence_logprobs__multiplies_by_the_mask(model, ids, mask):
    """The log-probabilities were multiplied by the mask. Where one is -inf, 0 times it is NaN: fill
    in zeros instead (`masked_fill`, `where`)."""
    mask = checked(ids, mask)[:, 1:]
    return (of_each_token(model, ids) * mask).sum(-1)


@wrong(caught_by=["mask_may_hold_integers"])
def sequence_logprobs__inverts_integers(model, ids, mask):
    """`~mask` of a mask of 0 and 1 is -1 and -2, both of which are true. Convert it to booleans
    first."""
    checked(ids, mask)
    keep = ~(~mask[:, 1:]).bool()
    return of_each_token(model, ids).masked_fill(~keep, 0).sum(-1)


@wrong(crashes=["gradient_of_the_logits_agrees_with_torch"])
def sequence_logprobs__has_no_gradient(model, ids, mask):
    """The model ran in `torch.no_grad()`, so that nothing can be learned from the result."""
    with torch.no_grad():
        return sequence_logprobs(model, ids, mask)


@wrong(caught_by=["keeps_float64_and_raises_half_precision"])
def sequence_logprobs__stays_in_half_precision(model, ids, mask):
    """Half precision logits gave a result in half precision, with two or three digits. Convert them
    to float32 before the softmax."""
    mask = checked(ids, mask)[:, 1:]
    logprobs = model(ids)[:, :-1].log_softmax(-1)
    return logprobs.gather(-1, ids[:, 1:, None]).squeeze(-1).masked_fill(~mask, 0).sum(-1)


@wrong(caught_by=["keeps_float64_and_raises_half_precision"])
def sequence_logprobs__converts_all_to_float32(model, ids, mask):
    """float64 logits were converted to float32 (`.float()`), too. Only half precision is raised."""
    return sequence_logprobs(lambda ids: model(ids).float(), ids, mask)


@wrong(crashes=["runs_on_the_meta_device"])
def sequence_logprobs__looks_into_the_mask(model, ids, mask):
    """The mask was used as an index, or read with `.item()`: the processor has to wait for the GPU,
    and the meta device has no values at all."""
    mask = checked(ids, mask)[:, 1:]
    chosen = of_each_token(model, ids)
    return torch.stack([row[keep].sum() for row, keep in zip(chosen, mask, strict=True)])


@wrong(caught_by=["model_reads_the_ids_once"])
def sequence_logprobs__calls_the_model_for_each_row(model, ids, mask):
    """The model was called several times. One call gives the logits of all rows and tokens."""
    rows = range(len(checked(ids, mask)))
    logits = torch.stack([model(ids)[i] for i in rows])
    return sequence_logprobs(lambda ids: logits, ids, mask)


@wrong(caught_by=["mask_of_another_shape_is_refused"])
def sequence_logprobs__accepts_any_mask(model, ids, mask):
    """A mask of another shape was accepted: torch stretches an axis of size 1 without a word."""
    mask = mask[:, 1:] if mask.shape[1] == ids.shape[1] else mask
    keep = mask.expand(ids[:, 1:].shape).bool()
    return of_each_token(model, ids).masked_fill(~keep, 0).sum(-1)


@wrong(caught_by=["ids_and_mask_are_not_modified"])
def sequence_logprobs__writes_into_the_mask(model, ids, mask):
    """The caller's mask was overwritten. What is changed has to be a copy."""
    total = sequence_logprobs(model, ids, mask)
    mask[:, :-1] = mask[:, 1:].clone()
    return total
