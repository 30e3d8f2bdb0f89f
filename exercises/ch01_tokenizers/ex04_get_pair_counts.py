"""1.4 Counting pairs   [easy, ~10 min]

Byte-pair encoding builds its vocabulary from the text itself: it looks for the two neighbouring
symbols that stand together most often, makes them one new symbol, and starts again. This is the
looking. Long texts are cut into chunks (words, documents) before they are counted, and no pair
may reach from one chunk into the next; so the counts of the chunks are added up in one dict.

Source: Sennrich, Haddow and Birch (2016), https://arxiv.org/abs/1508.07909, section 3.2.
"""


def get_pair_counts(
    ids: list[int], counts: dict[tuple[int, int], int] | None = None
) -> dict[tuple[int, int], int]:
    """Count how often each ordered pair of neighbours occurs in `ids`.

    Every position counts, overlapping ones too: (7, 7) occurs twice in [7, 7, 7]. A new pair is
    put into the dict when it is first met, from left to right: training breaks ties by that order.

    Args:
        ids: the symbols of one chunk. It is not modified.
        counts: the counts of the chunks before this one, empty perhaps. That very dict is
            updated and returned. Without it every call starts from a new, empty dict.

    >>> get_pair_counts([1, 2, 3, 1, 2])
    {(1, 2): 2, (2, 3): 1, (3, 1): 1}
    >>> get_pair_counts([1, 2], {(1, 2): 2, (2, 3): 1})
    {(1, 2): 3, (2, 3): 1}
    """
    raise NotImplementedError("get_pair_counts")  # your code here
