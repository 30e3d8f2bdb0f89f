"""1.12 A batch of unequal texts   [easy, ~15 min]

A model takes a rectangle of ids, but texts have different lengths. Short rows are filled up with a
pad id, and a mask says which positions are real. Training pads on the right. Generation pads on the
left, because the model goes on from the last position of each row, and that must be a real token.
GPT-2 has no pad token, so people use its end token for it: the id alone does not tell padding.

Source: https://huggingface.co/docs/transformers/pad_truncation
"""


def pad_batch(
    seqs: list[list[int]], pad_id: int, side: str = "right", max_len: int | None = None
) -> tuple[list[list[int]], list[list[int]]]:
    """Cut and pad sequences to one length, and mark which positions hold tokens.

    `side` is the end at which everything happens, "right" or "left": rows longer than `max_len`
    lose tokens at that end (so "left" keeps the newest tokens), and shorter rows get `pad_id`
    there. The width is that of the longest row after cutting; `max_len` never makes it wider.

    Returns `(input_ids, attention_mask)`, two lists of rows of equal shape. The mask holds the
    integer 1 at each token, whatever its id, and 0 at padding. `seqs` is not modified. A batch
    without rows gives `([], [])`, and a row may be empty.

    Raises:
        ValueError: `side` is neither "right" nor "left", or `max_len` is below 1; the message
            names the argument.

    >>> pad_batch([[5, 6, 7], [8]], pad_id=0, side="left", max_len=2)
    ([[6, 7], [0, 8]], [[1, 1], [0, 1]])
    """
    raise NotImplementedError("pad_batch")  # your code here
