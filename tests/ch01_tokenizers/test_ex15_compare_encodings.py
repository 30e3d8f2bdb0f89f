import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from kata.check import raises
from kata.properties import example, given, st, texts


def utf8_encode(text):
    return list(text.encode())


def utf8_byte(i):
    return bytes([i])


def character_encode(text):
    return [ord(c) for c in text]


def character_bytes(i):
    return chr(i).encode()


UTF8 = (utf8_encode, utf8_byte)
CHARACTERS = (character_encode, character_bytes)


def test_joins_the_tokens_of_one_character(answer):
    tokens = [b"A ", b"\xf0", b"\x9f", b"\x8c", b"\x9f", b" star"]
    assert answer.group_tokens(tokens) == [("A ", 1), ("🌟", 4), (" star", 1)]


def test_a_token_can_belong_to_two_characters(answer):
    tokens = ["é".encode(), b"\xc3", b"\xa9\xe2\x82", b"\xac", b"!"]
    assert answer.group_tokens(tokens) == [("é", 1), ("é€", 3), ("!", 1)]


def shortest_pieces(tokens):
    """Close a piece as soon as it loses nothing when bytes that are not UTF-8 are dropped."""
    pieces, piece, count = [], b"", 0
    for token in tokens:
        piece, count = piece + token, count + 1
        if piece.decode(errors="ignore").encode() == piece:
            pieces.append((piece.decode(), count))
            piece, count = b"", 0
    return pieces


@given(text=texts, cuts=st.sets(st.integers(1, 80)))
@example(text="é🌟!", cuts={1, 3, 4, 6})
def test_pieces_are_as_short_as_possible(answer, text, cuts):
    data = text.encode()
    tokens = [data[a:b] for a, b in pairwise([0, *sorted(cuts), 999]) if data[a:b]]
    expected = shortest_pieces(tokens)
    assert answer.group_tokens(tokens) == expected


@pytest.mark.parametrize("tokens", [[b"ok", b"\xf0\x9f"], [b"\x9f", b"ok"]])
def test_half_a_character_is_an_error(answer, tokens):
    with raises(UnicodeDecodeError):
        answer.group_tokens(tokens)


def test_makes_one_row_per_encoding(answer):
    rows = answer.compare_encodings("é b", {"utf8": UTF8, "characters": CHARACTERS})
    assert [row["name"] for row in rows] == ["utf8", "characters"]
    assert [row["ids"] for row in rows] == [[195, 169, 32, 98], [233, 32, 98]]
    assert [row["pieces"][0] for row in rows] == [("é", 2), ("é", 1)]


# 13 bytes, 9 characters, 3 words
@pytest.mark.parametrize(
    ("encoding", "ratios"), [(UTF8, (13 / 3, 1.0)), (CHARACTERS, (9 / 3, 13 / 9))]
)
def test_ratios_count_words_bytes_and_tokens(answer, encoding, ratios):
    (row,) = answer.compare_encodings("né  \n🌟 ok", {"": encoding})
    found = row["tokens_per_word"], row["bytes_per_token"]
    assert found == ratios, "tokens_per_word, bytes_per_token"


def test_nothing_to_divide_by_gives_zero(answer):
    empty = {"name": "e", "ids": [], "pieces": [], "tokens_per_word": 0.0, "bytes_per_token": 0.0}
    assert answer.compare_encodings("", {"e": UTF8}) == [empty]


class Browser(HTMLParser):
    """Collects the text of a page piece by piece, with its style."""

    def __init__(self):
        super().__init__()
        self.shown, self.style = [], {}

    def handle_starttag(self, tag, attrs):
        self.style = dict(re.findall(r"([\w-]+)\s*:\s*([^;]+)", dict(attrs).get("style") or ""))

    def handle_endtag(self, tag):
        self.style = {}

    def handle_data(self, data):
        self.shown.append((data, self.style))


def browse(page):
    browser = Browser()
    browser.feed(page)
    browser.close()
    return browser.shown


def test_page_colours_the_pieces_in_turn(answer):
    turn = ["#afd7ff", "#ffd787", "#afd7af", "#ffafd7", "#afd7ff", "#ffd787"]
    shown = browse(answer.tokens_to_html([(c, 1) for c in "aabca "]))
    assert [text for text, _ in shown] == list("aabca "), "the text on the page"
    assert [style.get("background") for _, style in shown] == turn, "background"
    assert [style.get("color") for _, style in shown] == ["#000"] * 6, "color"
    assert [style.get("white-space") for _, style in shown] == ["pre-wrap"] * 6, "white-space"


def test_page_shows_labels_as_they_are(answer):
    pieces = [("<b", 1), ("&amp;", 1), ("\n", 1), (" 🌟", 2)]
    shown = [text for text, _ in browse(answer.tokens_to_html(pieces))]
    assert shown == ["<b", "&amp;", "⏎\n", " 🌟×2"], "the text on the page"


def test_terminal_colours_the_pieces_in_turn(answer):
    pieces = [("<b>", 1), ("\n", 1), (" 🌟", 2), ("c", 1), ("d", 1)]
    shown = zip(["<b>", "⏎\n", " 🌟×2", "c", "d"], [153, 222, 151, 218, 153], strict=True)
    expected = "".join(f"\x1b[30;48;5;{colour}m{text}\x1b[0m" for text, colour in shown)
    assert answer.tokens_to_ansi(pieces) == expected


def test_agrees_with_tiktoken(answer):
    import tiktoken

    merged = [b"\xf0\x9f", b"st", b"ar", b"star"]
    ranks = {t: i for i, t in enumerate([*(bytes([i]) for i in range(256)), *merged])}
    small = tiktoken.Encoding("s", pat_str=r"\S+|\s+", mergeable_ranks=ranks, special_tokens={})
    encoding = (small.encode_ordinary, small.decode_single_token_bytes)
    (row,) = answer.compare_encodings("\tstars 🌟", {"small": encoding})
    expected = [("\t", 1), ("star", 1), ("s", 1), (" ", 1), ("🌟", 3)]
    assert (row["ids"], row["pieces"]) == ([9, 259, 115, 32, 256, 140, 159], expected)


TEXT = "The 🌟 star-player scored 40 points!"
REAL = {  # ids of the whole text, and the number of tokens of the star
    "gpt2": ([464, 12520, 234, 253, 3491, 12, 7829, 7781, 2319, 2173, 0], 3),
    "cl100k_base": ([791, 11410, 234, 253, 6917, 43467, 16957, 220, 1272, 3585, 0], 3),
    "o200k_base": ([976, 130321, 253, 8253, 92135, 27207, 220, 1723, 5571, 0], 2),
}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_agrees_with_real_encodings(answer, real, name):
    encoding = real.encoding(name)
    functions = (encoding.encode_ordinary, encoding.decode_single_token_bytes)
    (row,) = answer.compare_encodings(TEXT, {name: functions})
    ids, star = REAL[name]
    assert (row["ids"], row["pieces"][1]) == (ids, (" 🌟", star))
