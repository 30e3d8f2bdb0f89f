import random

import pytest

from kata.properties import example, given, st


def test_a_shorter_piece_can_be_better(answer):
    log_probs = {"abc": -2.0, "ab": -1.0, "cd": -1.5, "d": -3.0}
    assert answer.unigram_encode("abcd", log_probs) == ["ab", "cd"]


def test_several_likely_pieces_beat_a_rare_one(answer):
    assert answer.unigram_encode("ab", {"ab": -9.0, "a": -1.0, "b": -1.0}) == ["a", "b"]


def test_equal_sums_prefer_a_longer_last_piece(answer):
    log_probs = {"a": -1.0, "bc": -1.0, "ab": -1.0, "c": -1.0}
    assert answer.unigram_encode("abc", log_probs) == ["a", "bc"]


def test_fewer_pieces_do_not_win_a_tie(answer):
    log_probs = {"abc": -2.0, "d": -1.0, "a": -1.0, "b": -1.0, "cd": -1.0}
    assert answer.unigram_encode("abcd", log_probs) == ["a", "b", "cd"]


def test_unknown_characters_stand_alone(answer):
    assert answer.unigram_encode("?a!?", {"a": -1.0}) == ["?", "a", "!", "?"]


def test_a_letter_of_a_piece_can_be_unknown(answer):
    assert answer.unigram_encode("aab", {"ab": -1.0}) == ["a", "ab"]


# The character that has no piece of its own is c in the first case and d in the second.
@pytest.mark.parametrize(
    ("log_probs", "expected"),
    [
        ({"ab": -1.0, "a": -3.0, "bc": -9.0}, ["a", "bc"]),  # -12 beats -1 - 19
        ({"abc": -1.0, "a": -20.0, "b": -20.0, "cd": -20.0}, ["abc", "d"]),  # -31 beats -60
    ],
)
def test_unknown_is_ten_below_the_rarest(answer, log_probs, expected):
    assert answer.unigram_encode("".join(expected), log_probs) == expected


def test_empty_text_has_no_pieces(answer):
    assert answer.unigram_encode("", {"a": -1.0}) == []


def test_long_text_is_no_problem(answer):
    assert answer.unigram_encode("a" * 1200, {"a": -1.0, "aa": -3.0}) == ["a"] * 1200


def cuts(text):
    """Every way to cut `text` into pieces."""
    if not text:
        return [[]]
    return [[text[:n], *rest] for n in range(1, len(text) + 1) for rest in cuts(text[n:])]


@given(
    text=st.text("abc?", max_size=8),
    halves=st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(-9, -1), min_size=2),
)
@example(text="abcd", halves={"abc": -4, "ab": -2, "cd": -3, "d": -6})
@example(text="abcd", halves={"abc": -2, "a": -2, "b": -2, "cd": -2, "d": -4})
@example(text="abc", halves={"ab": -2, "a": -6, "bc": -18})
@example(text="abcd", halves={"abc": -2, "a": -40, "b": -40, "cd": -40})
@example(text="aab", halves={"ab": -2})
@example(text="?a??b", halves={"b": -1, "a": -2})
@example(text="", halves={"a": -1})
def test_finds_the_best_of_all_cuts(answer, text, halves):
    log_probs = {piece: n / 2 for piece, n in halves.items()}  # halves: their sums are exact
    score = {c: min(log_probs.values()) - 10 for c in text} | log_probs
    valid = [cut for cut in cuts(text) if all(piece in score for piece in cut)]
    best = max(valid, key=lambda cut: (sum(score[p] for p in cut), [len(p) for p in cut[::-1]]))
    assert answer.unigram_encode(text, log_probs) == best


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_tokenizers_library(answer, seed):
    from tokenizers.models import Unigram

    rng = random.Random(seed)
    pieces = {"".join(rng.choices("abc", k=rng.randint(1, 4))) for _ in range(20)} | set("abc")
    log_probs = {piece: -rng.randint(1, 12) / 2 for piece in sorted(pieces)}
    text = "".join(rng.choices("abc", k=30))
    expected = [t.value for t in Unigram([("<unk>", 0.0), *log_probs.items()], 0).tokenize(text)]
    assert answer.unigram_encode(text, log_probs) == expected
