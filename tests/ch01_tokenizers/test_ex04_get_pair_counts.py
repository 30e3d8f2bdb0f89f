import random
from collections import Counter
from itertools import pairwise

import pytest


def test_counts_every_pair_of_neighbours(answer):
    expected = {(1, 2): 2, (2, 3): 1, (3, 1): 1}
    assert answer.get_pair_counts([1, 2, 3, 1, 2]) == expected


def test_overlapping_pairs_all_count(answer):
    assert answer.get_pair_counts([7, 7, 7, 7]) == {(7, 7): 3}


def test_both_orders_are_different_pairs(answer):
    assert answer.get_pair_counts([1, 2, 1]) == {(1, 2): 1, (2, 1): 1}


@pytest.mark.parametrize("ids", [[], [5]])
def test_short_inputs_have_no_pairs(answer, ids):
    assert answer.get_pair_counts(ids) == {}


def test_adds_to_the_counts_it_is_given(answer):
    counts = answer.get_pair_counts([1, 2, 1], {(1, 2): 3, (1, 1): 1})
    assert counts == {(1, 2): 4, (1, 1): 1, (2, 1): 1}


def test_updates_the_very_dict_it_is_given(answer):
    counts = {}
    answer.get_pair_counts([1, 2], counts)
    assert counts == {(1, 2): 1}, "the dict that was passed, after the call"


def test_no_pair_reaches_across_chunks(answer):
    counts = answer.get_pair_counts([1, 2])
    assert answer.get_pair_counts([3, 4], counts) == {(1, 2): 1, (3, 4): 1}


def test_calls_without_counts_are_independent(answer):
    answer.get_pair_counts([1, 2])
    assert answer.get_pair_counts([3, 4]) == {(3, 4): 1}


def test_pairs_stay_in_order_of_appearance(answer):
    pairs = list(answer.get_pair_counts([3, 1, 2, 1, 2]))
    assert pairs == [(3, 1), (1, 2), (2, 1)], "the keys in their order"


def test_agrees_with_counter(answer):
    ids = random.Random(0).choices(range(5), k=500)
    expected = dict(Counter(pairwise(ids)))
    assert answer.get_pair_counts(ids) == expected
