"""
exercise: 1.12
tries: a right result, made inside of the lists that were handed over
at_most: 0.5
verdict: wrong
"""


def pad_batch(seqs, pad_id, side="right", max_len=None):
    width = max(map(len, seqs), default=0)
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in seqs]
    for row in seqs:
        row += [pad_id] * (width - len(row))
    return seqs, mask
