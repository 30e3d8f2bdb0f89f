"""3.6 Causal mask and padding together   [medium, ~20 min]

A batch of texts of unequal length is padded (1.12), and nothing may look at the padding, as if each
text were alone. Whether it stands on the left or on the right, what it hides are keys: columns of
the mask. On the left it leaves rows in which nothing is allowed, and a softmax over nothing is NaN,
which then spreads through the model.

Source: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, section 3.2.3; the masks of
https://huggingface.co/docs/transformers/main/en/glossary#attention-mask.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def combine_masks(
    causal: Bool[Tensor, "t_q t_k"],
    attention_mask: Int[Tensor, "batch t_k"] | Bool[Tensor, "batch t_k"],
) -> Bool[Tensor, "batch 1 t_q t_k"]:
    """Allow what `causal` allows, as long as the key is a real token.

    A query to which that leaves no key at all (padding before the first real token) keeps its row
    of `causal` instead, as if no token were padding. So no softmax ever meets an empty row, and no
    harm is done: nobody attends to what comes out there. Padding queries that do have a real key
    are no exception.

    Args:
        causal: True = may attend, with at least one True in every row; `causal_mask` (3.1) or a
            narrower one. Square for a whole text, wide after a cache.
        attention_mask: for each key 1 or True = a real token, 0 or False = padding, on whichever
            side. Neither input is modified.

    Returns:
        True = may attend; the axis of size 1 is for the heads. On the device of the inputs.

    Raises:
        ValueError: `attention_mask` is not as long as `causal` has keys.

    >>> causal = torch.tensor([[True, False], [True, True]])
    >>> combine_masks(causal, torch.tensor([[1, 0], [0, 1]])).int()[:, 0]
    tensor([[[1, 0],
             [1, 0]],
    <BLANKLINE>
            [[1, 0],
             [0, 1]]], dtype=torch.int32)
    """
    raise NotImplementedError("combine_masks")  # your code here
