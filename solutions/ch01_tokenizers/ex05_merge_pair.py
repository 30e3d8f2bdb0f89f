"""1.5 Merging one pair   [easy, ~10 min]

Byte-pair encoding does one thing over and over: it replaces every occurrence of one pair of
neighbouring symbols by a new symbol. Training does it once per merge, encoding does it in the
order in which the merges were learned.

Source: Sennrich, Haddow and Birch (2016), https://arxiv.org/abs/1508.07909, algorithm 1.
"""


def merge_pair(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """Replace every occurrence of `pair` by `new_id`, from left to right.

    Occurrences do not overlap: a symbol that was merged is used up, and the new symbol is not
    merged again, even where `new_id` is a member of `pair`. `ids` is not modified.

    >>> merge_pair([97, 97, 98, 97, 97], (97, 97), 256)
    [256, 98, 256]
    """
    # solution
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged
