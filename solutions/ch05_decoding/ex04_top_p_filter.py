"""5.4 Top-p (nucleus) filtering   [medium, ~25 min]

A fixed k is too many where the model is sure ("New York" goes on with "City") and too few where a
thousand continuations would do. Top-p sampling lets the model decide: it draws from the nucleus,
the fewest tokens that together have probability p. It is a filter like 5.3, and the default of most
text generators.

Source: Holtzman et al. (2020), The Curious Case of Neural Text Degeneration,
https://arxiv.org/abs/1904.09751, section 3.1.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def top_p_filter(
    logits: Float[Tensor, "... vocab"], p: float, min_keep: int = 1
) -> Float[Tensor, "... vocab"]:
    """Keep the smallest set of most likely tokens whose probabilities sum to at least `p`.

    All other logits become -inf. The token that carries the sum past `p` belongs to the set. Of
    tokens that are equally likely, which ones are kept is free, but not how many. With `p` = 1
    everything is kept, however unlikely. What is kept keeps its logit exactly, what was -inf before
    stays -inf.

    There may be any number of leading axes, none included, and rows are independent. Probabilities
    and their sums are computed in float32 at least, in half precision they would be too coarse; the
    result has the dtype and device of `logits`, which is not modified.

    Args:
        logits: scores of the tokens; they may be huge, or -inf.
        p: the probability that the kept tokens have together, at least.
        min_keep: the tokens with the `min_keep` largest logits are kept in any case; above the
            size of the vocabulary it keeps everything.

    Raises:
        ValueError: `p` is not in (0, 1], or `min_keep` is less than 1.

    >>> top_p_filter(torch.tensor([0.15, 0.5, 0.05, 0.3]).log(), p=0.7).exp()
    tensor([0.0000, 0.5000, 0.0000, 0.3000])
    """
    # solution
    if not 0 < p <= 1:
        raise ValueError(f"p must be in (0, 1], got {p}")
    if min_keep < 1:
        raise ValueError(f"min_keep must be at least 1, got {min_keep}")
    if p == 1:
        return logits.clone()  # a rounded sum reaches 1 before the last token
    ranked, order = logits.sort(-1, descending=True)
    probs = ranked.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    before = probs.cumsum(-1) - probs  # what the more likely tokens have together
    drop = before >= p
    drop[..., :min_keep] = False
    drop = drop.scatter(-1, order, drop)  # from the order of the ranks to that of the vocabulary
    return logits.masked_fill(drop, float("-inf"))
