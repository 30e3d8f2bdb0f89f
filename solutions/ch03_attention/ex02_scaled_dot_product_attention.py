"""3.2 Scaled dot-product attention   [medium, ~25 min]

Every query compares itself with every key, and takes the average of the values, weighted by how
well the keys match: softmax(q k^T / sqrt(d)) v. Dot products of d numbers grow like sqrt(d); the
scale keeps the softmax from becoming an argmax. It uses the softmax of 2.3 and the masks of 3.1.

Source: Vaswani et al. (2017), Attention Is All You Need, https://arxiv.org/abs/1706.03762,
section 3.2.1 and footnote 4.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def scaled_dot_product_attention(
    q: Float[Tensor, "... t_q d"],
    k: Float[Tensor, "... t_k d"],
    v: Float[Tensor, "... t_k d_v"],
    mask: Bool[Tensor, "... t_q t_k"] | None = None,
) -> Float[Tensor, "... t_q d_v"]:
    """Average the values for each query, with the softmax of its scaled scores as weights.

    The scores are the dot products of query and key, divided by sqrt(d). Any leading axes (batch,
    head) are independent of each other. `mask` is broadcastable to the scores: True = may attend,
    and what may not be attended to has no influence at all. A query that may attend to nothing gets
    zeros and passes no gradient on; there is never a NaN in the output or in a gradient.

    The result has the dtype and device of the inputs, none of which is modified. Write it with
    matrix products and a softmax: torch's function of the same name is the oracle.

    >>> q = torch.zeros(1, 2)  # a query that likes every key equally
    >>> v = torch.tensor([[0.0], [4.0], [8.0]])
    >>> scaled_dot_product_attention(q, torch.ones(3, 2), v)
    tensor([[4.]])
    >>> scaled_dot_product_attention(q, torch.ones(3, 2), v, torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    # solution
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (..., t_q, t_k)
    if mask is None:
        return scores.softmax(-1) @ v
    # A softmax over nothing but -inf is NaN, and so are its gradients. A row without any key is
    # therefore left as it is here, and its output set to zero.
    has_key = mask.any(-1, keepdim=True)
    weights = scores.masked_fill(has_key & ~mask, -torch.inf).softmax(-1)
    return (weights @ v).masked_fill(~has_key, 0.0)
