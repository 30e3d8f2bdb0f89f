"""1.8 Decoding with byte-pair encoding   [easy, ~10 min]

A token of a byte-level tokenizer is a string of bytes, not of characters: an emoji of four bytes is
often cut into two or three tokens, none of which is text by itself. Decoding has to respect that,
and it has to survive whatever a model generates, half a character included. It reverses 1.7.

Source: The Unicode Standard, section 3.9 (U+FFFD substitution), https://www.unicode.org/versions/latest/
"""

from collections.abc import Mapping, Sequence


def bpe_decode(ids: Sequence[int], vocab: Mapping[int, bytes]) -> str:
    """Turn token ids back into text.

    `vocab` maps each id to its bytes, which need not be whole characters. Only what is not valid
    UTF-8 in the whole sequence becomes U+FFFD, the replacement character, one for each broken
    part, just as `bytes.decode` replaces. No ids give the empty string.

    Raises:
        ValueError: an id is not in `vocab`; the message contains the id.

    >>> bpe_decode([104, 105, 32, 257, 256], {**{i: bytes([i]) for i in range(256)},
    ...     256: b"\\x98\\x80", 257: b"\\xf0\\x9f"})
    'hi 😀'
    """
    raise NotImplementedError("bpe_decode")  # your code here
