import math

import torch

from kata.wrong import wrong

INF = float("inf")


def check(mass, min_keep):
    if not 0 < mass <= 1:
        raise ValueError(f"mass must be in (0, 1], got {mass}")
    if min_keep < 1:
        raise ValueError(f"min_keep must be at least 1, got {min_keep}")


def information(logits):
    """Log-probabilities, probabilities, and what each token adds to the entropy."""
    log_probs = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    probs = log_probs.exp()
    return log_probs, probs, -(probs * log_probs)


def typicality(logits):
    """The probabilities, and the distances of the right answer."""
    log_probs, probs, parts = information(logits)
    return probs, (-log_probs - parts.nansum(-1, keepdim=True)).abs()


def removed(probs, distance, mass, min_keep):
    """What the right answer removes, given these distances."""
    check(mass, min_keep)
    if mass == 1:
        return torch.zeros_like(distance, dtype=torch.bool)
    ranked, order = distance.sort(-1)
    last = (probs.gather(-1, order).cumsum(-1) < mass).sum(-1, keepdim=True)
    return distance > ranked.gather(-1, last.clamp(min_keep - 1, ranked.shape[-1] - 1))


@wrong(
    caught_by=[
        "keeps_the_most_typical_tokens",
        "minus_infinity_is_no_candidate",
        "agrees_with_transformers",
        "keeps_the_dtype",
    ]
)
def typical_filter__ranks_by_probability(logits, mass, min_keep=1):
    """The tokens were taken from the most likely one on, as in top-p. What ranks a token here is
    the distance |-log p - entropy|. (Without the absolute value, or with the wrong sign of the
    entropy, it ranks like the probability.)"""
    probs, _ = typicality(logits)
    return logits.masked_fill(removed(probs, -probs, mass, min_keep), -INF)


@wrong(
    caught_by=[
        "keeps_the_most_typical_tokens",
        "minus_infinity_is_no_candidate",
        "agrees_with_transformers",
        "keeps_the_dtype",
    ]
)
def typical_filter__entropy_is_negative(logits, mass, min_keep=1):
    """The entropy had the wrong sign: it is the sum of -p log p, and positive. Surprise plus
    entropy instead of surprise minus entropy ranks the tokens like their probability."""
    log_probs, probs, parts = information(logits)
    distance = (-log_probs + parts.nansum(-1, keepdim=True)).abs()
    return logits.masked_fill(removed(probs, distance, mass, min_keep), -INF)


@wrong(
    caught_by=[
        "keeps_the_most_typical_tokens",
        "equal_logits_share_their_fate",
        "minus_infinity_is_no_candidate",
        "keeps_at_least_min_keep_tokens",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
    ]
)
def typical_filter__starts_with_the_least_likely(logits, mass, min_keep=1):
    """The least likely tokens were taken first. A token far less likely than expected is as little
    typical as one far more likely: take the absolute value of surprise - entropy, and the smallest
    first."""
    probs, _ = typicality(logits)
    return logits.masked_fill(removed(probs, probs, mass, min_keep), -INF)


@wrong(
    caught_by=[
        "keeps_the_most_typical_tokens",
        "minus_infinity_is_no_candidate",
        "keeps_at_least_min_keep_tokens",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
    ]
)
def typical_filter__entropy_in_bits(logits, mass, min_keep=1):
    """The entropy was computed with another logarithm than the surprise. Use `log` for both, or
    `log2` for both."""
    log_probs, probs, parts = information(logits)
    entropy = parts.nansum(-1, keepdim=True) / math.log(2)
    distance = (-log_probs - entropy).abs()
    return logits.masked_fill(removed(probs, distance, mass, min_keep), -INF)


@wrong(caught_by=["agrees_with_transformers", "rows_with_hard_values", "keeps_the_dtype"])
def typical_filter__entropy_of_the_batch(logits, mass, min_keep=1):
    """One entropy was computed for the whole batch. Each row has its own: sum along the last
    axis."""
    log_probs, probs, parts = information(logits)
    distance = (-log_probs - parts.nansum()).abs()
    return logits.masked_fill(removed(probs, distance, mass, min_keep), -INF)


@wrong(
    caught_by=[
        "minus_infinity_is_no_candidate",
        "keeps_at_least_min_keep_tokens",
        "rows_with_hard_values",
    ]
)
def typical_filter__entropy_is_nan(logits, mass, min_keep=1):
    """The entropy became NaN: p is 0 where the logit is -inf, and 0 x -inf is NaN. Such a token
    adds nothing to the sum."""
    log_probs, probs, parts = information(logits)
    distance = (-log_probs - parts.sum(-1, keepdim=True)).abs()
    return logits.masked_fill(removed(probs, distance, mass, min_keep), -INF)


@wrong(
    caught_by=[
        "minus_infinity_is_no_candidate",
        "keeps_at_least_min_keep_tokens",
        "rows_with_hard_values",
    ]
)
def typical_filter__keeps_nothing_near_nan(logits, mass, min_keep=1):
    """The entropy became NaN, and nothing is near NaN, so that nothing was kept: p is 0 where the
    logit is -inf, and 0 x -inf is NaN. Such a token adds nothing to the sum."""
    drop = removed(*typicality(logits), mass, min_keep)
    far = information(logits)[2].sum(-1, keepdim=True).isnan() & (mass < 1)
    return logits.masked_fill(drop | far, -INF)


@wrong(
    caught_by=[
        "keeps_the_most_typical_tokens",
        "minus_infinity_is_no_candidate",
        "keeps_at_least_min_keep_tokens",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
    ]
)
def typical_filter__drops_the_crossing_token(logits, mass, min_keep=1):
    """The token that carries the sum to `mass` was removed. It is the last one to keep: without it
    the kept tokens have less than `mass` together."""
    check(mass, min_keep)
    probs, distance = typicality(logits)
    ranked, order = distance.sort(-1)
    count = (probs.gather(-1, order).cumsum(-1) <= mass).sum(-1, keepdim=True)
    last = (count - 1).clamp(min_keep - 1, ranked.shape[-1] - 1)
    return logits.masked_fill(distance > ranked.gather(-1, last), -INF)


@wrong(
    caught_by=[
        "keeps_the_most_typical_tokens",
        "equal_logits_share_their_fate",
        "minus_infinity_is_no_candidate",
        "keeps_at_least_min_keep_tokens",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
    ]
)
def typical_filter__does_not_undo_the_sorting(logits, mass, min_keep=1):
    """What to remove was decided in the order of typicality, and then applied in the order of the
    vocabulary. Carry the decision back to the ids, for example with `scatter`."""
    probs, distance = typicality(logits)
    remove = removed(probs, distance, mass, min_keep)
    return logits.masked_fill(remove.gather(-1, distance.argsort(-1)), -INF)


@wrong(caught_by=["equal_logits_share_their_fate", "rows_with_hard_values", "keeps_the_dtype"])
def typical_filter__cuts_ties(logits, mass, min_keep=1):
    """Of tokens at the same distance, some were kept and some removed. All that are as typical as
    the last one stay."""
    check(mass, min_keep)
    if mass == 1:
        return logits.clone()
    probs, distance = typicality(logits)
    order = distance.argsort(dim=-1, stable=True)
    ranked = probs.gather(-1, order)
    drop = ranked.cumsum(-1) - ranked >= mass
    drop[..., :min_keep] = False
    return logits.masked_fill(drop.scatter(-1, order, drop), -INF)


@wrong(caught_by=["mass_of_one_keeps_everything"])
def typical_filter__loses_the_tail_at_one(logits, mass, min_keep=1):
    """With `mass` = 1 unlikely tokens were removed: their share is so small that the rounded sum
    reaches 1 before them. `mass` = 1 means everything."""
    probs, distance = typicality(logits)
    mass = min(mass, math.nextafter(1, 0)) if mass <= 1 else mass
    return logits.masked_fill(removed(probs, distance, mass, min_keep), -INF)


@wrong(crashes=["mass_of_one_keeps_everything"])
def typical_filter__refuses_one(logits, mass, min_keep=1):
    """`mass` = 1 was refused, or led past the last token. It means that everything is kept."""
    if not 0 < mass < 1:
        raise ValueError(f"mass must be in (0, 1), got {mass}")
    return logits.masked_fill(removed(*typicality(logits), mass, min_keep), -INF)


@wrong(caught_by=["keeps_at_least_min_keep_tokens"])
def typical_filter__ignores_min_keep(logits, mass, min_keep=1):
    """`min_keep` changed nothing. The `min_keep` most typical tokens stay, even when fewer have the
    probability `mass`."""
    check(mass, min_keep)
    return logits.masked_fill(removed(*typicality(logits), mass, 1), -INF)


@wrong(crashes=["keeps_at_least_min_keep_tokens"])
def typical_filter__min_keep_above_the_vocabulary(logits, mass, min_keep=1):
    """A `min_keep` above the size of the vocabulary led past the last token. It keeps
    everything."""
    remove = removed(*typicality(logits), mass, min_keep)
    first = typicality(logits)[1].topk(min_keep, largest=False).indices
    return logits.masked_fill(remove.scatter(-1, first, False), -INF)


@wrong(caught_by=["keeps_the_dtype"])
def typical_filter__computes_in_16_bits(logits, mass, min_keep=1):
    """Entropy, distances and sums were computed with the 16 bits of the logits. Rounded that much,
    a long tail of small probabilities does not sum to what it has: compute in float32."""
    log_probs = logits.log_softmax(-1)
    probs = log_probs.exp()
    distance = (-log_probs + (probs * log_probs).nansum(-1, keepdim=True)).abs()
    return logits.masked_fill(removed(probs, distance, mass, min_keep), -INF)


@wrong(caught_by=["keeps_the_dtype"], crashes=["stays_on_the_device_of_the_input"])
def typical_filter__fills_a_new_tensor(logits, mass, min_keep=1):
    """The result was made from a new tensor (`torch.full`, `torch.zeros`), which is float32 and on
    the CPU whatever `logits` is."""
    nothing = torch.full(logits.shape, -INF)
    return torch.where(removed(*typicality(logits), mass, min_keep), nothing, logits)


@wrong(caught_by=["input_is_not_modified"])
def typical_filter__modifies_the_input(logits, mass, min_keep=1):
    """`logits` itself was changed (`masked_fill_`, or `logits[...] = ...`): the caller still needs
    it. Return a new tensor."""
    return logits.masked_fill_(removed(*typicality(logits), mass, min_keep), -INF)


@wrong(caught_by=["refuses_bad_arguments"])
def typical_filter__accepts_any_argument(logits, mass, min_keep=1):
    """A `mass` outside of (0, 1] or a `min_keep` below 1 was accepted. Refuse it with a ValueError
    that says what was got."""
    if mass >= 1:
        return logits.clone()
    mass, min_keep = max(mass, 1e-9), max(min_keep, 1)
    return logits.masked_fill(removed(*typicality(logits), mass, min_keep), -INF)


@wrong(
    crashes=[
        "keeps_the_most_typical_tokens",
        "equal_logits_share_their_fate",
        "minus_infinity_is_no_candidate",
        "keeps_at_least_min_keep_tokens",
        "agrees_with_transformers",
        "vocabulary_of_one_and_empty_batch",
    ]
)
def typical_filter__loops_over_the_first_axis(logits, mass, min_keep=1):
    """The first axis was taken for the batch, in a loop over it. A single row has no such axis, and
    an empty batch leaves nothing to stack: work along the last axis, counted from the end."""
    rows = [row.masked_fill(removed(*typicality(row), mass, min_keep), -INF) for row in logits]
    return torch.stack(rows)
