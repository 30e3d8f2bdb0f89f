"""6.1 Top-k router   [easy, ~20 min]

A Mixture-of-Experts layer has many feed-forward networks, the experts, and lets each token through
only a few of them: the parameters grow, the work per token does not. The router makes the choice.
It scores every expert for every token with one matrix product, and each token takes the `k` experts
that it finds most likely. The choice itself has no gradient; the router learns through the weights.

Source: Jiang et al. (2024), Mixtral of Experts, https://arxiv.org/abs/2401.04088, section 2.1;
Shazeer et al. (2017), https://arxiv.org/abs/1701.06538, section 2.1.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def topk_router(
    x: Float[Tensor, "tokens d_model"], weight: Float[Tensor, "experts d_model"], k: int
) -> tuple[Float[Tensor, "tokens k"], Int[Tensor, "tokens k"], Float[Tensor, "tokens experts"]]:
    """Choose `k` different experts for each token: return (weights, idx, probs).

    The logit of an expert for a token is the dot product of its row of `weight` with the token.
        probs: the softmax of each token's logits over all experts. It is computed and returned in
            float32 when `x` is float16 or bfloat16, else in the dtype of `x`.
        idx: the `k` most likely experts of each token, the most likely one first. Which of two
            equally likely experts comes first does not matter.
        weights: the probabilities of those experts, scaled so that the weights of a token sum to 1;
            in the dtype of `x`.

    There may be no token at all. Gradients flow through `weights` and through `probs`, to `x` and
    to `weight`. The results are on the device of `x`.

    Raises:
        ValueError: `k` is less than 1 or greater than the number of experts.

    >>> x, weight = torch.tensor([[0.0, 1.0]]), torch.tensor([[9.0, 5.0], [9.0, 1.0], [9.0, 3.0]])
    >>> topk_router(x, weight.log(), k=2)
    (tensor([[0.6250, 0.3750]]), tensor([[0, 2]]), tensor([[0.5556, 0.1111, 0.3333]]))
    """
    raise NotImplementedError("topk_router")  # your code here
