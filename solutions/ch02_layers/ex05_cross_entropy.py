"""2.5 Cross-entropy   [medium, ~20 min]

The loss of every language model: minus the log-probability (exercise 2.4) that it gave to the token
that really came next, averaged over the tokens that count. Padding and prompts are marked by a
target that says "ignore me".

Source: Goodfellow, Bengio and Courville (2016), Deep Learning, sections 5.5 and 6.2.1,
https://www.deeplearningbook.org.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .ex04_log_softmax import log_softmax


def cross_entropy(
    logits: Float[Tensor, "n vocab"], targets: Int[Tensor, "n"], ignore_index: int = -100
) -> Float[Tensor, ""]:
    """Return the mean of -log softmax(logits)[target] over the rows that are not ignored.

    A row whose target is `ignore_index` counts for nothing, whatever its logits are (NaN, say), and
    gets no gradient. When no row is left the mean does not exist: the result is NaN then, as
    torch's is. The result is a tensor without axes, of the dtype and device of `logits`; neither
    input is modified. `torch.nn.functional.cross_entropy` is the oracle: write it without.

    Raises:
        IndexError: a target is neither `ignore_index` nor in [0, vocab).

    >>> cross_entropy(torch.tensor([[0.0, 0.0], [9.0, 9.0]]), torch.tensor([1, -100]))
    tensor(0.6931)
    """
    # solution
    keep = targets != ignore_index
    kept = targets[keep]
    outside = kept[(kept < 0) | (kept >= logits.shape[-1])]
    if outside.numel():
        raise IndexError(f"targets must be in [0, {logits.shape[-1]}), got {outside[0].item()}")
    log_probs = log_softmax(logits[keep], dim=-1)
    return -torch.gather(log_probs, -1, kept[:, None]).mean()
