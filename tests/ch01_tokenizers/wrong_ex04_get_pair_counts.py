from collections import Counter
from itertools import pairwise

from kata.wrong import wrong


@wrong(caught_by=["calls_without_counts_are_independent"])
def get_pair_counts__keeps_the_counts_of_earlier_calls(ids, counts={}):  # noqa: B006
    """The counts of an earlier call were still there. A default value is made once, when the
    function is defined, and all calls share it: make the empty dict inside."""
    for pair in pairwise(ids):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(
    caught_by=[
        "adds_to_the_counts_it_is_given",
        "updates_the_very_dict_it_is_given",
        "no_pair_reaches_across_chunks",
    ]
)
def get_pair_counts__ignores_the_counts_it_is_given(ids, counts=None):
    """The counts of the chunks before were thrown away. Go on counting in the dict that is
    passed."""
    counts = {}
    for pair in pairwise(ids):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(caught_by=["updates_the_very_dict_it_is_given"])
def get_pair_counts__forgets_an_empty_dict(ids, counts=None):
    """An empty dict that was passed was replaced by another one, because an empty dict counts as
    false. Ask whether `counts` is None."""
    counts = counts or {}
    for pair in pairwise(ids):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(caught_by=["adds_to_the_counts_it_is_given", "no_pair_reaches_across_chunks"])
def get_pair_counts__counts_across_chunks(ids, counts=None):
    """The last symbol of one chunk was paired with the first of the next. They are no neighbours:
    a merge can never join them."""
    counts = {} if counts is None else counts
    before = [list(counts)[-1][1]] if counts else []
    for pair in pairwise([*before, *ids]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(
    caught_by=[
        "counts_every_pair_of_neighbours",
        "overlapping_pairs_all_count",
        "both_orders_are_different_pairs",
        "short_inputs_have_no_pairs",
        "adds_to_the_counts_it_is_given",
        "updates_the_very_dict_it_is_given",
        "no_pair_reaches_across_chunks",
        "calls_without_counts_are_independent",
        "pairs_stay_in_order_of_appearance",
        "agrees_with_counter",
    ]
)
def get_pair_counts__closes_the_circle(ids, counts=None):
    """The last symbol was paired with the first one. In Python `ids[-1]` is the last element:
    begin at the second symbol when you look back."""
    counts = {} if counts is None else counts
    for i in range(len(ids)):
        pair = ids[i - 1], ids[i]
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(
    caught_by=[
        "counts_every_pair_of_neighbours",
        "overlapping_pairs_all_count",
        "both_orders_are_different_pairs",
        "adds_to_the_counts_it_is_given",
        "updates_the_very_dict_it_is_given",
        "no_pair_reaches_across_chunks",
        "calls_without_counts_are_independent",
        "agrees_with_counter",
    ]
)
def get_pair_counts__loses_the_last_pair(ids, counts=None):
    """The last pair is missing. n symbols have n - 1 pairs of neighbours."""
    counts = {} if counts is None else counts
    for i in range(len(ids) - 2):
        pair = ids[i], ids[i + 1]
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(
    caught_by=[
        "counts_every_pair_of_neighbours",
        "overlapping_pairs_all_count",
        "both_orders_are_different_pairs",
        "adds_to_the_counts_it_is_given",
        "pairs_stay_in_order_of_appearance",
        "agrees_with_counter",
    ]
)
def get_pair_counts__skips_overlapping_pairs(ids, counts=None):
    """Each symbol was counted in one pair only. Here nothing is merged yet: every symbol but the
    first and the last belongs to two pairs."""
    counts = {} if counts is None else counts
    for pair in zip(ids[::2], ids[1::2], strict=False):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(
    caught_by=[
        "counts_every_pair_of_neighbours",
        "both_orders_are_different_pairs",
        "adds_to_the_counts_it_is_given",
        "pairs_stay_in_order_of_appearance",
        "agrees_with_counter",
    ]
)
def get_pair_counts__mixes_up_both_orders(ids, counts=None):
    """(1, 2) and (2, 1) were counted as the same pair. The order matters: `th` is not `ht`."""
    counts = {} if counts is None else counts
    for a, b in pairwise(ids):
        pair = min(a, b), max(a, b)
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(caught_by=["pairs_stay_in_order_of_appearance"])
def get_pair_counts__sorts_by_count(ids, counts=None):
    """The pairs were put in order of their counts. They must stay in the order in which they were
    first met, because training breaks ties by it."""
    counts = {} if counts is None else counts
    for pair, count in Counter(pairwise(ids)).most_common():
        counts[pair] = counts.get(pair, 0) + count
    return counts
