"""1.15 Encodings side by side   [medium, ~35 min]

What a text costs, and how much of it fits into a context window, depends on the tokenizer. Tokens
per word and bytes per token put that into numbers. A picture shows why, if it is honest about
characters that are spread over several tokens: an emoji is up to four bytes, and a token can be one
of them. Decoded alone, such a token is the replacement character U+FFFD and says nothing.

Source: https://github.com/openai/tiktoken, `Encoding.encode` and `decode_single_token_bytes`
"""

import html
from collections.abc import Callable
from typing import TypedDict

PAGE_COLOURS = ["#afd7ff", "#ffd787", "#afd7af", "#ffafd7"]
TERMINAL_COLOURS = [153, 222, 151, 218]  # the same four


class Row(TypedDict):
    """What one encoding makes of a text: a plain dict with these keys."""

    name: str
    ids: list[int]
    pieces: list[tuple[str, int]]  # what `group_tokens` gives
    tokens_per_word: float
    bytes_per_token: float


def label(text: str, n_tokens: int) -> str:
    r"""Write a piece so that all of it is seen: a newline as ⏎, several tokens as ×2, ×3, ...

    >>> label("no\n", 1), label("🌟", 2)
    ('no⏎\n', '🌟×2')
    """
    visible = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return visible.replace("\n", "⏎\n") + (f"×{n_tokens}" if n_tokens > 1 else "")


def group_tokens(tokens: list[bytes]) -> list[tuple[str, int]]:
    r"""Join neighbouring tokens where they share a character, and nowhere else.

    Each piece is its text and the number of its tokens. No token is empty.

    Raises:
        UnicodeDecodeError: the tokens are not valid UTF-8 even when all of them are joined.

    >>> group_tokens([b"A ", b"\xf0\x9f\x8c", b"\x9f", b"!"])
    [('A ', 1), ('🌟', 2), ('!', 1)]
    """
    # solution
    groups: list[list[bytes]] = []
    for token in tokens:
        if groups and 0x80 <= token[0] < 0xC0:  # a byte that goes on with a character
            groups[-1].append(token)
        else:
            groups.append([token])
    return [(b"".join(group).decode(), len(group)) for group in groups]


def compare_encodings(
    text: str, encodings: dict[str, tuple[Callable[[str], list[int]], Callable[[int], bytes]]]
) -> list[Row]:
    """Encode the whole of `text` with each encoding, in their order, and measure what comes out.

    An encoding is two functions: from a text to ids, and from one id to the bytes of its token. In
    tiktoken these are `gpt2.encode_ordinary` and `gpt2.decode_single_token_bytes`. Words are what
    white space of any kind and length separates; bytes are those of `text` in UTF-8. A ratio
    without a divisor is 0.0.

    >>> utf8 = (lambda text: list(text.encode()), lambda i: bytes([i]))
    >>> compare_encodings("é!", {"utf8": utf8})[0]["pieces"]
    [('é', 2), ('!', 1)]
    """
    # solution
    n_words, n_bytes = len(text.split()), len(text.encode())
    rows = []
    for name, (encode, token_bytes) in encodings.items():
        ids = encode(text)
        row = {"name": name, "ids": ids, "pieces": group_tokens([token_bytes(i) for i in ids])}
        row["tokens_per_word"] = len(ids) / n_words if n_words else 0.0
        row["bytes_per_token"] = n_bytes / len(ids) if ids else 0.0
        rows.append(row)
    return rows


def tokens_to_html(pieces: list[tuple[str, int]]) -> str:
    """Colour pieces for a web page: one `<span>` each, and nothing between or around them.

    It holds the label of the piece, escaped, so that the page shows the label as it is. Its `style`
    sets `background` to the next of PAGE_COLOURS (after the last comes the first again), `color` to
    #000, and `white-space` to pre-wrap, which keeps spaces and newlines.
    """
    # solution
    style = "color:#000;white-space:pre-wrap;background:"
    return "".join(
        f'<span style="{style}{PAGE_COLOURS[i % 4]}">{html.escape(label(*piece))}</span>'
        for i, piece in enumerate(pieces)
    )


def tokens_to_ansi(pieces: list[tuple[str, int]]) -> str:
    r"""Colour pieces for a terminal: one label after the other, TERMINAL_COLOURS in turn.

    `\x1b[30;48;5;153m` stands before a label in black on colour 153, and `\x1b[0m` after it.

    >>> tokens_to_ansi([("a", 1), ("b", 1)])
    '\x1b[30;48;5;153ma\x1b[0m\x1b[30;48;5;222mb\x1b[0m'
    """
    # solution
    return "".join(
        f"\x1b[30;48;5;{TERMINAL_COLOURS[i % 4]}m{label(*piece)}\x1b[0m"
        for i, piece in enumerate(pieces)
    )
