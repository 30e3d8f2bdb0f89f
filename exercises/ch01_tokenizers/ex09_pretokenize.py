"""1.9 Pretokenization   [medium, ~30 min]

Byte-pair encoding on raw text spends its vocabulary on `dog.`, `dog!` and `dog?`. GPT-2 cuts the
text first, into words with the space before them, numbers, punctuation and white space, and never
merges across a cut. That also makes it fast: what occurs a thousand times is counted or encoded
once. Builds on training (1.6), encoding (1.7) and decoding (1.8).

Source: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.2;
the pattern is that of https://github.com/openai/gpt-2/blob/master/src/encoder.py.
"""

from collections import Counter

import regex  # like `re`, but knows \p{L}, any letter of any script, and \p{N}, any number

from .ex06_train_bpe import train_on_chunks
from .ex07_bpe_encode import bpe_encode
from .ex08_bpe_decode import bpe_decode

GPT2_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d"  # an English ending, in lower case only
    r"| ?\p{L}+| ?\p{N}+"  # a word or a number, with at most one space before it
    r"| ?[^\s\p{L}\p{N}]+"  # punctuation, symbols, emoji
    r"|\s+(?!\S)|\s+"  # white space, without the last of it when something follows
)


def pretokenize(text: str, pattern: str = GPT2_PATTERN) -> list[str]:
    r"""Cut `text` into the successive matches of `pattern`, a regular expression for `regex`.

    Matches are whole and case-sensitive. Every character matches a part of GPT2_PATTERN, so that
    its chunks joined give the text back; what another pattern does not match is left out.

    >>> pretokenize("It's  2 dogs,\n")
    ['It', "'s", ' ', ' 2', ' dogs', ',', '\n']
    """
    raise NotImplementedError("pretokenize")  # your code here


class RegexBPETokenizer:
    """Byte-pair encoding inside the chunks of a pattern.

    Attributes:
        merges: pair of ids -> id of the token that it becomes, in the order of training.
        vocab: id -> bytes of the token; before any training the 256 bytes, and no merges.
    """

    def __init__(self, pattern: str = GPT2_PATTERN) -> None:
        raise NotImplementedError("RegexBPETokenizer.__init__")  # your code here

    def train(self, text: str, vocab_size: int) -> None:
        """Learn `merges` and `vocab` anew from the chunks of `text`, as UTF-8 bytes.

        No pair spans two chunks. Each chunk counts as often as it occurs; between equally frequent
        pairs the one that comes first in the text wins (`tie="first"` of 1.6).

        >>> tokenizer = RegexBPETokenizer()
        >>> tokenizer.train("low low lower", vocab_size=259)
        >>> tokenizer.encode("slow low"), tokenizer.decode([258, 257])
        ([115, 257, 258], ' lowlow')
        """
        raise NotImplementedError("RegexBPETokenizer.train")  # your code here

    def encode(self, text: str) -> list[int]:
        """Encode every chunk of `text` by itself; `[]` for an empty text."""
        raise NotImplementedError("RegexBPETokenizer.encode")  # your code here

    def decode(self, ids: list[int]) -> str:
        """Turn ids into text, as `bpe_decode` does."""
        raise NotImplementedError("RegexBPETokenizer.decode")  # your code here
