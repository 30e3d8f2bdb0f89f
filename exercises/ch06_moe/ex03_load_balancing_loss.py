"""6.3 Load-balancing loss   [easy, ~20 min]

An expert that is chosen often learns fast and is chosen more often still, until a few experts do
all the work. This loss, added to that of the language model with a factor of about 0.01, works
against it: it is large where the tokens and the probabilities of the router (6.1) meet on the same
experts. The counts have no gradient, so it is the probabilities that move.

Source: Fedus, Zoph and Shazeer (2021), Switch Transformers, https://arxiv.org/abs/2101.03961,
equations 4 to 6.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def load_balancing_loss(
    probs: Float[Tensor, "tokens experts"], idx: Int[Tensor, "tokens k"], n_experts: int
) -> Float[Tensor, ""]:
    """Return n_experts * sum over the experts i of f_i * P_i.

    f_i is the fraction of all tokens * k assignments in `idx` that went to expert i, so that the
    fractions sum to 1 whatever k is; P_i is the mean of probs[:, i] over the tokens. With equal
    fractions, or with equal probabilities, the loss is 1; when all tokens go to one expert with
    probability 1 it is n_experts. Without any token it is 0. (transformers counts assignments per
    token instead: its value is k times this one.)

    The gradient goes to `probs` only, through P: the fractions are constants. The result has no
    axes, and the dtype and device of `probs`.

    >>> probs = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    >>> load_balancing_loss(probs, torch.tensor([[0], [0]]), n_experts=2)
    tensor(1.2500)
    """
    raise NotImplementedError("load_balancing_loss")  # your code here
