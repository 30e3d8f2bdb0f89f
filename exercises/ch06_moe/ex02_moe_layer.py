"""6.2 Mixture-of-Experts layer   [medium, ~30 min]

It takes the place of the feed-forward network of a block: a router, and some SwiGLU networks of
which every token passes through `k`. Mixtral 8x7B is Mistral 7B with eight experts in every layer,
two per token: it stores 47 billion parameters and computes with 13. Builds on `topk_router` (6.1)
and `SwiGLU` (2.9).

Source: Jiang et al. (2024), Mixtral of Experts, https://arxiv.org/abs/2401.04088, section 2.1; the
names are those of Mixtral's checkpoints.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..ch02_layers.ex09_swiglu import SwiGLU
from .ex01_topk_router import topk_router


class MoELayer(nn.Module):
    """`n_experts` feed-forward networks, and a gate that sends each token to `k` of them.

    Parts; they hold all parameters:
        gate: `nn.Linear` without bias; its weight, (n_experts, d_model), is the router's.
        experts: `nn.ModuleList` of `n_experts` networks `SwiGLU(d_model, d_ff)`, so that a
            parameter is called `experts.3.w1.weight`.

    Raises:
        ValueError: `k` is less than 1 or greater than `n_experts`, when the layer is made.

    >>> layer = MoELayer(d_model=4, d_ff=6, n_experts=3, k=2)
    >>> layer.gate.weight.shape, layer.experts[2].w1.weight.shape
    (torch.Size([3, 4]), torch.Size([6, 4]))
    >>> layer(torch.ones(2, 5, 4)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, d_model: int, d_ff: int, n_experts: int, k: int) -> None:
        super().__init__()
        raise NotImplementedError("MoELayer.__init__")  # your code here

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Give each token the weighted sum of what its own `k` experts make of it.

        Every position of `x` is a token of its own, whatever the axes before the last one; there
        may be none. Experts and weights are those of `topk_router`. An expert computes only with
        the tokens that chose it; one that nobody chose has no influence, whatever its parameters
        are. A loop over experts is fine, one over tokens would take far too long.

        The result has the dtype and device of `x`, which are those of the parameters. `x` is not
        modified.
        """
        raise NotImplementedError("MoELayer.forward")  # your code here
