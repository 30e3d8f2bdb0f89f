"""1.7 Encoding with byte-pair encoding   [medium, ~25 min]

A trained tokenizer turns new text into ids by doing again what training did: it starts from the
bytes and merges in the order in which the merges were learned. The order is everything. A longer
token, or one further left, has to wait for its turn, because the ids that this order gives are
the only ones that a model has ever seen. Builds on training (1.6) and on merging (1.5).

Source: Sennrich, Haddow and Birch (2016), https://arxiv.org/abs/1508.07909, section 3.2.
"""


def bpe_encode(text: str | bytes, merges: dict[tuple[int, int], int]) -> list[int]:
    """Encode one chunk of text as token ids.

    The symbols are at first the bytes of `text`, in UTF-8 if it is a string. As long as `merges`
    knows any pair of neighbours, the one with the lowest new id is merged; of several occurrences
    the leftmost goes first, as in 1.5.

    Args:
        text: any text or bytes, which need not be UTF-8; an empty one has no ids.
        merges: from pair to new id, as `train_bpe` returns it, but its keys may come in any order.
            It is not modified.

    Raises:
        ValueError: `text` holds a lone surrogate, which has no UTF-8 form (the UnicodeEncodeError
            of `str.encode` is a ValueError and says so).

    >>> bpe_encode("aaabdaaabac", {(97, 97): 256, (256, 97): 257, (257, 98): 258})
    [258, 100, 258, 97, 99]
    """
    # solution
    ids = list(text.encode() if isinstance(text, str) else text)
    if len(ids) > LONG:
        return _encode_long(ids, merges)
    new_ids = [merges.get(pair, NEVER) for pair in pairwise(ids)]  # of each symbol and the next
    while new_ids and (new_id := min(new_ids)) != NEVER:
        i = new_ids.index(new_id)  # the leftmost
        ids[i] = new_id
        del ids[i + 1], new_ids[i]
        if i > 0:
            new_ids[i - 1] = merges.get((ids[i - 1], new_id), NEVER)
        if i < len(new_ids):
            new_ids[i] = merges.get((new_id, ids[i + 1]), NEVER)
    return ids


# solution
# ruff: noqa: E402 (what only the reference needs is imported here, where the exercise is cut off)
from heapq import heapify, heappop, heappush
from itertools import pairwise

NEVER = 1 << 62
LONG = 24  # bytes: a search before each merge is the faster way up to here, and O(n^2) beyond
GONE = -1  # merged into the left neighbour; one more at the end is the neighbour of both ends


def _encode_long(ids: list[int], merges: dict[tuple[int, int], int]) -> list[int]:
    """Do the same in O(n log n): a heap finds the next merge, links the next neighbours."""
    ids = [*ids, GONE]
    left, right = list(range(-1, len(ids) - 1)), list(range(1, len(ids) + 1))
    new_ids = [merges.get(pair) for pair in pairwise(ids)]
    todo = [(new_id, i) for i, new_id in enumerate(new_ids) if new_id is not None]
    heapify(todo)
    while todo:
        new_id, i = heappop(todo)
        if merges.get((ids[i], ids[right[i]])) != new_id:  # a neighbour was merged meanwhile
            continue
        ids[i], ids[right[i]] = new_id, GONE
        before, after = left[i], right[right[i]]
        right[i], left[after] = after, i
        for place, pair in (before, (ids[before], new_id)), (i, (new_id, ids[after])):
            if pair in merges:
                heappush(todo, (merges[pair], place))
    return [i for i in ids if i != GONE]
