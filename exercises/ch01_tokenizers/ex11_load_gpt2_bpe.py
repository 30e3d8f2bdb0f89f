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
    raise NotImplementedError("bytes_to_unicode")  # your code here


class GPT2Tokenizer:
    """Byte-pair encoding inside the chunks of GPT2_PATTERN, with ids from a table.

    Args:
        encoder: token -> id, where a token is written in the characters of `bytes_to_unicode`.
        merges: two tokens each, the first learned first. Both are characters of single bytes or
            were made by merges before. What they make has an id, and is made by no other merge.
    """

    def __init__(self, encoder: dict[str, int], merges: list[tuple[str, str]]) -> None:
        raise NotImplementedError("GPT2Tokenizer.__init__")  # your code here

    def encode(self, text: str) -> list[int]:
        """Encode text, to ids of `encoder`; `<|endoftext|>` in it is text like any other.

        Raises:
            ValueError: there is half of a surrogate pair in it, which has no UTF-8 form
                (Python's UnicodeEncodeError is a ValueError).
        """
        raise NotImplementedError("GPT2Tokenizer.encode")  # your code here

    def decode(self, ids: list[int]) -> str:
        """Turn ids into text; bytes that are not UTF-8 become U+FFFD, as in `bpe_decode`.

        Raises:
            ValueError: no token has one of the ids; the message contains it.
        """
        raise NotImplementedError("GPT2Tokenizer.decode")  # your code here


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
    raise NotImplementedError("load_gpt2_bpe")  # your code here
