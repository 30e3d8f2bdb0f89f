"""1.11 GPT-2's tokenizer from its files   [hard, ~45 min]

The tokenizer of GPT-2, which RoBERTa and OPT share, is two text files: `encoder.json` (elsewhere
`vocab.json`) with the id of every token, and `vocab.bpe` (`merges.txt`) with the merges in the
order in which they were learned. A line of text cannot hold every byte, a newline for instance, so
each byte is written as a visible character, a space as `Ġ`. With these files your own tokenizer
gives real text the ids that the real model knows. Builds on 1.7, 1.8 and 1.9.

Source: https://github.com/openai/gpt-2/blob/master/src/encoder.py
"""

import json
from pathlib import Path

from .ex07_bpe_encode import bpe_encode
from .ex08_bpe_decode import bpe_decode
from .ex09_pretokenize import pretokenize


def bytes_to_unicode() -> dict[int, str]:
    """Map each of the 256 bytes to a visible character of its own.

    A byte whose character in Latin-1 is visible stands for itself: `!` to `~`, `¡` to `¬` and `®`
    to `ÿ`. The other 68 become, in increasing order, the characters from U+0100 on.

    >>> [bytes_to_unicode()[byte] for byte in b"a \\n"]
    ['a', 'Ġ', 'Ċ']
    """
    # solution
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in visible]
    return {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(others)}


class GPT2Tokenizer:
    """Byte-pair encoding inside the chunks of GPT2_PATTERN, with ids from a table.

    Args:
        encoder: token -> id, where a token is written in the characters of `bytes_to_unicode`.
        merges: two tokens each, the first learned first. Both are characters of single bytes or
            were made by merges before. What they make has an id, and is made by no other merge.
    """

    def __init__(self, encoder: dict[str, int], merges: list[tuple[str, str]]) -> None:
        # solution
        byte_of = {char: byte for byte, char in bytes_to_unicode().items()}
        number = dict(byte_of)  # token -> its id in bpe_encode: the byte, or 256 + rank
        self._merges: dict[tuple[int, int], int] = {}
        for rank, (left, right) in enumerate(merges):
            number[left + right] = self._merges[number[left], number[right]] = 256 + rank
        self._ids = {n: encoder[token] for token, n in number.items()}
        self._vocab = {i: bytes(byte_of[c] for c in token) for token, i in encoder.items()}
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Encode text, to ids of `encoder`; `<|endoftext|>` in it is text like any other.

        Raises:
            ValueError: there is half of a surrogate pair in it, which has no UTF-8 form
                (Python's UnicodeEncodeError is a ValueError).
        """
        # solution
        ids: list[int] = []
        for chunk in pretokenize(text):
            if (known := self._known.get(chunk)) is None:
                numbers = bpe_encode(chunk, self._merges)
                known = self._known[chunk] = [self._ids[n] for n in numbers]
            ids.extend(known)
        return ids

    def decode(self, ids: list[int]) -> str:
        """Turn ids into text; bytes that are not UTF-8 become U+FFFD, as in `bpe_decode`.

        Raises:
            ValueError: no token has one of the ids; the message contains it.
        """
        # solution
        return bpe_decode(ids, self._vocab)


def load_gpt2_bpe(encoder_json: str | Path, vocab_bpe: str | Path) -> GPT2Tokenizer:
    """Read a tokenizer from its two files, both UTF-8.

    A line of `vocab_bpe` is two tokens with one space between them. The first line may be a header
    that starts with `#version:`; not every copy of the file has it. No other line is skipped.

    Raises:
        ValueError: a line is not two tokens, or one of them is neither the character of a byte nor
            made by an earlier line, or what they make was made before or has no id. The message
            names file and line, as in `vocab.bpe:7`; the first line is 1, header or not.
            Or `encoder_json`, which the message names, has no id for the character of some byte.
    """
    # solution
    encoder = json.loads(Path(encoder_json).read_text("utf-8"))
    made, merges = set(bytes_to_unicode().values()), []
    if missing := made - encoder.keys():
        raise ValueError(f"{encoder_json} has no id for {min(missing)!r}")
    for i, line in enumerate(Path(vocab_bpe).read_text("utf-8").splitlines(), 1):
        if i == 1 and line.startswith("#version:"):
            continue
        pair = tuple(line.split(" "))
        token = "".join(pair)
        if len(pair) != 2 or not made.issuperset(pair) or token in made or token not in encoder:
            raise ValueError(f"{vocab_bpe}:{i}: {line!r} does not make a new token out of two")
        made.add(token)
        merges.append(pair)
    return GPT2Tokenizer(encoder, merges)
