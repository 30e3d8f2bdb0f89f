import random
from functools import cache

import pytest

from kata.check import raises
from kata.properties import given, st
from solutions.ch01_tokenizers.ex06_train_bpe import train_bpe


def test_encodes_the_hand_worked_example(answer):
    merges = {(97, 97): 256, (256, 97): 257, (257, 98): 258}
    assert answer.bpe_encode("aaabdaaabac", merges) == [258, 100, 258, 97, 99]


@pytest.mark.parametrize("merges", [{(98, 99): 256, (97, 98): 257}, {(97, 98): 257, (98, 99): 256}])
def test_lowest_new_id_goes_first(answer, merges):
    assert answer.bpe_encode("abc", merges) == [97, 256]


def test_a_pair_on_the_left_may_have_to_wait(answer):
    merges = {(98, 99): 256, (97, 98): 257, (97, 256): 258}
    assert answer.bpe_encode("abc", merges) == [258]


def test_goes_on_until_nothing_can_be_merged(answer):
    merges = {(97, 98): 256, (256, 256): 257, (257, 257): 258}
    assert answer.bpe_encode("abababababab", merges) == [258, 257]


def test_equal_symbols_merge_from_the_left(answer):
    assert answer.bpe_encode("aaaaa", {(97, 97): 256}) == [256, 256, 97]


@pytest.mark.parametrize(("text", "ids"), [("", []), ("a", [97]), ("ab", [256])])
def test_short_texts_encode_too(answer, text, ids):
    assert answer.bpe_encode(text, {(97, 98): 256}) == ids


def test_without_merges_gives_utf8_bytes(answer):
    assert answer.bpe_encode("é🙂", {}) == [195, 169, 240, 159, 153, 130]


def test_bytes_need_not_be_utf8(answer):
    assert answer.bpe_encode(b"\xff\xfea", {(254, 97): 256}) == [255, 256]


def test_lone_surrogate_is_an_error(answer):
    with raises(ValueError, match="surrogate"):
        answer.bpe_encode("ab\ud83d", {(97, 98): 256})


@cache
def trained():
    """Merges, and tiktoken with the same: its ranks are the ids of the tokens."""
    import tiktoken

    text = "".join(random.Random(0).choices("abcé日", k=1000))
    merges, vocab = train_bpe(text, 320)
    ranks = {token: i for i, token in vocab.items()}
    one_chunk = r"(?s:.+)"
    library = tiktoken.Encoding(
        "trained", pat_str=one_chunk, mergeable_ranks=ranks, special_tokens={}
    )
    return merges, library


@given(st.text("abcé日", max_size=40))
def test_agrees_with_tiktoken(answer, text):
    merges, library = trained()
    expected = library.encode_ordinary(text)
    assert answer.bpe_encode(text, dict(merges)) == expected
