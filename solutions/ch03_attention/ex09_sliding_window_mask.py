"""3.9 Sliding-window mask   [easy, ~15 min]

Attention over a long text costs a comparison per pair of tokens. With a window each token attends
only to itself and the few tokens before it, so the cost per token stays the same however long the
text is, and older keys and values can be forgotten. Through several layers information still comes
from further away. Mistral, Gemma and gpt-oss have such layers. The mask is that of 3.1, and a
second limit.

Source: Jiang et al. (2023), Mistral 7B, https://arxiv.org/abs/2310.06825, section 2 and figure 1;
Beltagy et al. (2020), Longformer, https://arxiv.org/abs/2004.05150, section 3.1.
"""

import torch
from jaxtyping import Bool
from torch import Tensor


def sliding_window_mask(t: int, window: int, device=None) -> Bool[Tensor, "t t"]:
    """Let each token attend to the last `window` tokens, itself included, and to no later one.

    Rows are queries, columns are keys, True means "may attend". The first tokens have fewer than
    `window` tokens to attend to; a window of `t` or more gives the plain causal mask.

    Args:
        t: the number of tokens.
        window: how many tokens a query sees at most.
        device: where the mask is made; torch's default device when None.

    Raises:
        ValueError: `window` is less than 1: a token would see nothing, not even itself.

    >>> sliding_window_mask(4, window=2).int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)
    """
    # solution
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    positions = torch.arange(t, device=device)
    distance = positions[:, None] - positions  # (query, key), negative for a later key
    return (distance >= 0) & (distance < window)
