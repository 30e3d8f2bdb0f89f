"""2.1 Linear layer   [easy, ~15 min]

A linear layer is a matrix product and a shift. Nearly every parameter of a language model sits in
one: the projections of attention, the feed-forward network, the head. It keeps its weight as
(d_out, d_in), the way checkpoints do, and starts it small enough that its output has about the
size of its input.

Source: He, Zhang, Ren and Sun (2015), https://arxiv.org/abs/1502.01852, section 2.2 (scaling with
fan-in); the bounds are those of https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Linear(nn.Module):
    """Multiply by a learned matrix and add a learned bias: y = W x + b.

    Parameters, with the names and shapes of `torch.nn.Linear`:
        weight: (d_out, d_in).
        bias: (d_out,); with `bias=False` there is no such parameter.

    Both start uniform between -1/sqrt(d_in) and 1/sqrt(d_in), drawn anew for every layer from
    torch's global generator. Write it with a matrix product: `nn.Linear` is the oracle.

    >>> layer = Linear(2, 3, bias=False)
    >>> state = {"weight": torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])}
    >>> layer.load_state_dict(state)
    <All keys matched successfully>
    >>> layer(torch.tensor([5.0, 7.0])).tolist()
    [5.0, 7.0, 12.0]
    """

    def __init__(self, d_in: int, d_out: int, bias: bool = True):
        super().__init__()
        raise NotImplementedError("Linear.__init__")  # your code here

    def forward(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_out"]:
        """Transform the last axis of `x`; every other axis, if there is any, stays as it is.

        The result has the dtype and device of `x`, which are those of the parameters.
        """
        raise NotImplementedError("Linear.forward")  # your code here
