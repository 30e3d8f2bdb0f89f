import pytest

from kata.check import raises
from kata.properties import example, given, st

SPECIAL = {"<|end|>": 256, "<|user|>": 257, "<|end|>\n": 258}


def utf8(text):
    return list(text.encode())


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("<|end|>", [256]),
        ("ab<|end|>", [97, 98, 256]),
        ("<|end|><|user|>a<|user|>", [256, 257, 97, 257]),
    ],
)
def test_a_special_token_is_one_id(answer, text, ids):
    assert answer.encode_with_special(text, utf8, SPECIAL, allowed_special="all") == ids


def test_spaces_and_text_around_it_stay(answer):
    ids = answer.encode_with_special("a <|end|>  b ", utf8, SPECIAL, allowed_special={"<|end|>"})
    assert ids == [97, 32, 256, 32, 32, 98, 32]


def test_the_longest_special_token_wins(answer):
    ids = answer.encode_with_special("<|end|>\n<|end|>", utf8, SPECIAL, allowed_special="all")
    assert ids == [258, 256]


@pytest.mark.parametrize("allowed", [[], ["none_raise"], [set()]])
def test_by_default_a_special_token_is_an_error(answer, allowed):
    with raises(ValueError, match="user"):
        answer.encode_with_special("Hi <|user|>!", utf8, SPECIAL, *allowed)


@pytest.mark.parametrize("allowed", [{"<|end|>"}, {"<|end|>", "user"}])
def test_a_special_token_outside_the_set_is_an_error(answer, allowed):
    with raises(ValueError, match="user"):
        answer.encode_with_special("a<|end|>b<|user|>", utf8, SPECIAL, allowed_special=allowed)


def test_part_of_an_allowed_token_may_be_an_error(answer):
    with raises(ValueError, match="end"):
        answer.encode_with_special("<|end|>\n", utf8, SPECIAL, allowed_special={"<|end|>\n"})


@pytest.mark.parametrize("mode", ["<|end|>", "some", ""])
def test_another_string_is_an_error(answer, mode):
    with raises(ValueError):
        answer.encode_with_special("a", utf8, SPECIAL, allowed_special=mode)


def test_with_none_special_tokens_are_text(answer):
    text = "a<|end|>\n"
    assert answer.encode_with_special(text, utf8, SPECIAL, allowed_special="none") == utf8(text)


def test_other_names_in_the_set_are_text(answer):
    allowed = {"<|end|>", "<|pad|>"}
    ids = answer.encode_with_special("<|pad|>", utf8, SPECIAL, allowed_special=allowed)
    assert ids == utf8("<|pad|>")


@given(st.lists(st.sampled_from(["<|end|>", "<|user|>", "a", " ", "é", "|"])))
@example(["a", " ", "<|user|>", "<|end|>", " "])
def test_nothing_is_lost_or_moved(answer, parts):
    ids = [i for part in parts for i in ([SPECIAL[part]] if part in SPECIAL else utf8(part))]
    assert answer.encode_with_special("".join(parts), utf8, SPECIAL, "all") == ids


@pytest.mark.parametrize("allowed", ["all", {"<|end|>", "<|user|>"}])
def test_agrees_with_tiktoken(answer, allowed):
    import tiktoken

    special = {"<|end|>": 259, "<|user|>": 300}
    ranks = {bytes([i]): i for i in range(256)} | {b"us": 256, b"er": 257, b"end": 258}
    tokens = tiktoken.Encoding(
        "x", pat_str=r" ?\w+|\s+|\W", mergeable_ranks=ranks, special_tokens=special
    )
    text = "<|user|> an end user<|end|>\n\n<|user|>ü<|end|> "
    expected = tokens.encode(text, allowed_special=allowed)
    assert answer.encode_with_special(text, tokens.encode_ordinary, special, allowed) == expected
