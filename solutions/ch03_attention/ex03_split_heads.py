"""3.3 Splitting and merging heads   [easy, ~15 min]

Several small attentions see more than one large one. The features of each token are cut into
`n_heads` pieces of equal size, and the heads become a leading axis, so that one matrix product
serves them all. The pieces are put side by side again at the end. A `view` to the final shape also
gives the right shape, but it mixes tokens, and quietly lets a model look into the future.

Source: Vaswani et al. (2017), Attention Is All You Need, https://arxiv.org/abs/1706.03762,
section 3.2.2.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def split_heads(
    x: Float[Tensor, "... seq d_model"], n_heads: int
) -> Float[Tensor, "... n_heads seq head_dim"]:
    """Cut the features of each token into heads, and put the heads before the tokens.

    Head h gets the features h * head_dim to (h + 1) * head_dim - 1, with head_dim =
    d_model / n_heads. Any leading axes, often a batch, stay as they are.

    Raises:
        ValueError: `n_heads` does not divide d_model.

    >>> split_heads(torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]]), n_heads=2)
    tensor([[[1, 2],
             [5, 6]],
    <BLANKLINE>
            [[3, 4],
             [7, 8]]])
    """
    # solution
    if x.shape[-1] % n_heads:
        raise ValueError(f"d_model={x.shape[-1]} cannot be cut into {n_heads} equal heads")
    heads = x.unflatten(-1, (n_heads, -1))  # (..., seq, n_heads, head_dim)
    return heads.transpose(-3, -2)  # (..., n_heads, seq, head_dim)


def merge_heads(
    x: Float[Tensor, "... n_heads seq head_dim"],
) -> Float[Tensor, "... seq d_model"]:
    """Put the heads of each token side by side: the inverse of `split_heads`.

    >>> x = torch.arange(24).view(2, 3, 4)
    >>> torch.equal(merge_heads(split_heads(x, n_heads=2)), x)
    True
    """
    # solution
    tokens = x.transpose(-3, -2)  # (..., seq, n_heads, head_dim)
    return torch.flatten(tokens, start_dim=-2)  # (..., seq, d_model)
