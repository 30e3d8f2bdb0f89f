"""2.10 Dropout   [easy, ~15 min]

Dropout erases a random part of a layer's output at every training step, so that no unit can rely
on one other unit being there. The survivors are made larger in return: then the expected value is
the same with and without dropout, and nothing has to be corrected when the model is used.

Source: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html (there the weights
are scaled down after training instead; scaling up during training is what every library does).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Dropout(nn.Module):
    """Set each element to zero with probability `p` while training; it has no parameters.

    Raises:
        ValueError: `p` is not in [0, 1].

    >>> layer = Dropout(p=0.25)
    >>> layer.eval()(torch.tensor([3.0, 6.0, 9.0]))
    tensor([3., 6., 9.])
    >>> sorted(layer.train()(torch.full((1000,), 3.0)).unique().tolist())
    [0.0, 4.0]
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        # solution
        if not 0 <= p <= 1:
            raise ValueError(f"p must be in [0, 1], got {p}")
        self.p = p

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Drop elements of `x` in training mode, return them as they are in evaluation mode.

        In training mode (`self.training`) an element becomes 0 with probability `p`, else
        x / (1 - p). Each element has its own chance, each call draws anew; with p = 1 all are 0.
        The random numbers come from torch's global generator: `torch.manual_seed` repeats them. The
        gradient of a dropped element is 0, that of a kept one is scaled as the element is. The
        result has the shape, dtype and device of `x`, and `x` is not modified. Write it without
        torch's own dropout.
        """
        # solution
        if not self.training or self.p == 0:
            return x
        if self.p == 1:  # nothing is left to scale up: 0 / (1 - p) would be NaN
            return x * 0.0
        keep = torch.rand_like(x, dtype=torch.float32) >= self.p
        return x * keep / (1 - self.p)
