import pytest

from kata.check import raises
from kata.properties import example, given, st


def test_learns_the_hand_worked_merges(answer):
    merges, _ = answer.train_bpe("aaabdaaabac", 259)
    assert merges == {(97, 97): 256, (256, 97): 257, (257, 98): 258}


def test_vocab_holds_the_bytes_of_every_id(answer):
    _, vocab = answer.train_bpe("aaabdaaabac", 259)
    assert vocab == {i: bytes([i]) for i in range(256)} | {256: b"aa", 257: b"aaa", 258: b"aaab"}


@pytest.mark.parametrize("size", [256, 257, 260])
def test_vocab_size_counts_the_bytes(answer, size):
    merges, vocab = answer.train_bpe("to be or not to be", size)
    assert (len(merges), len(vocab)) == (size - 256, size), "len(merges), len(vocab)"


def test_stops_when_no_pair_is_left(answer):
    merges, _ = answer.train_bpe("abc", 1000)
    assert merges == {(97, 98): 256, (256, 99): 257}


def test_overlapping_pairs_all_count(answer):
    merges, _ = answer.train_bpe("bcbcaaaa", 257)
    assert merges == {(97, 97): 256}


@pytest.mark.parametrize(("text", "merge"), [("éé", (195, 169)), (b"\xff\xfe\xff\xfe", (255, 254))])
def test_learns_from_bytes(answer, text, merge):
    merges, _ = answer.train_bpe(text, 257)
    assert merges == {merge: 256}


@pytest.mark.parametrize(
    ("text", "tie", "expected"),
    [
        ("bdabc", "first", {(98, 100): 256}),
        ("bdabc", "greatest", {(100, 97): 256}),
        # After the first merge: the new pair stands before the older one, which is as frequent.
        ("abxabcd", "first", {(97, 98): 256, (256, 120): 257}),
        # Then the pairs are (b"A", b"ab"), (b"ab", b"ab") and (b"ab", b"z").
        ("Aababz", "greatest", {(97, 98): 256, (256, 122): 257}),
    ],
)
def test_breaks_ties_as_asked(answer, text, tie, expected):
    merges, _ = answer.train_bpe(text, 256 + len(expected), tie)
    assert merges == expected


def test_pairs_stay_inside_their_chunk(answer):
    merges, _ = answer.train_on_chunks({b"ab": 1, b"cab": 1, b"c": 9}, 257)
    assert merges == {(97, 98): 256}


def test_a_chunk_counts_as_often_as_it_occurs(answer):
    merges, _ = answer.train_on_chunks({b"ab": 1, b"cab": 1, b"xy": 3}, 257)
    assert merges == {(120, 121): 256}


@pytest.mark.parametrize(
    ("text", "size", "tie", "message"),
    [
        ("ab", 255, "first", "255"),
        ("ab", 300, "last", "last"),
        ("", 300, "first", "empty corpus"),
        ("ab\ud83d", 300, "first", "surrogate"),
    ],
    ids=["size", "tie", "empty", "surrogate"],
)
def test_bad_arguments_are_errors(answer, text, size, tie, message):
    with raises(ValueError, match=message):
        answer.train_bpe(text, size, tie)


chunks = st.dictionaries(st.text("abc", min_size=1, max_size=8), st.integers(1, 4), min_size=1)


@given(chunks, st.sampled_from(["first", "greatest"]))
@example({"aaaabcbcbcab": 1, "cab": 2, "c": 9}, "first")
@example({"abab": 1, "b": 2, "abz": 1}, "greatest")
def test_agrees_with_the_reference(answer, reference, chunks, tie):
    counts = {chunk.encode(): n for chunk, n in chunks.items()}
    expected = reference.train_on_chunks(counts, 264, tie)
    assert answer.train_on_chunks(dict(counts), 264, tie) == expected
