from kata.wrong import wrong
from solutions.ch01_tokenizers.ex12_pad_batch import pad_batch


@wrong(caught_by=["pad_id_can_be_a_real_token", "agrees_with_the_tokenizers_library"])
def pad_batch__masks_every_pad_id(seqs, pad_id, side="right", max_len=None):
    """The mask was read off the ids, so real tokens that have the id `pad_id` were masked too."""
    ids, _ = pad_batch(seqs, pad_id, side, max_len)
    return ids, [[int(i != pad_id) for i in row] for row in ids]


@wrong(caught_by=["mask_holds_integers"])
def pad_batch__returns_a_mask_of_bools(seqs, pad_id, side="right", max_len=None):
    """The mask holds True and False; the integers 1 and 0 are asked for."""
    ids, mask = pad_batch(seqs, pad_id, side, max_len)
    return ids, [[bool(m) for m in row] for row in mask]


@wrong(caught_by=["max_len_cuts_at_that_side", "agrees_with_the_tokenizers_library"])
def pad_batch__always_cuts_the_end(seqs, pad_id, side="right", max_len=None):
    """With side="left" the last tokens were cut. The newest tokens must stay, the oldest go."""
    return pad_batch([s[:max_len] for s in seqs], pad_id, side, max_len)


@wrong(
    caught_by=[
        "fills_short_rows_on_the_right",
        "left_side_pads_before_the_tokens",
        "max_len_never_adds_padding",
        "pad_id_can_be_a_real_token",
        "agrees_with_the_tokenizers_library",
    ]
)
def pad_batch__pads_the_other_end(seqs, pad_id, side="right", max_len=None):
    """The padding went to the end opposite to `side`."""
    if max_len is not None:
        seqs = [s[:max_len] if side == "right" else s[-max_len:] for s in seqs]
    return pad_batch(seqs, pad_id, {"right": "left", "left": "right"}.get(side, side), max_len)


@wrong(
    caught_by=[
        "left_side_pads_before_the_tokens",
        "max_len_never_adds_padding",
        "agrees_with_the_tokenizers_library",
    ]
)
def pad_batch__masks_the_other_side(seqs, pad_id, side="right", max_len=None):
    """The ids were padded on the left, but the mask still has its zeros on the right."""
    ids, mask = pad_batch(seqs, pad_id, side, max_len)
    return ids, [sorted(row, reverse=True) for row in mask]


@wrong(caught_by=["max_len_never_adds_padding"])
def pad_batch__pads_up_to_max_len(seqs, pad_id, side="right", max_len=None):
    """Rows were padded up to `max_len`. It only cuts; the longest row left sets the width."""
    ids, mask = pad_batch([*seqs, [0] * (max_len or 0)], pad_id, side, max_len)
    return ids[:-1], mask[:-1]


@wrong(caught_by=["max_len_cuts_at_that_side", "agrees_with_the_tokenizers_library"])
def pad_batch__measures_before_cutting(seqs, pad_id, side="right", max_len=None):
    """The width was taken from the rows before they were cut, so all of them got padding."""
    ids, mask = pad_batch(seqs, pad_id, side, max_len)
    extra = max(map(len, seqs), default=0) - (len(ids[0]) if ids else 0)
    if side == "left":
        return [[pad_id] * extra + row for row in ids], [[0] * extra + row for row in mask]
    return [row + [pad_id] * extra for row in ids], [row + [0] * extra for row in mask]


@wrong(caught_by=["input_is_not_modified"])
def pad_batch__pads_the_rows_of_the_caller(seqs, pad_id, side="right", max_len=None):
    """The padding was added to the lists of the caller, who still has them."""
    ids, mask = pad_batch(seqs, pad_id, side, max_len)
    for row, padded in zip(seqs, ids, strict=True):
        row[:] = padded
    return ids, mask


@wrong(caught_by=["bad_arguments_raise_an_error"])
def pad_batch__takes_any_side(seqs, pad_id, side="right", max_len=None):
    """A `side` that is neither "left" nor "right" was taken for one of them."""
    return pad_batch(seqs, pad_id, "left" if side == "left" else "right", max_len)


@wrong(caught_by=["bad_arguments_raise_an_error"])
def pad_batch__takes_zero_for_no_limit(seqs, pad_id, side="right", max_len=None):
    """`if max_len:` also skips 0, which then means "no limit" instead of raising ValueError."""
    return pad_batch(seqs, pad_id, side, max_len or None)


@wrong(crashes=["nothing_to_pad_is_no_error"])
def pad_batch__needs_a_first_row(seqs, pad_id, side="right", max_len=None):
    """An empty batch has no longest row: `max()` of nothing raises; give it a `default`."""
    max(len(s) for s in seqs)
    return pad_batch(seqs, pad_id, side, max_len)
