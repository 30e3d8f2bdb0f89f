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
    # solution
    if pattern == GPT2_PATTERN and text.isascii():
        return IN_ASCII.findall(text)
    compiled = regex.compile(pattern)
    if not compiled.groups:
        return compiled.findall(text)  # the fast way; with groups it would return those
    return [match.group() for match in compiled.finditer(text)]


class RegexBPETokenizer:
    """Byte-pair encoding inside the chunks of a pattern.

    Attributes:
        merges: pair of ids -> id of the token that it becomes, in the order of training.
        vocab: id -> bytes of the token; before any training the 256 bytes, and no merges.
    """

    def __init__(self, pattern: str = GPT2_PATTERN) -> None:
        # solution
        self.pattern = pattern
        self.merges: dict[tuple[int, int], int] = {}
        self.vocab = {i: bytes([i]) for i in range(256)}
        self._known = Known(self.merges, self.vocab)

    def train(self, text: str, vocab_size: int) -> None:
        """Learn `merges` and `vocab` anew from the chunks of `text`, as UTF-8 bytes.

        No pair spans two chunks. Each chunk counts as often as it occurs; between equally frequent
        pairs the one that comes first in the text wins (`tie="first"` of 1.6).

        >>> tokenizer = RegexBPETokenizer()
        >>> tokenizer.train("low low lower", vocab_size=259)
        >>> tokenizer.encode("slow low"), tokenizer.decode([258, 257])
        ([115, 257, 258], ' lowlow')
        """
        # solution
        counts = Counter(pretokenize(text, self.pattern))
        chunks = {chunk.encode(): n for chunk, n in counts.items()}
        self.merges, self.vocab = train_on_chunks(chunks, vocab_size)
        self._known = Known(self.merges, self.vocab)

    def encode(self, text: str) -> list[int]:
        """Encode every chunk of `text` by itself; `[]` for an empty text."""
        # solution
        chunks = pretokenize(text, self.pattern)
        return list(chain.from_iterable(map(self._known.__getitem__, chunks)))

    def decode(self, ids: list[int]) -> str:
        """Turn ids into text, as `bpe_decode` does."""
        # solution
        return bpe_decode(ids, self.vocab)


# solution
# ruff: noqa: E402 (what only the reference needs is imported here, where the exercise is cut off)
import re
from itertools import chain

# For ASCII the standard library knows letters and numbers too, and is twice as fast.
IN_ASCII = re.compile(
    GPT2_PATTERN.replace(r"[^\s\p{L}\p{N}]", r"[^\sA-Za-z0-9]")
    .replace(r"\p{L}", "[A-Za-z]")
    .replace(r"\p{N}", "[0-9]"),
    re.ASCII,
)


class Known(dict[str, list[int]]):
    """The ids of each chunk, worked out when a chunk is met for the first time.

    It starts with the chunks that are tokens: training made each of them by the merges that
    encoding repeats, so that its ids are the one of that token.
    """

    def __init__(self, merges: dict[tuple[int, int], int], vocab: dict[int, bytes]) -> None:
        self.merges = merges
        texts = ((token.decode(errors="replace"), token, i) for i, token in vocab.items())
        super().__init__((text, [i]) for text, token, i in texts if text.encode() == token)

    def __missing__(self, chunk: str) -> list[int]:
        ids = self[chunk] = bpe_encode(chunk, self.merges)
        return ids
