"""5.8 No repeated n-grams   [medium, ~20 min]

Greedy decoding and beam search love loops: "the best of the best of the best of". The bluntest
remedy is `no_repeat_ngram_size` in Hugging Face's generate: no n tokens in a row may occur twice.
A token that would complete such a repetition is removed, as by any filter. With n = 2 the name "New
York" can be said only once, so choose n with care.

Source: Paulus, Xiong and Socher (2017), A Deep Reinforced Model for Abstractive Summarization,
https://arxiv.org/abs/1705.04304, section 2.5.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


def banned_tokens(ids: Sequence[int], n: int) -> set[int]:
    """Find the tokens that would complete an n-gram that occurs in `ids` already.

    An n-gram is n tokens in a row. Appended to `ids`, a token completes the n-gram that consists of
    the last n - 1 tokens and itself. Occurrences may overlap: after (7, 7, 7), 7 completes the
    3-gram (7, 7, 7). With n = 1 each token that occurs is banned, and as long as `ids` has fewer
    than n tokens, none is.

    Raises:
        ValueError: `n` is less than 1.

    >>> sorted(banned_tokens([1, 2, 3, 1, 2, 4, 1, 2], n=3))
    [3, 4]
    """
    # solution
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    last = tuple(ids[len(ids) - n + 1 :])  # not -(n - 1): for n = 1 that would be everything
    starts = range(len(ids) - n + 1)
    return {ids[i + n - 1] for i in starts if tuple(ids[i : i + n - 1]) == last}


def no_repeat_ngram_filter(
    logits: Float[Tensor, "... vocab"], ids: Int[Tensor, "... seq"], n: int
) -> Float[Tensor, "... vocab"]:
    """Remove the tokens that would repeat an n-gram of their row: their logits become -inf.

    What is kept keeps its logit exactly; where every token is banned, the whole row is -inf. The
    leading axes of `logits` and `ids` are the same, any number, none included: a row of `ids` is
    what the row of `logits` continues, the prompt included, and concerns no other row. `ids` is of
    dtype long, in [0, vocab), on the device of `logits`, and may be empty (seq = 0). The result has
    the dtype and device of `logits`; neither input is modified.

    Use `banned_tokens` for each row, or compare all n-grams of all rows at once, which is faster.

    Raises:
        ValueError: `n` is less than 1.

    >>> no_repeat_ngram_filter(torch.tensor([0.5, 1.0, 2.0]), torch.tensor([1, 2, 0, 1]), n=2)
    tensor([0.5000, 1.0000,   -inf])
    """
    # solution
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    length = ids.shape[-1]
    if length < n:
        return logits.clone()
    ngrams = ids.unfold(-1, n, 1)  # (..., length - n + 1, n)
    last = ids[..., None, length - n + 1 :]  # (..., 1, n - 1)
    repeats = (ngrams[..., :-1] == last).all(-1)
    # Added up, not written: an n-gram that does not match must not undo one that does.
    counts = torch.zeros_like(logits, dtype=torch.long)
    counts = counts.scatter_add(-1, ngrams[..., -1], repeats.long())
    return logits.masked_fill(counts > 0, float("-inf"))
