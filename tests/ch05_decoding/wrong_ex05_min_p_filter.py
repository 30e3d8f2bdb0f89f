import torch

from kata.wrong import wrong

INF = float("inf")


def check(min_p, min_keep):
    if not 0 <= min_p <= 1:
        raise ValueError(f"min_p must be in [0, 1], got {min_p}")
    if min_keep < 1:
        raise ValueError(f"min_keep must be at least 1, got {min_keep}")


def kept(logits, min_p, min_keep=1):
    """The mask of the right answer."""
    check(min_p, min_keep)
    probs = logits.float().softmax(-1)
    return with_best(probs >= min_p * probs.amax(-1, keepdim=True), logits, min_keep)


def with_best(keep, logits, min_keep):
    best = logits.topk(min(min_keep, logits.shape[-1]), dim=-1).indices
    return keep.scatter(-1, best, True)


@wrong(
    caught_by=[
        "keeps_the_tokens_near_the_best",
        "a_token_at_the_bar_stays",
        "keeps_at_least_min_keep_tokens",
        "temperature_acts_like_a_power_of_min_p",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
    ]
)
def min_p_filter__takes_min_p_as_the_bar(logits, min_p, min_keep=1):
    """The probabilities were compared with `min_p` itself. The bar is `min_p` times the probability
    of the most likely token: it moves with how sure the model is."""
    check(min_p, min_keep)
    keep = logits.float().softmax(-1) >= min_p
    return logits.masked_fill(~with_best(keep, logits, min_keep), -INF)


@wrong(
    caught_by=[
        "keeps_the_tokens_near_the_best",
        "keeps_at_least_min_keep_tokens",
        "temperature_acts_like_a_power_of_min_p",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
    ]
)
def min_p_filter__compares_logits(logits, min_p, min_keep=1):
    """`min_p` times the best logit was taken as the bar. Logits have no zero point (they may all be
    negative): turn them into probabilities first."""
    check(min_p, min_keep)
    keep = logits >= min_p * logits.amax(-1, keepdim=True)
    return logits.masked_fill(~with_best(keep, logits, min_keep), -INF)


@wrong(
    caught_by=[
        "temperature_acts_like_a_power_of_min_p",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
    ],
    crashes=["vocabulary_of_one_and_empty_batch"],
)
def min_p_filter__shares_one_best_token(logits, min_p, min_keep=1):
    """The most likely token of the whole batch set the bar for every row. Each row has its own:
    take the maximum along the last axis."""
    check(min_p, min_keep)
    probs = logits.float().softmax(-1)
    keep = probs >= min_p * probs.max()
    return logits.masked_fill(~with_best(keep, logits, min_keep), -INF)


@wrong(caught_by=["a_token_at_the_bar_stays", "rows_with_hard_values"])
def min_p_filter__removes_the_token_at_the_bar(logits, min_p, min_keep=1):
    """A token exactly at the bar was removed. `min_p` times as likely as the best one is enough;
    that is how a token that is equal to the best stays at `min_p` = 1."""
    check(min_p, min_keep)
    probs = logits.float().softmax(-1)
    keep = probs > min_p * probs.amax(-1, keepdim=True)
    return logits.masked_fill(~with_best(keep, logits, min_keep), -INF)


@wrong(caught_by=["keeps_at_least_min_keep_tokens"])
def min_p_filter__ignores_min_keep(logits, min_p, min_keep=1):
    """`min_keep` changed nothing. That many tokens stay, the ones with the highest logits, even
    when they are below the bar."""
    check(min_p, min_keep)
    return logits.masked_fill(~kept(logits, min_p), -INF)


@wrong(crashes=["keeps_at_least_min_keep_tokens"])
def min_p_filter__min_keep_above_the_vocabulary(logits, min_p, min_keep=1):
    """`topk` cannot give more tokens than there are: a `min_keep` above the size of the vocabulary
    keeps all."""
    check(min_p, min_keep)
    best = logits.topk(min_keep, dim=-1).indices
    return logits.masked_fill(~kept(logits, min_p).scatter(-1, best, True), -INF)


@wrong(
    caught_by=[
        "a_token_at_the_bar_stays",
        "keeps_at_least_min_keep_tokens",
        "temperature_acts_like_a_power_of_min_p",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
        "vocabulary_of_one_and_empty_batch",
    ]
)
def min_p_filter__returns_log_probabilities(logits, min_p, min_keep=1):
    """The kept tokens came back as log-probabilities. A filter leaves the logits that it keeps as
    they are, so that filters can follow one another in any order."""
    return logits.log_softmax(-1).masked_fill(~kept(logits, min_p, min_keep), -INF)


@wrong(
    caught_by=[
        "keeps_the_tokens_near_the_best",
        "a_token_at_the_bar_stays",
        "keeps_at_least_min_keep_tokens",
        "temperature_acts_like_a_power_of_min_p",
        "agrees_with_transformers",
        "rows_with_hard_values",
        "keeps_the_dtype",
    ]
)
def min_p_filter__fills_with_a_large_number(logits, min_p, min_keep=1):
    """Removed logits became a large negative number. Only -inf gives the probability 0 in every
    row, also where all logits are very negative."""
    return logits.masked_fill(~kept(logits, min_p, min_keep), -1e4)


@wrong(caught_by=["keeps_the_dtype"])
def min_p_filter__computes_in_16_bits(logits, min_p, min_keep=1):
    """The probabilities were computed with the 16 bits of the logits. Rounded that much, tokens
    land on the wrong side of the bar: use `logits.float()` for the decision."""
    check(min_p, min_keep)
    probs = logits.softmax(-1)
    keep = probs >= min_p * probs.amax(-1, keepdim=True)
    return logits.masked_fill(~with_best(keep, logits, min_keep), -INF)


@wrong(caught_by=["keeps_the_dtype"], crashes=["stays_on_the_device_of_the_input"])
def min_p_filter__fills_a_new_tensor(logits, min_p, min_keep=1):
    """The result was made from a new tensor (`torch.full`, `torch.zeros`), which is float32 and on
    the CPU whatever `logits` is."""
    nothing = torch.full(logits.shape, -INF)
    return torch.where(kept(logits, min_p, min_keep), logits, nothing)


@wrong(caught_by=["input_is_not_modified"])
def min_p_filter__modifies_the_input(logits, min_p, min_keep=1):
    """`logits` itself was changed (`masked_fill_`, or `logits[...] = ...`): the caller still needs
    it. Return a new tensor."""
    return logits.masked_fill_(~kept(logits, min_p, min_keep), -INF)


@wrong(caught_by=["refuses_bad_arguments"])
def min_p_filter__accepts_any_argument(logits, min_p, min_keep=1):
    """A `min_p` outside of [0, 1] or a `min_keep` below 1 was accepted. Refuse it with a ValueError
    that says what was got."""
    probs = logits.float().softmax(-1)
    keep = probs >= min_p * probs.amax(-1, keepdim=True)
    return logits.masked_fill(~with_best(keep, logits, max(min_keep, 1)), -INF)


@wrong(
    crashes=[
        "keeps_the_tokens_near_the_best",
        "a_token_at_the_bar_stays",
        "agrees_with_transformers",
        "rows_with_hard_values",
    ]
)
def min_p_filter__refuses_0_and_1(logits, min_p, min_keep=1):
    """`min_p` = 0 or 1 was refused. Both mean something: 0 keeps all tokens, 1 only the most likely
    one and its equals."""
    if not 0 < min_p < 1:
        raise ValueError(f"min_p must be in (0, 1), got {min_p}")
    return logits.masked_fill(~kept(logits, min_p, min_keep), -INF)
