import random

import pytest

from kata.check import raises
from kata.properties import example, given, st, texts


def test_joins_the_bytes_of_the_tokens(answer):
    vocab = {104: b"h", 256: b"ello", 257: b" world"}
    assert answer.bpe_decode([104, 256, 257], vocab) == "hello world"


def test_characters_may_be_cut_between_tokens(answer):
    vocab = {1: "é🙂".encode()[:1], 2: "é🙂".encode()[1:4], 3: "é🙂".encode()[4:]}
    assert answer.bpe_decode([1, 2, 3], vocab) == "é🙂"


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (b"ab\xf0\x9f\x99", "ab\ufffd"),
        (b"\x99ab", "\ufffdab"),
        (b"\xff\xffab", "\ufffd\ufffdab"),
    ],
)
def test_broken_characters_become_the_replacement_character(answer, token, text):
    assert answer.bpe_decode([0], {0: token}) == text


def test_no_ids_give_an_empty_string(answer):
    assert answer.bpe_decode([], {}) == ""


@pytest.mark.parametrize("unknown", [256, -1])
def test_unknown_id_is_an_error_that_names_it(answer, unknown):
    with raises(ValueError, match=str(unknown)):
        answer.bpe_decode([97, unknown, 98], {i: bytes([i]) for i in range(256)})


@given(texts, st.integers(1, 5))
@example("naïve 日本 🙂", 2)
def test_gives_back_text_however_it_was_cut(answer, text, width):
    data = text.encode()
    pieces = [data[i : i + width] for i in range(0, len(data), width)]
    assert answer.bpe_decode(list(range(len(pieces))), dict(enumerate(pieces))) == text


@pytest.mark.real
def test_agrees_with_tiktoken_on_gpt2_ids(answer, real):
    library, rng = real.encoding("gpt2"), random.Random(0)
    ids = library.encode_ordinary("🚀 日本") + [rng.randrange(50257) for _ in range(2000)]
    vocab = {i: library.decode_single_token_bytes(i) for i in ids}
    assert answer.bpe_decode(list(ids), vocab) == library.decode(ids)
