"""5.3 Top-k filtering   [easy, ~10 min]

A vocabulary has tens of thousands of tokens, and most of them would be nonsense as the next one.
Each alone is unlikely, but together they are drawn now and then, and one bad token can spoil all
that follows. Top-k sampling draws from the k most likely tokens only. A filter like this one
returns logits again, so that filters can follow one another: a removed token gets -inf, which every
softmax turns into probability 0.

Source: Fan, Lewis and Dauphin (2018), Hierarchical Neural Story Generation,
https://arxiv.org/abs/1805.04833, section 5.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def top_k_filter(logits: Float[Tensor, "... vocab"], k: int) -> Float[Tensor, "... vocab"]:
    """Keep the `k` largest logits of each row, and make all others -inf.

    Tokens that are as likely as the k-th are kept too, so that more than k can remain. A `k` above
    the size of the vocabulary keeps everything. What is kept keeps its logit exactly, what was
    -inf before stays -inf. There may be any number of leading axes, none included, and rows are
    independent. The result has the dtype and device of `logits`, which is not modified.

    Raises:
        ValueError: `k` is less than 1.

    >>> top_k_filter(torch.tensor([[0.5, 2.0, 1.0], [7.0, -3.0, 7.0]]), k=2)
    tensor([[-inf, 2., 1.],
            [7., -inf, 7.]])
    """
    # solution
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    largest = torch.topk(logits, min(k, logits.shape[-1])).values
    kth = largest[..., -1:]  # (..., 1): each row has its own threshold
    return logits.masked_fill(logits < kth, float("-inf"))
