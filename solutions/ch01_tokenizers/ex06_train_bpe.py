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
    # solution
    if vocab_size < 256:
        raise ValueError(f"vocab_size must be at least 256, got {vocab_size}")
    if tie not in ("first", "greatest"):
        raise ValueError(f"tie must be 'first' or 'greatest', got {tie!r}")
    if not any(chunk_counts):
        raise ValueError("empty corpus: there is not one byte to learn from")
    merges, vocab = {}, {i: bytes([i]) for i in range(256)}
    corpus = _Corpus(chunk_counts, tie, vocab)
    while len(vocab) < vocab_size and (pair := corpus.best_pair()):
        merges[pair] = new_id = len(vocab)
        vocab[new_id] = vocab[pair[0]] + vocab[pair[1]]
        corpus.merge(pair, new_id)
    return merges, vocab


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
    # solution
    return train_on_chunks({text.encode() if isinstance(text, str) else text: 1}, vocab_size, tie)


# solution
# ruff: noqa: E402 (what only the reference needs is imported here, where the exercise is cut off)
from collections import defaultdict
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import pairwise

BORDER = -1  # stands between two chunks, and where a symbol was merged into its left neighbour
DESCENDING = bytes(range(255, -1, -1))


class _Corpus:
    """All chunks in one row, with the count, the places and a heap entry of each pair.

    A pair comes into being in the one sweep, from left to right, that makes the younger of its
    symbols; after that its occurrences only vanish. So its places are in order from the start, and
    a heap entry can promise too much but never too little: it is put right when it is at the top.
    """

    def __init__(self, chunk_counts: Mapping[bytes, int], tie: str, vocab: dict[int, bytes]):
        self.tie, self.vocab = tie, vocab
        self.symbols, self.times = [BORDER], [0]
        for chunk, n in chunk_counts.items():
            self.symbols += [*chunk, BORDER]
            self.times += [n] * len(chunk) + [0]
        self.left = list(range(-1, len(self.symbols) - 1))  # where the neighbours stand
        self.right = list(range(1, len(self.symbols) + 1))
        self.counts, self.places, self.heap = defaultdict(int), defaultdict(list), []
        for place, pair in enumerate(pairwise(self.symbols)):
            if BORDER not in pair:
                self.counts[pair] += self.times[place]
                self.places[pair].append(place)
        self.push(self.places)

    def push(self, pairs: Iterable[tuple[int, int]]) -> None:
        for pair in pairs:
            if self.counts[pair]:
                heappush(self.heap, self.entry(pair))

    def entry(self, pair: tuple[int, int]) -> tuple:  # the best pair has the smallest one
        if self.tie == "greatest":  # the end mark puts b"ab" before b"a"
            inverted = [self.vocab[i].translate(DESCENDING).decode("latin-1") for i in pair]
            return -self.counts[pair], "\u0100".join([*inverted, ""]), pair
        places = self.places[pair]
        while (self.symbols[places[0]], self.symbols[self.right[places[0]]]) != pair:
            places.pop(0)
        return -self.counts[pair], places[0], pair

    def best_pair(self) -> tuple[int, int] | None:
        while self.heap:
            entry = heappop(self.heap)
            if self.counts[entry[-1]] and entry == self.entry(entry[-1]):
                return entry[-1]
            self.push([entry[-1]])
        return None

    def merge(self, pair: tuple[int, int], new_id: int) -> None:
        symbols, left, right, counts = self.symbols, self.left, self.right, self.counts
        born = defaultdict(list)
        for place in self.places.pop(pair):
            second = right[place]
            if (symbols[place], symbols[second]) != pair:  # gone, by this merge or an earlier one
                continue
            before, after, n = left[place], right[second], self.times[place]
            x, y = symbols[before], symbols[after]
            if x != BORDER:
                counts[x, pair[0]] -= n
                counts[x, new_id] += n
                born[x, new_id].append(before)
            if y != BORDER:
                counts[pair[1], y] -= n
                counts[new_id, y] += n
                born[new_id, y].append(place)
            symbols[place], symbols[second] = new_id, BORDER
            right[place], left[after] = after, place
        counts[pair] = 0
        self.places |= born
        self.push(born)
