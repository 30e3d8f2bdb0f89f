"""7.15 Muon   [hard, ~45 min]

The gradient of a weight matrix is often dominated by a few directions. Muon makes a step that is
equally long in all of them: it keeps the directions of the momentum (its singular vectors) and sets
how far it goes along each (its singular values) to about 1. A few matrix products are enough for
that. The same model gets to the same loss in fewer steps than with AdamW (7.4), which remains in
charge of everything that is not a matrix between two hidden layers.

Source: Jordan et al. (2024), Muon: An optimizer for hidden layers in neural networks,
https://kellerjordan.github.io/posts/muon/.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@torch.no_grad()
def newton_schulz(G: Float[Tensor, "rows cols"], steps: int = 5) -> Float[Tensor, "rows cols"]:
    """Return a matrix with the singular vectors of `G`, and singular values near 1.

    X is at first G / (norm + 1e-7), the norm being that of all entries (Frobenius), so that no
    singular value is above 1. Each step replaces X by

        a X + b (X X^T) X + c (X X^T)^2 X        (a, b, c) = COEFFICIENTS

    which turns every singular value s into a s + b s^3 + c s^5. After five steps those that began
    above 0.002 are between 0.68 and 1.21: near enough to 1, and they would not come closer.

    X X^T has as many rows and columns as X has rows. Of a tall matrix take the transpose, and at
    the end once more: that is the same, with less work. All is computed in the dtype and on the
    device of `G`, and `G` is not modified. A matrix of zeros stays one.

    >>> newton_schulz(torch.tensor([[0.0, 4.0], [-3.0, 0.0]])).round(decimals=2)
    tensor([[ 0.0000,  1.1200],
            [-0.7200,  0.0000]])
    """
    # solution
    a, b, c = COEFFICIENTS
    tall = G.shape[0] > G.shape[1]
    X = G.T if tall else G
    X = X / (X.norm() + 1e-7)
    for _ in range(steps):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if tall else X


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, for the weight matrices of hidden layers.

    `self.param_groups` and `self.state` are those of 7.4: options may change between two steps, and
    whatever is kept belongs into `self.state[p]`.

    Raises:
        ValueError: a parameter does not have two axes, `lr` or `weight_decay` is negative, or
            `momentum` is not in [0, 1).

    >>> w = nn.Parameter(torch.zeros(2, 2))
    >>> w.grad = torch.tensor([[300.0, 0.0], [0.0, -40.0]])
    >>> Muon([w], lr=0.1).step()
    >>> w.detach()
    tensor([[-0.0707,  0.0000],
            [ 0.0000,  0.0694]])
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict],
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "nesterov": nesterov}
        options["weight_decay"] = weight_decay
        super().__init__(params, options)
        # solution
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.dim() != 2:
                raise ValueError(f"Muon is for matrices, got a parameter of {tuple(p.shape)}")
        if lr < 0 or weight_decay < 0 or not 0 <= momentum < 1:
            raise ValueError(f"impossible options: {options}")

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter that has a gradient, in place.

        For a parameter p with gradient g and momentum mu:

            m = mu m + (1 - mu) g                the mean of recent gradients, at first 0
            u = mu m + (1 - mu) g                with `nesterov`; else u = m
            p = p - lr weight_decay p - lr sqrt(max(1, rows / cols)) newton_schulz(u)

        A parameter whose `grad` is None stays as it is. Gradients are not modified.
        """
        # solution
        for group in self.param_groups:
            lr, mu = group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p)
                m = state["momentum_buffer"].lerp_(p.grad, 1 - mu)
                u = p.grad.lerp(m, mu) if group["nesterov"] else m
                p.mul_(1 - lr * group["weight_decay"])
                p.add_(newton_schulz(u), alpha=-lr * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def split_for_muon(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters for Muon, and the others, which are for AdamW.

    Muon gets those with exactly two axes that are inside of a block. A block is an element of an
    `nn.ModuleList`, so that its parameters have a number in their name, such as the 0 of
    `layers.0.mlp.w1.weight`. The others are embeddings, the head, norms and biases. Every parameter
    is in one list, once, tied ones too; those that need no gradient are in neither. The order is
    that of `model.named_parameters()`.

    >>> block = nn.ModuleDict({"norm": nn.RMSNorm(4), "proj": nn.Linear(4, 6)})
    >>> model = nn.ModuleDict({"embed": nn.Embedding(9, 4), "layers": nn.ModuleList([block])})
    >>> [[tuple(p.shape) for p in parameters] for parameters in split_for_muon(model)]
    [[(6, 4)], [(9, 4), (4,), (6,)]]
    """
    # solution
    hidden, others = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            in_block = any(part.isdigit() for part in name.split("."))
            (hidden if p.dim() == 2 and in_block else others).append(p)
    return hidden, others
