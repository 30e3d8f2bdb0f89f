import torch

from kata.wrong import wrong

INF = float("inf")


def check(k):
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


def threshold(logits, k):
    return logits.topk(min(k, logits.shape[-1])).values[..., -1:]


@wrong(
    caught_by=[
        "keeps_the_k_largest",
        "keeps_all_that_equal_the_kth",
        "each_row_has_its_own_threshold",
        "agrees_with_transformers",
        "any_leading_axes",
        "large_k_keeps_everything",
        "keeps_the_dtype",
    ]
)
def top_k_filter__removes_the_kth(logits, k):
    """The k-th token was removed as well: k - 1 were left. Remove what is less than the k-th, not
    what is equal to it."""
    check(k)
    return logits.masked_fill(logits <= threshold(logits, k), -INF)


@wrong(
    caught_by=[
        "keeps_the_k_largest",
        "each_row_has_its_own_threshold",
        "agrees_with_transformers",
        "any_leading_axes",
        "keeps_the_dtype",
    ]
)
def top_k_filter__keeps_one_too_many(logits, k):
    """One token too many was kept. The k-th of a sorted list has index k - 1."""
    check(k)
    kth = logits.sort(-1, descending=True).values[..., min(k, logits.shape[-1] - 1)]
    return logits.masked_fill(logits < kth[..., None], -INF)


@wrong(
    caught_by=[
        "keeps_the_k_largest",
        "keeps_all_that_equal_the_kth",
        "each_row_has_its_own_threshold",
        "agrees_with_transformers",
        "any_leading_axes",
        "keeps_the_dtype",
    ]
)
def top_k_filter__keeps_the_smallest(logits, k):
    """The k smallest logits were kept: sorting is ascending unless told otherwise."""
    check(k)
    kth = logits.sort(-1).values[..., min(k, logits.shape[-1]) - 1]
    return logits.masked_fill(logits > kth[..., None], -INF)


@wrong(caught_by=["keeps_all_that_equal_the_kth", "agrees_with_transformers"])
def top_k_filter__cuts_ties(logits, k):
    """Exactly k tokens were kept. Others that are as likely as the k-th have to stay too: which of
    them `topk` picks is an accident."""
    check(k)
    best = logits.topk(min(k, logits.shape[-1])).indices
    return torch.full_like(logits, -INF).scatter(-1, best, logits.gather(-1, best))


@wrong(crashes=["any_leading_axes", "large_k_keeps_everything"])
def top_k_filter__refuses_a_large_k(logits, k):
    """`topk` fails for a k above the size of the vocabulary. Nothing has to be removed then."""
    check(k)
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -INF)


@wrong(
    caught_by=["each_row_has_its_own_threshold"],
    crashes=[
        "agrees_with_transformers",
        "any_leading_axes",
        "large_k_keeps_everything",
        "input_is_not_modified",
        "keeps_the_dtype",
        "stays_on_the_device_of_the_input",
    ],
)
def top_k_filter__threshold_loses_its_axis(logits, k):
    """The k-th logits were indexed with `[..., -1]`, which drops the axis: the threshold of row i
    was compared with column i. Keep the axis, with `[..., -1:]` or `[..., -1, None]`."""
    check(k)
    return logits.masked_fill(logits < threshold(logits, k).squeeze(-1), -INF)


@wrong(
    caught_by=[
        "each_row_has_its_own_threshold",
        "agrees_with_transformers",
        "any_leading_axes",
        "large_k_keeps_everything",
        "keeps_the_dtype",
    ]
)
def top_k_filter__one_threshold_for_all_rows(logits, k):
    """One threshold was used for all rows. Each row has its own k-th logit."""
    check(k)
    flat = logits.flatten()
    kth = flat.topk(min(k, len(flat))).values[-1:].sum()
    return logits.masked_fill(logits < kth, -INF)


@wrong(
    caught_by=[
        "each_row_has_its_own_threshold",
        "agrees_with_transformers",
        "any_leading_axes",
        "keeps_the_dtype",
    ]
)
def top_k_filter__threshold_of_the_first_row(logits, k):
    """The threshold of the first row was used for all rows. Each row has its own k-th logit."""
    check(k)
    kth = threshold(logits, k).flatten()[:1].sum()
    return logits.masked_fill(logits < kth, -INF)


@wrong(
    caught_by=[
        "keeps_the_k_largest",
        "keeps_all_that_equal_the_kth",
        "each_row_has_its_own_threshold",
        "agrees_with_transformers",
        "any_leading_axes",
        "keeps_the_dtype",
    ]
)
def top_k_filter__fills_with_zero(logits, k):
    """Removed tokens got logit 0. A softmax gives that a good chance, often a better one than the
    kept tokens have: use -inf."""
    check(k)
    return logits.masked_fill(logits < threshold(logits, k), 0)


@wrong(
    caught_by=[
        "keeps_the_k_largest",
        "keeps_all_that_equal_the_kth",
        "each_row_has_its_own_threshold",
        "agrees_with_transformers",
        "any_leading_axes",
        "keeps_the_dtype",
    ]
)
def top_k_filter__fills_with_a_large_number(logits, k):
    """Removed tokens got a large negative number. It does not fit into every dtype, and the next
    filter cannot tell that the token is gone: use -inf."""
    check(k)
    return logits.masked_fill(logits < threshold(logits, k), -1e10)


@wrong(caught_by=["input_is_not_modified"])
def top_k_filter__modifies_the_input(logits, k):
    """`logits` itself was changed: assigning to `logits[...]` and `masked_fill_` write into the
    caller's tensor."""
    check(k)
    logits[logits < threshold(logits, k)] = -INF
    return logits


@wrong(caught_by=["refuses_k_below_one"])
def top_k_filter__accepts_any_k(logits, k):
    """A k of 0 or less was accepted. It would remove everything: raise a ValueError."""
    if k < 1:
        return logits.clone()
    return logits.masked_fill(logits < threshold(logits, k), -INF)


@wrong(
    caught_by=[
        "keeps_the_k_largest",
        "keeps_all_that_equal_the_kth",
        "each_row_has_its_own_threshold",
        "agrees_with_transformers",
        "any_leading_axes",
        "large_k_keeps_everything",
        "keeps_the_dtype",
    ]
)
def top_k_filter__returns_probabilities(logits, k):
    """Probabilities were returned. The result is logits again, for the next filter to work on: the
    kept ones as they were."""
    check(k)
    return logits.masked_fill(logits < threshold(logits, k), -INF).softmax(-1)


@wrong(caught_by=["keeps_the_dtype"], crashes=["stays_on_the_device_of_the_input"])
def top_k_filter__fills_a_new_tensor(logits, k):
    """The result was written into a new `torch.full(...)`, which is float32 and on the CPU whatever
    `logits` is."""
    check(k)
    result = torch.full(logits.shape, -INF)
    return torch.where(logits < threshold(logits, k), result, logits.float())
