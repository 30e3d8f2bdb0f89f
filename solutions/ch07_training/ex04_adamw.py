"""7.4 AdamW   [medium, ~35 min]

Nearly every language model was trained with it. Adam divides each gradient by its own recent size,
so that all parameters move at a similar pace; the W is for weight decay that is applied to the
weights themselves, apart from the gradient. Adding it to the gradient, as was done before, divides
it by that size too, and it loses its effect where it is needed most.

Source: Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization,
https://arxiv.org/abs/1711.05101, algorithm 2; the decay is multiplied by lr, as in torch.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay; the same steps as `torch.optim.AdamW`.

    `Optimizer` keeps what it is given: `self.param_groups` is a list of dicts, each with its own
    "params", "lr", "betas", "eps" and "weight_decay". They may change between two steps (7.6 does
    that to "lr"). `self.state[p]` is a dict for whatever is to be kept for the parameter p; all of
    it goes into `state_dict()` and comes back with `load_state_dict`, so keep nothing elsewhere.

    Raises:
        ValueError: `lr`, `eps` or `weight_decay` is negative, or one of `betas` is not in [0, 1).

    >>> w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (5 * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8500, -2.0000])
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options)
        # solution
        for name in ("lr", "eps", "weight_decay"):
            if options[name] < 0:
                raise ValueError(f"{name} must not be negative, got {options[name]}")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), got {betas}")

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter that has a gradient, in place.

        For a parameter p with gradient g, at its own step t = 1, 2, 3, ...:

            m = beta1 m + (1 - beta1) g          the mean of recent gradients, at first 0
            v = beta2 v + (1 - beta2) g^2        the mean of their squares, at first 0
            p = p - lr weight_decay p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

        m and v have the dtype and device of p. A parameter whose `grad` is None stays as it is,
        without decay, and its t does not advance. Gradients are not modified.
        """
        # solution
        for group in self.param_groups:
            lr, (beta1, beta2) = group["lr"], group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(
                        step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p)
                    )
                state["step"] += 1
                m = state["exp_avg"].lerp_(p.grad, 1 - beta1)
                v = state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                rms = (v / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
                p.mul_(1 - lr * group["weight_decay"])
                p.addcdiv_(m, rms, value=-lr / (1 - beta1 ** state["step"]))
