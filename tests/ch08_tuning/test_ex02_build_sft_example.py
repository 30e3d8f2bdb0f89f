import re

import pytest

from kata.check import raises
from kata.properties import example, given, st, texts

END = 0
WORDS = ["a", "b", " ", ":", "ab", " a", " ab", ": a"]


def utf8(text):
    return list(text.encode())


def greedy(text):
    """From the left, the longest of `WORDS` that fits, each with the id of its place + 1."""
    longest_first = sorted(WORDS, key=len, reverse=True)
    return [WORDS.index(piece) + 1 for piece in re.findall("|".join(longest_first), text)]


def test_labels_hide_the_prompt_and_nothing_else(answer):
    # "ab: " is ab, ":", " "; the response " ab" is a single token.
    expected = ([5, 4, 3, 7, 0], [-100, -100, -100, 7, 0])
    assert answer.build_sft_example("ab: ", " ab", greedy, END) == expected


@pytest.mark.parametrize(
    ("prompt", "response"), [("a", "b"), ("b ", "ab"), ("b:", " ab"), ("", "")]
)
def test_prompt_and_response_are_encoded_apart(answer, prompt, response):
    hidden, learned = greedy(prompt), [*greedy(response), END]
    expected = (hidden + learned, [-100] * len(hidden) + learned)
    assert answer.build_sft_example(prompt, response, greedy, END) == expected


def test_prompt_may_be_ids(answer):
    expected = ([258, 97, 258, *b"ab", END], [-100, -100, -100, *b"ab", END])
    assert answer.build_sft_example([258, 97, 258], "ab", utf8, END) == expected


@pytest.mark.parametrize("end", [0, 97])
def test_tokens_of_the_prompt_are_learned_in_the_response(answer, end):
    # The end token, too, may occur in the prompt.
    expected = ([97, 0, 98, 97, 97, end], [-100, -100, -100, 97, 97, end])
    assert answer.build_sft_example([97, 0, 98], "aa", utf8, end) == expected


@pytest.mark.parametrize(("max_len", "kept"), [(3, 0), (4, 1), (6, 3), (7, 4), (8, 4), (None, 4)])
@pytest.mark.parametrize("kind", [str, utf8])
def test_long_prompts_lose_their_first_tokens(answer, kind, max_len, kept):
    expected = ([*b"wxyz"[4 - kept :], *b"no", END], [-100] * kept + [*b"no", END])
    assert answer.build_sft_example(kind("wxyz"), "no", utf8, END, max_len) == expected


@pytest.mark.parametrize(("prompt", "max_len"), [("wxyz", 2), ("", 2), ("w", 1)])
def test_long_responses_are_refused(answer, prompt, max_len):
    with raises(ValueError):
        answer.build_sft_example(prompt, "no", utf8, END, max_len)


@given(prompt=texts, response=texts, room=st.integers(0, 50))
@example(prompt=" Why?\n", response="\tSo. ", room=50)
@example(prompt="\u00e9t\u00e9", response="\u00e9", room=2)
@example(prompt="", response="", room=0)
def test_response_is_whole_and_the_prompt_is_its_end(answer, prompt, response, room):
    learned = [*utf8(response), 256]
    hidden = utf8(prompt)[::-1][:room][::-1]
    expected = (hidden + learned, [-100] * len(hidden) + learned)
    actual = answer.build_sft_example(prompt, response, utf8, 256, room + len(learned))
    assert actual == expected


@pytest.mark.parametrize("max_len", [None, 4])
def test_lists_of_others_are_not_modified(answer, max_len):
    cache, prompt = {}, [1, 2, 3]

    def encode(text):
        return cache.setdefault(text, utf8(text))

    answer.build_sft_example(prompt, "ab", encode, END, max_len)
    answer.build_sft_example("cde", "fg", encode, END, max_len)
    assert (prompt, cache) == ([1, 2, 3], {text: utf8(text) for text in cache})
