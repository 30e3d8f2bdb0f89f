"""5.6 Typical filtering   [medium, ~25 min]

People rarely say the most predictable word, nor the most surprising one: each word tells about as
much as the hearer expects. The surprise of a token is -log(probability), and the surprise that the
model expects is the mean over its own distribution, the entropy. Locally typical sampling keeps the
tokens whose surprise is closest to the entropy, up to a share of the probability, and may well
leave out the most likely token. What ranks the tokens is new, the rest is as in 5.4.

Source: Meister et al. (2023), Locally Typical Sampling, https://arxiv.org/abs/2202.00666,
section 4.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def typical_filter(
    logits: Float[Tensor, "... vocab"], mass: float, min_keep: int = 1
) -> Float[Tensor, "... vocab"]:
    """Keep the most typical tokens, as few as have the probability `mass` together.

    A token is the more typical, the smaller the distance between its surprise, -log p, and the
    entropy of its row, the sum of -p log p over the tokens. Tokens are kept from the most typical
    on until their probabilities sum to at least `mass`; the one that carries the sum to `mass` is
    the last. Tokens at exactly the same distance as the last one are kept too, so that equal logits
    share their fate. With `mass` = 1 everything is kept. All other logits become -inf. What is kept
    keeps its logit exactly.

    What was -inf before stays -inf and adds nothing to the entropy; each row has a finite logit.
    There may be any number of leading axes, none included, and rows are independent. Probabilities,
    surprises and sums are computed in float32 at least; the result has the dtype and device of
    `logits`, which is not modified.

    Args:
        logits: scores of the tokens; they may be huge, or -inf.
        mass: the probability that the kept tokens have together, at least.
        min_keep: the `min_keep` most typical tokens are kept in any case; above the size of the
            vocabulary it keeps everything.

    Raises:
        ValueError: `mass` is not in (0, 1], or `min_keep` is less than 1.

    >>> probs = torch.tensor([0.5, 0.25, 0.15, 0.1])  # surprise 0.69 1.39 1.90 2.30, entropy 1.21
    >>> typical_filter(probs.log(), mass=0.2).exp()
    tensor([0.0000, 0.2500, 0.0000, 0.0000])
    """
    raise NotImplementedError("typical_filter")  # your code here
