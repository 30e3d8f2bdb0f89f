from itertools import pairwise

import torch

from kata.wrong import wrong

INF = float("inf")


def check(n):
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")


def repeats(ids, n):
    """The n-grams of each row, and which of them begin with the last n - 1 tokens."""
    ngrams = ids.unfold(-1, n, 1)
    last = ids[..., None, ids.shape[-1] - n + 1 :]
    return ngrams, (ngrams[..., :-1] == last).all(-1)


def banned(logits, ids, n):
    """The mask of the right answer."""
    check(n)
    counts = torch.zeros_like(logits, dtype=torch.long)
    if ids.shape[-1] >= n:
        ngrams, same = repeats(ids, n)
        counts = counts.scatter_add(-1, ngrams[..., -1], same.long())
    return counts > 0


@wrong(caught_by=["single_tokens_may_not_repeat", "exactly_the_banned_tokens_repeat_an_ngram"])
def banned_tokens__takes_all_for_the_last_none(ids, n):
    """For n = 1 the last n - 1 = 0 tokens are needed, but `ids[-0:]` is everything. Count from the
    front: `ids[len(ids) - n + 1 :]`."""
    check(n)
    ids = list(ids)
    last = ids[-(n - 1) :]
    return {ids[i + n - 1] for i in range(len(ids) - n + 1) if ids[i : i + n - 1] == last}


@wrong(
    caught_by=[
        "an_ngram_may_overlap_itself",
        "single_tokens_may_not_repeat",
        "exactly_the_banned_tokens_repeat_an_ngram",
    ]
)
def banned_tokens__misses_the_latest_ngram(ids, n):
    """The n-gram at the very end was left out. A list of length t has t - n + 1 of them, and the
    latest may overlap the one that is about to be completed."""
    check(n)
    ids = list(ids)
    last = ids[len(ids) - n + 1 :]
    return {ids[i + n - 1] for i in range(len(ids) - n) if ids[i : i + n - 1] == last}


@wrong(
    caught_by=[
        "bans_what_followed_before",
        "an_ngram_may_overlap_itself",
        "single_tokens_may_not_repeat",
        "exactly_the_banned_tokens_repeat_an_ngram",
    ]
)
def banned_tokens__compares_n_tokens(ids, n):
    """The last n tokens were looked up. The new token is one of the n: only the n - 1 tokens before
    it have to be the same."""
    check(n)
    ids = list(ids)
    last = ids[max(len(ids) - n, 0) :]
    return {ids[i + n] for i in range(len(ids) - n) if ids[i : i + n] == last}


@wrong(caught_by=["bans_what_followed_before", "exactly_the_banned_tokens_repeat_an_ngram"])
def banned_tokens__looks_at_the_last_token_only(ids, n):
    """Everything that followed the last token before was banned. The last n - 1 tokens have to be
    the same."""
    check(n)
    if n == 1:
        return set(ids)
    return {b for a, b in pairwise(ids) if len(ids) >= n and a == ids[-1]}


@wrong(
    caught_by=[
        "bans_what_followed_before",
        "single_tokens_may_not_repeat",
        "exactly_the_banned_tokens_repeat_an_ngram",
    ]
)
def banned_tokens__knows_one_successor(ids, n):
    """Of several tokens that followed the same n - 1 tokens only one was banned: a dictionary from
    those to a single token forgets the others. All of them are banned."""
    check(n)
    ids = list(ids)
    followed = {tuple(ids[i : i + n - 1]): ids[i + n - 1] for i in range(len(ids) - n + 1)}
    last = tuple(ids[len(ids) - n + 1 :])
    return {followed[last]} if last in followed else set()


@wrong(
    caught_by=[
        "bans_what_followed_before",
        "an_ngram_may_overlap_itself",
        "exactly_the_banned_tokens_repeat_an_ngram",
    ]
)
def banned_tokens__cuts_into_blocks(ids, n):
    """The list was cut into blocks of n tokens. An n-gram may start at every position."""
    check(n)
    ids = list(ids)
    last = ids[len(ids) - n + 1 :]
    return {ids[i + n - 1] for i in range(0, len(ids) - n + 1, n) if ids[i : i + n - 1] == last}


@wrong(
    crashes=[
        "bans_what_followed_before",
        "an_ngram_may_overlap_itself",
        "too_few_tokens_ban_nothing",
        "exactly_the_banned_tokens_repeat_an_ngram",
    ]
)
def banned_tokens__runs_past_the_end(ids, n):
    """The last n - 1 tokens were found at the end, where they stand, and nothing follows there. The
    last start of a whole n-gram is len(ids) - n."""
    check(n)
    ids = list(ids)
    last = ids[len(ids) - n + 1 :]
    return {ids[i + n - 1] for i in range(len(ids)) if ids[i : i + n - 1] == last}


@wrong(caught_by=["refuses_n_below_one"])
def banned_tokens__accepts_any_n(ids, n):
    """An `n` below 1 was accepted. Refuse it with a ValueError that says what was got."""
    ids, n = list(ids), max(n, 1)
    last = ids[len(ids) - n + 1 :]
    return {ids[i + n - 1] for i in range(len(ids) - n + 1) if ids[i : i + n - 1] == last}


@wrong(caught_by=["agrees_with_transformers", "rows_do_not_influence_each_other"])
def no_repeat_ngram_filter__mixes_the_rows(logits, ids, n):
    """The n-grams of one row banned tokens in another. Each row of `ids` belongs to one row of
    `logits`."""
    check(n)
    seen, rows = ids.flatten().tolist(), ids.reshape(-1, max(ids.shape[-1], 1)).tolist()
    result = logits.clone()
    for row, own in zip(result.view(-1, logits.shape[-1]), rows, strict=False):
        last = own[len(own) - n + 1 :]
        for i in range(len(seen) - n + 1):
            if len(own) >= n and seen[i : i + n - 1] == last:
                row[seen[i + n - 1]] = -INF
    return result


@wrong(caught_by=["agrees_with_transformers"])
def no_repeat_ngram_filter__undoes_a_ban(logits, ids, n):
    """A token was banned, and allowed again by a later n-gram that ends in the same token but
    begins otherwise: `scatter` keeps only one of several values for an id. Add the matches up."""
    check(n)
    if ids.shape[-1] < n:
        return logits.clone()
    ngrams, same = repeats(ids, n)
    mask = torch.zeros_like(logits, dtype=torch.bool)
    for i in range(same.shape[-1]):
        mask = mask.scatter(-1, ngrams[..., i, -1:], same[..., i : i + 1])
    return logits.masked_fill(mask, -INF)


@wrong(crashes=["nothing_to_remove"])
def no_repeat_ngram_filter__needs_a_whole_ngram(logits, ids, n):
    """It failed for fewer than n tokens. There is no n-gram yet, so nothing is removed."""
    check(n)
    ngrams, same = repeats(ids, n)
    counts = torch.zeros_like(logits, dtype=torch.long)
    return logits.masked_fill(counts.scatter_add(-1, ngrams[..., -1], same.long()) > 0, -INF)


@wrong(
    crashes=[
        "removes_the_banned_tokens",
        "agrees_with_transformers",
        "nothing_to_remove",
        "keeps_the_dtype_and_removed_logits",
    ]
)
def no_repeat_ngram_filter__loops_over_the_first_axis(logits, ids, n):
    """The first axis was taken for the batch, in a loop over it. A single row has no such axis, and
    with two leading axes it holds no rows: work on rows, or along the last axis."""
    rows = [
        row.masked_fill(banned(row, own, n), -INF) for row, own in zip(logits, ids, strict=True)
    ]
    return torch.stack(rows)


@wrong(
    caught_by=[
        "removes_the_banned_tokens",
        "agrees_with_transformers",
        "rows_do_not_influence_each_other",
        "keeps_the_dtype_and_removed_logits",
    ]
)
def no_repeat_ngram_filter__lowers_instead_of_removing(logits, ids, n):
    """The banned tokens got a large negative number, or 0, not -inf: they can still be drawn."""
    return logits.masked_fill(banned(logits, ids, n), -1e4)


@wrong(caught_by=["keeps_the_dtype_and_removed_logits"])
def no_repeat_ngram_filter__returns_float32(logits, ids, n):
    """The result is float32 whatever `logits` is: a new tensor (`torch.zeros`, `torch.full`) needs
    the dtype and the device of `logits`."""
    return torch.where(banned(logits, ids, n), torch.full(logits.shape, -INF), logits.float())


@wrong(caught_by=["inputs_are_not_modified"])
def no_repeat_ngram_filter__modifies_the_input(logits, ids, n):
    """`logits` itself was changed (`masked_fill_`, or `logits[...] = ...`): the caller still needs
    it. Return a new tensor."""
    return logits.masked_fill_(banned(logits, ids, n), -INF)


@wrong(caught_by=["filter_refuses_n_below_one"])
def no_repeat_ngram_filter__accepts_any_n(logits, ids, n):
    """An `n` below 1 was accepted. Refuse it with a ValueError that says what was got."""
    return logits.masked_fill(banned(logits, ids, max(n, 1)), -INF)
