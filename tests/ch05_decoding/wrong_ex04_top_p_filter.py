import torch

from kata.wrong import wrong

INF = float("inf")


def check(p, min_keep):
    if not 0 < p <= 1:
        raise ValueError(f"p must be in (0, 1], got {p}")
    if min_keep < 1:
        raise ValueError(f"min_keep must be at least 1, got {min_keep}")


def ranks(logits):
    wide = torch.promote_types(logits.dtype, torch.float32)
    ranked, order = logits.sort(-1, descending=True)
    return ranked.softmax(-1, dtype=wide), order


def nucleus(logits, p, min_keep):
    """The usual solution: which ranks to drop, and the token of each rank."""
    check(p, min_keep)
    probs, order = ranks(logits)
    drop = (probs.cumsum(-1) - probs >= p) & (p < 1)
    drop[..., :min_keep] = False
    return drop, order


def without(logits, drop, order):
    return logits.masked_fill(drop.scatter(-1, order, drop), -INF)


@wrong(
    caught_by=[
        "keeps_the_token_that_crosses_p",
        "agrees_with_transformers",
        "counts_many_equal_tokens_exactly",
        "any_leading_axes",
    ]
)
def top_p_filter__drops_the_crossing_token(logits, p, min_keep=1):
    """The token that carries the sum past `p` was dropped. It is the last one to keep."""
    check(p, min_keep)
    probs, order = ranks(logits)
    drop = (probs.cumsum(-1) > p) & (p < 1)
    drop[..., :min_keep] = False
    return without(logits, drop, order)


@wrong(
    caught_by=[
        "keeps_the_token_that_crosses_p",
        "keeps_at_least_min_keep",
        "agrees_with_transformers",
        "counts_many_equal_tokens_exactly",
        "any_leading_axes",
    ]
)
def top_p_filter__empties_the_row(logits, p, min_keep=1):
    """Where the most likely token alone has more than `p`, nothing was left. The token that carries
    the sum past `p` is kept, be it the first."""
    check(p, min_keep)
    probs, order = ranks(logits)
    drop = (probs.cumsum(-1) > p) & (p < 1)
    drop[..., : min_keep if min_keep > 1 else 0] = False
    return without(logits, drop, order)


@wrong(caught_by=["stops_where_the_sum_is_exactly_p"])
def top_p_filter__one_more_at_exactly_p(logits, p, min_keep=1):
    """The sum was exactly `p`, and one more token was kept. At least `p` is enough."""
    check(p, min_keep)
    probs, order = ranks(logits)
    drop = probs.cumsum(-1) - probs > p
    drop[..., :min_keep] = False
    return without(logits, drop & (p < 1), order)


@wrong(
    caught_by=[
        "keeps_the_token_that_crosses_p",
        "stops_where_the_sum_is_exactly_p",
        "keeps_at_least_min_keep",
        "agrees_with_transformers",
        "any_leading_axes",
    ]
)
def top_p_filter__stays_in_sorted_order(logits, p, min_keep=1):
    """What is known of the ranks was applied to the vocabulary: entry 0 of a sorted tensor is the
    most likely token, not token 0. Bring the mask back with the indices that the sort gave."""
    drop, _ = nucleus(logits, p, min_keep)
    return logits.masked_fill(drop, -INF)


@wrong(
    caught_by=[
        "keeps_the_token_that_crosses_p",
        "one_keeps_the_whole_tail",
        "keeps_at_least_min_keep",
        "agrees_with_transformers",
        "any_leading_axes",
    ]
)
def top_p_filter__returns_sorted_logits(logits, p, min_keep=1):
    """The logits came back sorted. Entry i of the result belongs to token i: bring them back with
    the indices that the sort gave."""
    drop, order = nucleus(logits, p, min_keep)
    return logits.gather(-1, order).masked_fill(drop, -INF)


@wrong(
    caught_by=[
        "keeps_the_token_that_crosses_p",
        "keeps_at_least_min_keep",
        "agrees_with_transformers",
        "any_leading_axes",
    ]
)
def top_p_filter__unsorts_the_wrong_way(logits, p, min_keep=1):
    """The mask was sorted a second time instead of unsorted: `gather` (or indexing with `order`)
    reads from these places. It has to be written to them, with `scatter`."""
    drop, order = nucleus(logits, p, min_keep)
    return logits.masked_fill(drop.gather(-1, order), -INF)


@wrong(caught_by=["one_keeps_the_whole_tail"])
def top_p_filter__loses_the_tail_at_one(logits, p, min_keep=1):
    """With p = 1 unlikely tokens were lost: a rounded sum reaches 1 before the last token. Treat
    1 as a case of its own."""
    check(p, min_keep)
    probs, order = ranks(logits)
    drop = probs.cumsum(-1) - probs >= p
    drop[..., :min_keep] = False
    return without(logits, drop, order)


@wrong(
    caught_by=[
        "keeps_the_token_that_crosses_p",
        "keeps_at_least_min_keep",
        "agrees_with_transformers",
        "any_leading_axes",
    ]
)
def top_p_filter__starts_with_the_least_likely(logits, p, min_keep=1):
    """The set was filled from the least likely token on: sorting is ascending unless told
    otherwise."""
    check(p, min_keep)
    wide = torch.promote_types(logits.dtype, torch.float32)
    ranked, order = logits.sort(-1)
    probs = ranked.softmax(-1, dtype=wide)
    drop = (probs.cumsum(-1) - probs >= p) & (p < 1)
    drop[..., :min_keep] = False
    return without(logits, drop, order)


@wrong(
    caught_by=[
        "stops_where_the_sum_is_exactly_p",
        "agrees_with_transformers",
        "counts_many_equal_tokens_exactly",
        "any_leading_axes",
    ]
)
def top_p_filter__compares_each_with_p(logits, p, min_keep=1):
    """Each token's own probability was compared with a threshold. It is the sum over the tokens
    down to it that counts."""
    check(p, min_keep)
    probs, order = ranks(logits)
    drop = probs < 1 - p
    drop[..., :min_keep] = False
    return without(logits, drop & (p < 1), order)


@wrong(caught_by=["agrees_with_transformers", "any_leading_axes"])
def top_p_filter__sums_over_the_rows(logits, p, min_keep=1):
    """The sum went over the rows of the batch (axis 0), not over the tokens of each row."""
    check(p, min_keep)
    probs, order = ranks(logits)
    drop = (probs.cumsum(0) - probs >= p) & (p < 1)
    drop[..., :min_keep] = False
    return without(logits, drop, order)


@wrong(
    crashes=[
        "keeps_the_token_that_crosses_p",
        "stops_where_the_sum_is_exactly_p",
        "one_keeps_the_whole_tail",
        "keeps_at_least_min_keep",
        "counts_many_equal_tokens_exactly",
        "any_leading_axes",
    ]
)
def top_p_filter__knows_two_axes_only(logits, p, min_keep=1):
    """The vocabulary was taken to be axis 1. With other leading axes than one batch axis it is not:
    count from the end."""
    drop, order = nucleus(logits, p, min_keep)
    return logits.masked_fill(drop.scatter(1, order, drop), -INF)


@wrong(caught_by=["keeps_at_least_min_keep", "agrees_with_transformers"])
def top_p_filter__ignores_min_keep(logits, p, min_keep=1):
    """`min_keep` changed nothing: so many of the most likely tokens are kept, whatever `p` is."""
    check(p, min_keep)
    return without(logits, *nucleus(logits, p, 1))


@wrong(caught_by=["keeps_at_least_min_keep", "agrees_with_transformers"])
def top_p_filter__ranks_by_probability(logits, p, min_keep=1):
    """The probabilities were sorted. Very unlikely tokens all have probability 0 after rounding, so
    that `min_keep` chose among them at random: sort the logits."""
    check(p, min_keep)
    wide = torch.promote_types(logits.dtype, torch.float32)
    probs, order = logits.softmax(-1, dtype=wide).sort(dim=-1, descending=True, stable=True)
    drop = (probs.cumsum(-1) - probs >= p) & (p < 1)
    drop[..., :min_keep] = False
    return without(logits, drop, order)


@wrong(caught_by=["counts_many_equal_tokens_exactly"])
def top_p_filter__sums_in_half_precision(logits, p, min_keep=1):
    """Many small probabilities were summed in half precision, where the sum is too coarse to count
    them. Compute in float32."""
    check(p, min_keep)
    ranked, order = logits.sort(-1, descending=True)
    probs = ranked.softmax(-1)
    drop = (probs.cumsum(-1) - probs >= p) & (p < 1)
    drop[..., :min_keep] = False
    return without(logits, drop, order)


@wrong(caught_by=["counts_many_equal_tokens_exactly"])
def top_p_filter__returns_float32(logits, p, min_keep=1):
    """The result was left in float32. It has the dtype of `logits`, whatever was used inside."""
    drop, order = nucleus(logits, p, min_keep)
    return without(logits.float(), drop, order)


@wrong(
    caught_by=[
        "keeps_the_token_that_crosses_p",
        "stops_where_the_sum_is_exactly_p",
        "agrees_with_transformers",
        "counts_many_equal_tokens_exactly",
        "any_leading_axes",
    ]
)
def top_p_filter__returns_log_probabilities(logits, p, min_keep=1):
    """The kept logits were changed, into log-probabilities of what is left. A filter keeps them as
    they are."""
    return without(logits, *nucleus(logits, p, min_keep)).log_softmax(-1)


@wrong(caught_by=["input_is_not_modified"])
def top_p_filter__modifies_the_input(logits, p, min_keep=1):
    """`logits` itself was changed: assigning to `logits[...]` and `masked_fill_` write into the
    caller's tensor."""
    drop, order = nucleus(logits, p, min_keep)
    return logits.masked_fill_(drop.scatter(-1, order, drop), -INF)


@wrong(caught_by=["refuses_impossible_arguments"])
def top_p_filter__zero_means_off(logits, p, min_keep=1):
    """A `p` of 0, below or above 1 was taken for "no filter". It is a mistake of the caller: raise
    a ValueError."""
    if not 0 < p < 1:
        return logits.clone()
    return without(logits, *nucleus(logits, p, min_keep))


@wrong(caught_by=["refuses_impossible_arguments"])
def top_p_filter__accepts_any_min_keep(logits, p, min_keep=1):
    """A `min_keep` of less than 1 was accepted. It would allow to remove everything: raise a
    ValueError."""
    return without(logits, *nucleus(logits, p, max(min_keep, 1)))


@wrong(crashes=["stays_on_the_device_of_the_input"])
def top_p_filter__mask_on_the_cpu(logits, p, min_keep=1):
    """A tensor was made on the CPU, whatever the device of `logits`: make it with `zeros_like`, or
    pass `device=logits.device`."""
    drop, order = nucleus(logits, p, min_keep)
    mask = torch.zeros(logits.shape, dtype=torch.bool)
    return logits.masked_fill(mask.scatter(-1, order, drop), -INF)
