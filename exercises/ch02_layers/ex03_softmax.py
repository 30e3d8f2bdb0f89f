"""2.3 Softmax   [easy, ~15 min]

Softmax turns any scores into probabilities: positive, and summing to one. Attention weights,
next-token probabilities and expert routing all come out of it, often for scores that are huge or
minus infinity, so it has to be right there too.

Source: Goodfellow, Bengio and Courville (2016), Deep Learning, sections 4.1 and 6.2.2.3,
https://www.deeplearningbook.org.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def softmax(x: Float[Tensor, "..."], dim: int) -> Float[Tensor, "..."]:
    """Return exp(x) / sum(exp(x)), the sum taken along `dim`.

    Every slice along `dim` is independent of the others. Finite whatever the size of `x`; an entry
    of -inf gets probability 0 as long as one entry of its slice is finite. The result has the dtype
    and device of `x`, and `x` is not modified. Gradients flow through all of it. Write it with
    `exp`: torch's own softmax is the oracle.

    >>> softmax(torch.tensor([[1.0, 2.0], [3.0, 3.0]]), dim=-1)
    tensor([[0.2689, 0.7311],
            [0.5000, 0.5000]])
    """
    raise NotImplementedError("softmax")  # your code here
