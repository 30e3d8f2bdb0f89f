"""1.6 Training byte-pair encoding   [medium, ~40 min]

Training decides what a language model will see as one token: starting from the 256 bytes, it gives
the most frequent pair of neighbours an id of its own, again and again. Builds on counting pairs
(1.4) and on `from .ex05_merge_pair import merge_pair`. To count anew for every merge is a right
answer. The reference keeps its counts up to date, which is hundreds of times faster: read it after.

Source: Sennrich, Haddow and Birch (2016), https://arxiv.org/abs/1508.07909, algorithm 1.
"""

from collections.abc import Mapping


def train_on_chunks(
    chunk_counts: Mapping[bytes, int], vocab_size: int, tie: str = "first"
) -> tuple[dict[tuple[int, int], int], dict[int, bytes]]:
    """Learn merges from chunks (words, say), each of which occurs `chunk_counts[chunk]` times.

    Ids 0 to 255 are the bytes. The most frequent pair gets the next id, all its occurrences are
    merged as in 1.5, and the pairs that are there now are counted, as in 1.4 (`aaa` holds two),
    until there are `vocab_size` ids, bytes included, or no pair is left. A pair that occurs only
    once is merged too. No pair reaches from one chunk into another.

    Of equally frequent pairs, `tie="first"` takes the one that occurs first in the symbols as they
    are now (chunks in the order of the mapping), `tie="greatest"` the one whose byte strings
    `(vocab[a], vocab[b])` compare greatest.

    Returns `merges`, from pair to new id (256, 257, ... as learned), and `vocab`, from each id to
    its byte string.

    Raises:
        ValueError: `vocab_size` is below 256, or `tie` unknown (the message says what was got);
            or there is not one byte to learn from ("empty corpus").

    >>> train_on_chunks({b"low": 5, b"slow": 2}, 258)[0]
    {(108, 111): 256, (256, 119): 257}
    """
    raise NotImplementedError("train_on_chunks")  # your code here


def train_bpe(
    text: str | bytes, vocab_size: int, tie: str = "first"
) -> tuple[dict[tuple[int, int], int], dict[int, bytes]]:
    """Learn merges from a text that is one single chunk: its bytes, in UTF-8 if it is a string.

    Raises:
        ValueError: as `train_on_chunks`; or `text` holds a lone surrogate, which has no UTF-8 form
            (the UnicodeEncodeError of `str.encode` is a ValueError and says so).

    >>> merges, vocab = train_bpe("aaabdaaabac", 259)
    >>> merges, vocab[258]
    ({(97, 97): 256, (256, 97): 257, (257, 98): 258}, b'aaab')
    """
    raise NotImplementedError("train_bpe")  # your code here
