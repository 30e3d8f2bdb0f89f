import random

import pytest

from kata.check import raises
from kata.properties import example, given, st, texts

STOP = ["STOP"]


def tokenizer(*pieces):
    """The `decode` of a byte-level vocabulary: id i stands for the bytes `pieces[i]`."""
    table = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    return lambda ids: b"".join(table[i] for i in ids).decode("utf-8", "replace")


def single_bytes(ids):
    """The `decode` of a vocabulary that is the 256 bytes."""
    return bytes(ids).decode("utf-8", "replace")


def chunks(module, pieces, stop=()):
    """What is shown of a text that is cut into these pieces."""
    return list(module.stream_text(list(range(len(pieces))), tokenizer(*pieces), stop))


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["Go ", b"\xf0\x9f", b"\x9a", b"\x80", "!"], ["Go ", "🚀", "!"]),
        ([b"x\xc3", b"\xa9y"], ["x", "éy"]),
        ([b"\xf0\x9f\x9a", b"\x80\xc3", b"\xa9"], ["🚀", "é"]),
    ],
)
def test_waits_for_the_whole_character(answer, pieces, expected):
    assert chunks(answer, pieces) == expected


@given(text=texts.map(lambda text: text.replace("\ufffd", "")))
@example(text="é 🚀 漢")
def test_shows_every_character_when_it_is_complete(answer, text):
    shown = list(answer.stream_text(list(text.encode()), single_bytes))
    assert shown == list(text)


@given(data=st.binary(max_size=12))
@example(data=b"ok\xf0\x9f")
@example(data=b"\xff\xffa\xff")
def test_chunks_together_are_the_decoded_text(answer, data):
    expected = single_bytes(list(data))
    assert "".join(answer.stream_text(list(data), single_bytes)) == expected


def test_each_chunk_comes_before_the_next_id(answer):
    read = []
    ids = (read.append(i) or i for i in "né!".encode())
    shown = [(chunk, len(read)) for chunk in answer.stream_text(ids, single_bytes)]
    assert shown == [("n", 1), ("é", 3), ("!", 4)]


def test_text_of_an_id_may_depend_on_those_before(answer):
    words = ["Hello", "new", "world"]
    shown = answer.stream_text([0, 1, 2], lambda ids: " ".join(words[i] for i in ids))
    assert list(shown) == ["Hello", " new", " world"]


@pytest.mark.parametrize("pieces", [["one STOP two"], ["one ", "STOP"], ["one S", "", "TOP"]])
def test_stop_string_and_the_rest_are_not_shown(answer, pieces):
    assert chunks(answer, pieces, STOP) == ["one "]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["a S", "T", "AR", "T"], ["a ", "STAR", "T"]),
        (["a S", "T"], ["a ", "ST"]),
        (["STO", "STO", "P!"], ["STO"]),
        (["A ST", b"OP\xf0\x9f"], ["A "]),
    ],
)
def test_holds_back_what_may_become_a_stop_string(answer, pieces, expected):
    assert chunks(answer, pieces, STOP) == expected


@pytest.mark.parametrize("letters", ["aaab", "aaaab"])
def test_stop_string_may_overlap_its_own_beginning(answer, letters):
    assert chunks(answer, letters, ["aab"]) == ["a"] * (len(letters) - 3)


def test_stop_string_that_begins_first_counts(answer):
    assert chunks(answer, ["zero ", "one two three"], ["two", "three", "one"]) == ["zero "]


def test_no_id_is_read_after_a_stop_string(answer):
    ids = iter([0, 1, 2, 3, 4])
    list(answer.stream_text(ids, tokenizer("one ", "ST", "OP", "two", "three"), STOP))
    assert list(ids) == [3, 4], "ids that were not asked for"


def test_agrees_with_the_reference(answer, reference):
    rng = random.Random(0)
    pieces = [
        ["".join(rng.choices("ab", k=rng.randint(0, 3))) for _ in range(9)] for _ in range(60)
    ]
    stop = ["abba", "baab", "bbb"]
    expected = [chunks(reference, text, stop) for text in pieces]
    assert [chunks(answer, text, stop) for text in pieces] == expected


def test_empty_stop_string_is_refused(answer):
    with raises(ValueError):
        chunks(answer, ["one", "two"], ["STOP", ""])


@pytest.mark.real
def test_streams_the_tokens_of_gpt2(answer, real):
    gpt2 = real.encoding("gpt2")
    ids = gpt2.encode("A 🚀 to the café 漢字. STOP it")
    shown = list(answer.stream_text(ids, gpt2.decode, STOP))
    assert shown == ["A", " ", "🚀", " to", " the", " café", " ", "漢", "字", ".", " "]
