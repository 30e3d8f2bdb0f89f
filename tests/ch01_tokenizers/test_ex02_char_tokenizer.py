import string

import pytest

from kata.check import raises
from kata.properties import example, given, texts


def test_numbers_the_characters_in_sorted_order(answer):
    assert answer.CharTokenizer("banana").encode("ban") == [1, 0, 2]


def test_vocabulary_counts_each_character_once(answer):
    assert answer.CharTokenizer("banana").vocab_size == 3


def test_decode_gives_text(answer):
    assert answer.CharTokenizer("banana").decode([1, 0, 2]) == "ban"


def test_whitespace_has_ids_of_its_own(answer):
    # In sorted order: tab, line break, space, a.
    assert answer.CharTokenizer("a \n\t").encode("a a\n\t") == [3, 2, 3, 1, 0]


def test_unknown_character_is_an_error(answer):
    tokenizer = answer.CharTokenizer("banana")
    with raises(ValueError, match="#"):
        tokenizer.encode("ban#")


@pytest.mark.parametrize("wrong_id", [-1, 3, 99])
def test_unknown_id_is_an_error(answer, wrong_id):
    tokenizer = answer.CharTokenizer("banana")
    with raises(ValueError, match=str(wrong_id)):
        tokenizer.decode([0, wrong_id])


def test_printable_characters_and_emoji_come_back(answer):
    text = string.printable + "naïve 東京 🌟 👩‍🚀"
    tokenizer = answer.CharTokenizer(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=texts)
@example(text="banana bread")
def test_ids_are_positions_in_the_vocabulary(answer, text):
    expected = [sorted(set(text)).index(char) for char in text]
    assert answer.CharTokenizer(text).encode(text) == expected
