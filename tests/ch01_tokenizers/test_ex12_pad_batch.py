import random

import pytest

from kata.check import raises


def test_fills_short_rows_on_the_right(answer):
    expected = ([[5, 6, 7], [8, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    assert answer.pad_batch([[5, 6, 7], [8]], 0) == expected


def test_left_side_pads_before_the_tokens(answer):
    expected = ([[5, 6, 7], [9, 9, 8]], [[1, 1, 1], [0, 0, 1]])
    assert answer.pad_batch([[5, 6, 7], [8]], 9, side="left") == expected


@pytest.mark.parametrize(("side", "kept"), [("right", [1, 2, 3]), ("left", [2, 3, 4])])
def test_max_len_cuts_at_that_side(answer, side, kept):
    expected = ([kept, kept], [[1, 1, 1], [1, 1, 1]])
    assert answer.pad_batch([[1, 2, 3, 4], kept], 0, side, max_len=3) == expected


def test_max_len_never_adds_padding(answer):
    expected = ([[1, 2], [0, 3]], [[1, 1], [0, 1]])
    assert answer.pad_batch([[1, 2], [3]], 0, side="left", max_len=5) == expected


def test_pad_id_can_be_a_real_token(answer):
    # The first row ends in the end token 2, which also serves as padding.
    expected = ([[7, 8, 2], [9, 2, 2]], [[1, 1, 1], [1, 1, 0]])
    assert answer.pad_batch([[7, 8, 2], [9, 2]], 2) == expected


def test_mask_holds_integers(answer):
    _, mask = answer.pad_batch([[5, 6], [7]], 0)
    assert [[type(m) for m in row] for row in mask] == [[int, int], [int, int]]


def test_nothing_to_pad_is_no_error(answer):
    assert answer.pad_batch([], 0) == ([], [])
    assert answer.pad_batch([[], [4]], 0, "left", 1) == ([[0], [4]], [[0], [1]])


@pytest.mark.parametrize(("name", "value"), [("side", "top"), ("max_len", 0), ("max_len", -1)])
def test_bad_arguments_raise_an_error(answer, name, value):
    with raises(ValueError, match=name):
        answer.pad_batch([[1, 2]], 0, **{name: value})


def test_input_is_not_modified(answer):
    seqs = [[1, 2, 3], [4]]
    answer.pad_batch(seqs, 0, side="left", max_len=2)
    assert seqs == [[1, 2, 3], [4]], "the rows that were passed, after the call"


@pytest.mark.parametrize("side", ["right", "left"])
def test_agrees_with_the_tokenizers_library(answer, side):
    rng = random.Random(0)
    seqs = [[rng.randrange(5) for _ in range(rng.randrange(12))] for _ in range(20)]
    encodings = library(side).encode_batch([" ".join(map(str, s)) for s in seqs])
    expected = [e.ids for e in encodings], [e.attention_mask for e in encodings]
    assert answer.pad_batch(seqs, 0, side, max_len=8) == expected


def library(side):
    """A tokenizer for which the text of an id is the id, with its own padding and truncation."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({str(i): i for i in range(5)}, unk_token="0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_padding(direction=side, pad_id=0, pad_token="0")
    tokenizer.enable_truncation(8, direction=side)
    return tokenizer
