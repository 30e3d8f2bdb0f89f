"""5.5 Min-p filtering   [easy, ~15 min]

Top-k keeps a fixed number of tokens, top-p a fixed share of the probability. Where the model is
unsure, both let in tokens that nobody wants. Min-p asks how a token compares with the best one: the
bar is high where the model is sure, and low where many tokens are about as good. As in 5.3 and 5.4,
a removed token gets the logit -inf, which the next softmax turns into the probability 0.

Source: Nguyen et al. (2024), Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM
Outputs, https://arxiv.org/abs/2407.01082, section 3.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def min_p_filter(
    logits: Float[Tensor, "... vocab"], min_p: float, min_keep: int = 1
) -> Float[Tensor, "... vocab"]:
    """Keep the tokens that are at least `min_p` times as likely as the most likely one.

    All other logits become -inf. A token exactly at that bar is kept. What is kept keeps its logit
    exactly, what was -inf before stays -inf.

    There may be any number of leading axes, none included, and rows are independent: each has its
    own most likely token. Probabilities are computed in float32 at least, half precision would
    round the bar; the result has the dtype and device of `logits`, which is not modified.

    Args:
        logits: scores of the tokens; they may be huge, or -inf.
        min_p: 1 keeps only the most likely token and those that are equal to it, 0 keeps all.
        min_keep: the tokens with the `min_keep` largest logits are kept in any case, of equal ones
            any; above the size of the vocabulary it keeps everything.

    Raises:
        ValueError: `min_p` is not in [0, 1], or `min_keep` is less than 1.

    >>> min_p_filter(torch.tensor([0.5, 0.3, 0.15, 0.05]).log(), min_p=0.2).exp()
    tensor([0.5000, 0.3000, 0.1500, 0.0000])
    """
    # solution
    if not 0 <= min_p <= 1:
        raise ValueError(f"min_p must be in [0, 1], got {min_p}")
    if min_keep < 1:
        raise ValueError(f"min_keep must be at least 1, got {min_keep}")
    probs = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    keep = probs >= min_p * probs.amax(-1, keepdim=True)
    # By logit: far below the best, probabilities are all 0 and tell nothing.
    best = logits.topk(min(min_keep, logits.shape[-1]), dim=-1).indices
    return logits.masked_fill(~keep.scatter(-1, best, True), float("-inf"))
