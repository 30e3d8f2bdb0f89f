import random

import pytest

VOCAB = {"un", "unaff", "a", "able", "##a", "##aff", "##able", "##ff"}


def test_takes_the_longest_piece_first(answer):
    assert answer.wordpiece_encode("unaffable", VOCAB) == ["unaff", "##able"]


def test_only_the_first_piece_has_no_marks(answer):
    assert answer.wordpiece_encode("unable", {"un", "##able"}) == ["un", "##able"]


def test_a_beginning_is_no_ending(answer):
    assert answer.wordpiece_encode("unun", {"un", "[UNK]"}) == ["[UNK]"]
    assert answer.wordpiece_encode("able", {"##able", "[UNK]"}) == ["[UNK]"]


def test_one_missing_piece_makes_the_word_unknown(answer):
    assert answer.wordpiece_encode("unable!", VOCAB, unk="<unk>") == ["<unk>"]


def test_never_goes_back_to_a_shorter_piece(answer):
    # "ab" + "##cd" would fit, but "abc" is longer, and nothing fits after it.
    assert answer.wordpiece_encode("abcd", {"ab", "abc", "##cd"}) == ["[UNK]"]


@pytest.mark.parametrize(("word", "pieces"), [("aaaa", ["a", "##aaa"]), ("aaaaa", ["[UNK]"])])
def test_only_words_beyond_the_limit_are_unknown(answer, word, pieces):
    assert answer.wordpiece_encode(word, {"a", "##aaa", "##aaaa"}, max_chars=4) == pieces


def test_limit_counts_characters(answer):
    assert answer.wordpiece_encode("éaaa", {"é", "##aaa"}, max_chars=4) == ["é", "##aaa"]


def test_empty_word_has_no_pieces(answer):
    assert answer.wordpiece_encode("", {"a"}) == []


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_tokenizers_library(answer, seed):
    rng = random.Random(seed)
    vocab = {"".join(rng.choices("abc", k=rng.randint(1, 3))) for _ in range(12)}
    vocab |= {"##" + "".join(rng.choices("abc", k=rng.randint(1, 3))) for _ in range(16)}
    word = "".join(rng.choices("abc", k=7))
    assert answer.wordpiece_encode(word, vocab, max_chars=8) == library(vocab, word)


def library(vocab, word):
    """The pieces that the model behind BERT's fast tokenizer gives."""
    from tokenizers.models import WordPiece

    ids = {piece: i for i, piece in enumerate(sorted(vocab | {"[UNK]"}))}
    model = WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=8)
    return [token.value for token in model.tokenize(word)]
