"""7.2 The loss of a language model   [easy, ~15 min]

A text is its own answer sheet: the logits at one token are judged by the token after it. Somebody
has to move the two against each other by one place, and only one. The batches of 7.1 are moved
already; libraries, and this function, take the text as it is and do it inside. To do it twice, or
never, gives a loss that falls as well, and a model that is of no use.

Source: `ForCausalLMLoss` in https://github.com/huggingface/transformers, loss/loss_utils.py.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def lm_loss(
    logits: Float[Tensor, "batch seq vocab"], ids: Int[Tensor, "batch seq"]
) -> Float[Tensor, ""]:
    """Return the mean of -log p(next token) over all tokens of the batch that are to be predicted.

    `logits[i, j]` is what a model says after it has read `ids[i, : j + 1]`. The first token of a
    row is predicted by nobody, and what follows the last one is not known. A token -100 is not to
    be predicted either; it counts neither in the sum nor in the number of tokens, whichever row it
    is in. When no token is left the result is NaN.

    Use `torch.nn.functional.cross_entropy` from here on: yours (2.5) reads the targets, and for
    that the processor would have to wait for the GPU at every step. Nothing here may depend on the
    values in a tensor (no `.item()`, no boolean mask as index), so that it runs on the meta device.

    Args:
        logits: float64, float32, or half precision, which is converted to float32 first.
        ids: int64, the text that the model has read, or the labels made of it; not modified.

    Returns:
        A tensor without axes on the device of the inputs; float64 for float64, else float32.

    >>> logits = torch.tensor([[[0.1, 0.9], [0.25, 0.75], [0.5, 0.5]]]).log()
    >>> lm_loss(logits, torch.tensor([[0, 1, 0]]))  # of 0.9 and 0.25
    tensor(0.7458)
    """
    raise NotImplementedError("lm_loss")  # your code here
