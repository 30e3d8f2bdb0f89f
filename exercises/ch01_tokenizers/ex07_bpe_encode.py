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
    raise NotImplementedError("bpe_encode")  # your code here
