import random

import pytest

from kata.properties import example, given, texts


def random_text(seed):
    parts = [*"aeioust", "th", "er", "n't", "'s", "'S", " ", "  ", "\n", "7", "é", "東", "🚀", "--"]
    return "".join(random.Random(seed).choices(parts, k=2000))


def tiktoken_ids(text, pattern, vocab):
    import tiktoken

    ranks = {token: i for i, token in vocab.items()}
    encoding = tiktoken.Encoding("small", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary(text)


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("Hello world, in 2024!", ["Hello", " world", ",", " in", " 2024", "!"]),
        ("größer als 東京", ["größer", " als", " 東京"]),
        ("x4_y 3½ ²", ["x", "4", "_", "y", " 3½", " ²"]),
        ("well... 🚀🚀", ["well", "...", " 🚀🚀"]),
    ],
)
def test_words_numbers_and_symbols_take_one_space(answer, text, chunks):
    assert answer.pretokenize(text) == chunks


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("it's", ["it", "'s"]),
        ("don't we'll", ["don", "'t", " we", "'ll"]),
        ("DON'T", ["DON", "'", "T"]),
        ("'space", ["'s", "pace"]),
    ],
)
def test_endings_are_split_off_in_lower_case(answer, text, chunks):
    assert answer.pretokenize(text) == chunks


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("a   b", ["a", "  ", " b"]),
        ("a\n\nb\tc", ["a", "\n", "\n", "b", "\t", "c"]),
        (" a  \n", [" a", "  \n"]),
    ],
)
def test_white_space_leaves_a_space_to_the_word(answer, text, chunks):
    assert answer.pretokenize(text) == chunks


@given(texts)
@example("two  spaces, a tab\tand the end \n ")
def test_chunks_join_to_the_text(answer, text):
    assert "".join(answer.pretokenize(text)) == text


@pytest.mark.parametrize(
    ("pattern", "chunks"),
    [(r"\d|\D+", ["ab ", "1", "2"]), (r"(a)|b|(\d)+", ["a", "b", "12"])],
)
def test_another_pattern_gives_other_chunks(answer, pattern, chunks):
    assert answer.pretokenize("ab 12", pattern) == chunks


@pytest.mark.parametrize(
    ("text", "merges"),
    [
        # As one text, "w " and " l" would be as frequent, and come first.
        ("low low low lower", {(108, 111): 256, (256, 119): 257, (32, 257): 258}),
        # "ab" comes first, " cd" occurs more often.
        ("ab cd cd cd", {(32, 99): 256, (256, 100): 257, (97, 98): 258}),
    ],
)
def test_merges_come_from_counted_chunks(answer, text, merges):
    tokenizer = answer.RegexBPETokenizer()
    tokenizer.train(text, 259)
    assert tokenizer.merges == merges, "tokenizer.merges"


def test_tokens_end_where_chunks_end(answer):
    tokenizer = answer.RegexBPETokenizer()
    tokenizer.train("space space", 258)  # learns "sp" and "spa", but "'space" is "'s" and "pace"
    assert tokenizer.encode("'space space") == [39, 115, 112, 97, 99, 101, 32, 257, 99, 101]


def test_the_tokenizer_uses_its_pattern(answer):
    tokenizer = answer.RegexBPETokenizer(r"\d|\D+")
    tokenizer.train("11 11 a1", 257)
    assert tokenizer.encode("11 a") == [49, 49, 256]


def test_a_second_training_starts_anew(answer):
    tokenizer = answer.RegexBPETokenizer()
    tokenizer.train("abab", 257)
    tokenizer.encode("abab cd")
    tokenizer.train("cdcd", 257)
    assert tokenizer.encode("abab cd") == [97, 98, 97, 98, 32, 256]


@given(texts)
@example("🚀 é  \n")
def test_decoding_gives_the_text_back(answer, text):
    tokenizer = answer.RegexBPETokenizer()
    tokenizer.train("the café, the naïve 🚀🚀 café\n", 270)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_agrees_with_tiktoken(answer, reference):
    train, text = (random_text(seed) for seed in range(2))
    oracle, tokenizer = reference.RegexBPETokenizer(), answer.RegexBPETokenizer()
    oracle.train(train, 300)
    expected = tiktoken_ids(text, reference.GPT2_PATTERN, oracle.vocab)
    tokenizer.train(train, 300)
    assert tokenizer.encode(text) == expected
