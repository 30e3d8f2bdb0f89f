"""5.1 The most likely next tokens   [easy, ~10 min]

A language model answers with scores (logits): for each row of a batch and each position one per
token of the vocabulary. Before choosing from them, look at them: what would the model say next, and
how sure is it? This is the first thing to print when a model writes nonsense. The softmax is that
of 2.3.

Source: Bengio et al. (2003), A Neural Probabilistic Language Model,
https://jmlr.org/papers/v3/bengio03a.html, section 2.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def next_token_topk(
    logits: Float[Tensor, "batch seq vocab"], k: int
) -> tuple[Float[Tensor, "batch k"], Int[Tensor, "batch k"]]:
    """Return the `k` most likely next tokens of every row: (probabilities, ids).

    The next token is the one that follows the whole row; `logits[b, t]` scores the token that
    follows position `t` of row `b`. Both results go from the most to the least likely; the order of
    equally likely tokens is free. A probability is a share of the whole vocabulary, so the k of a
    row sum to 1 only if no other token has a chance.

    A `k` above the size of the vocabulary means all of it. Logits may be huge or -inf. The
    probabilities have the dtype of `logits`, the ids are `torch.long`, both are on its device;
    `logits` is not modified.

    Raises:
        ValueError: `k` is less than 1.

    >>> probs, ids = next_token_topk(torch.tensor([[[0.0, 9.0, 0.0], [0.5, 0.1, 0.4]]]).log(), k=2)
    >>> probs, ids
    (tensor([[0.5000, 0.4000]]), tensor([[0, 2]]))
    """
    raise NotImplementedError("next_token_topk")  # your code here
