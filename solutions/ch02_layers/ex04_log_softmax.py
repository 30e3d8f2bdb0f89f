"""2.4 Log-softmax   [easy, ~15 min]

Losses, perplexities and beam scores are sums of log-probabilities. A token can be so unlikely that
its probability rounds to 0 while its logarithm is a perfectly ordinary number, so the logarithm has
to be computed without going through the probability of exercise 2.3.

Source: Blanchard, Higham and Higham (2021), Accurately computing the log-sum-exp and softmax
functions, https://doi.org/10.1093/imanum/draa038.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def log_softmax(x: Float[Tensor, "..."], dim: int) -> Float[Tensor, "..."]:
    """Return the natural logarithm of the softmax of `x` along `dim`.

    Every slice along `dim` is independent of the others. Finite for every finite `x`, also where
    the probability itself rounds to 0; an entry of -inf stays -inf as long as one entry of its
    slice is finite. The result has the dtype and device of `x`, and `x` is not modified. Gradients
    flow through all of it. Write it with `exp` and `log`: torch's own is the oracle.

    >>> log_softmax(torch.tensor([0.0, 1000.0]), dim=0)
    tensor([-1000.,     0.])
    """
    # solution
    # log(exp(x) / sum) = x - log(sum): the exponential of a single score is never needed.
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - torch.log(shifted.exp().sum(dim, keepdim=True))
