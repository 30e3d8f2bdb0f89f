import random

import pytest

from kata.properties import example, given, st


def test_replaces_every_occurrence(answer):
    assert answer.merge_pair([5, 1, 2, 7, 1, 2], (1, 2), 9) == [5, 9, 7, 9]


def test_overlap_merges_from_the_left(answer):
    assert answer.merge_pair([97, 97, 97], (97, 97), 256) == [256, 97]


def test_keeps_the_last_symbol(answer):
    assert answer.merge_pair([1, 2, 3], (1, 2), 9) == [9, 3]


def test_compares_whole_symbols(answer):
    # As text, "1 2" also occurs inside "11 2" and "1 23".
    assert answer.merge_pair([11, 2, 1, 23], (1, 2), 9) == [11, 2, 1, 23]


def test_does_not_merge_its_own_result(answer):
    assert answer.merge_pair([1, 2, 2, 2], (1, 2), 1) == [1, 2, 2]


@pytest.mark.parametrize("ids", [[], [1]])
def test_short_inputs_stay_as_they_are(answer, ids):
    expected = list(ids)
    assert answer.merge_pair(ids, (1, 2), 9) == expected


def test_input_is_not_modified(answer):
    ids = [1, 2, 1, 2]
    answer.merge_pair(ids, (1, 2), 9)
    assert ids == [1, 2, 1, 2], "the list that was passed, after the call"


@given(ids=st.lists(st.integers(0, 2), max_size=12))
@example(ids=[1, 1, 1])
def test_splitting_the_result_gives_the_input(answer, ids):
    merged = answer.merge_pair(list(ids), (1, 1), 9)
    split = [old for new in merged for old in ([1, 1] if new == 9 else [new])]
    assert split == ids, "the result, with 1, 1 in the place of every 9"


def test_agrees_with_the_reference(answer, reference):
    ids = random.Random(0).choices(range(3), k=500)
    expected = reference.merge_pair(list(ids), (1, 1), 3)
    assert answer.merge_pair(ids, (1, 1), 3) == expected
