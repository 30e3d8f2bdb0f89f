import random

import pytest

from kata.check import raises
from kata.properties import example, given, st


def test_numbers_the_words_in_sorted_order(answer):
    tokenizer = answer.WordTokenizer.build(["the cat sat", "the mat"])
    assert tokenizer.encode("cat mat sat the") == [2, 3, 4, 5]


def test_vocabulary_counts_each_word_once(answer):
    # be, not, or, to; and the ids of padding and of unknown words.
    tokenizer = answer.WordTokenizer.build(["to be or", "not to be"])
    assert tokenizer.vocab_size == 6


def test_unknown_words_become_unk(answer):
    tokenizer = answer.WordTokenizer.build(["the cat sat"])
    assert tokenizer.encode("the dog sat") == [4, 1, 3]


@pytest.mark.parametrize("text", ["a  b", "a\tb", "a\n\nb", " a b "])
def test_any_whitespace_separates_words(answer, text):
    tokenizer = answer.WordTokenizer.build([text])
    assert tokenizer.encode(text) == [2, 3]


def test_decode_writes_words_and_unk(answer):
    tokenizer = answer.WordTokenizer.build(["the cat sat"])
    assert tokenizer.decode([4, 1, 3]) == "the <unk> sat"


def test_decode_leaves_padding_out(answer):
    tokenizer = answer.WordTokenizer.build(["the cat sat"])
    assert tokenizer.decode([4, 2, 0, 0]) == "the cat"


@pytest.mark.parametrize("corpus", [[], ["", " \n"]])
def test_corpus_without_words_is_an_error(answer, corpus):
    with raises(ValueError):
        answer.WordTokenizer.build(corpus)


def test_two_tokenizers_share_nothing(answer):
    first = answer.WordTokenizer.build(["a b"])
    answer.WordTokenizer.build(["c d"])
    assert first.encode("a b c d") == [2, 3, 1, 1]


@given(text=st.text("abAB.,é \t\n", max_size=40))
@example(text="The the THE the,")
@example(text="a\tb  a")
def test_words_survive_the_round_trip(answer, text):
    tokenizer = answer.WordTokenizer.build(["a", text])
    assert tokenizer.decode(tokenizer.encode(text)) == " ".join(text.split())


def test_agrees_with_the_library(answer):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<unk>", "Be,", "To", "be", "not", "or", "that", "to"]
    library = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words, 1)}, "<unk>"))
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    text = "\n ".join(random.Random(0).choices([*words[1:], "question"], k=200))
    expected = library.encode(text).ids
    assert answer.WordTokenizer.build(words[1:]).encode(text) == expected
