"""8.6 LoRA   [medium, ~30 min]

To tune all weights of a model takes the memory of its training: a gradient and two moments (7.4)
for each. But the change that tuning makes is of low rank, more or less. LoRA freezes the weights
and learns their change as a product of two thin matrices, often with less than a percent of the
parameters. In the end the product is added to the weights, and the model costs what it did before.

Source: Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models,
https://arxiv.org/abs/2106.09685; https://github.com/huggingface/peft, tuners/lora.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """A linear layer whose weights are frozen, and beside it two small matrices that learn.

    It computes W x + b + (alpha / r) B A x, with W and b of the given layer.

    Parts; they hold all parameters, in the dtype and on the device of the given layer's weight:
        linear: the given layer, with the values it has. None of its parameters requires a gradient.
        A: (r, in_features), requires a gradient. It starts like the weight of a new
            `nn.Linear(in_features, r)`: uniform between -1/sqrt(in_features) and
            1/sqrt(in_features), drawn anew for every layer.
        B: (out_features, r), requires a gradient. It starts with zeros, so that a new layer
            computes what the given one does.

    Args:
        linear: with or without a bias.
        r: the rank.
        alpha: A and B count alpha / r times, so that another rank needs no other learning rate.

    Raises:
        ValueError: `r` is below 1.

    >>> layer = LoRALinear(nn.Linear(6, 4), r=2, alpha=16)
    >>> {name: tuple(p.shape) for name, p in layer.named_parameters() if p.requires_grad}
    {'A': (2, 6), 'B': (4, 2)}
    """

    def __init__(self, linear: nn.Linear, r: int, alpha: float) -> None:
        super().__init__()
        # solution
        if r < 1:
            raise ValueError(f"r must be at least 1, got {r}")
        bound = linear.in_features**-0.5
        self.scale = alpha / r
        self.linear = linear.requires_grad_(False)
        self.A = nn.Parameter(linear.weight.new_empty(r, linear.in_features))
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, r))
        nn.init.uniform_(self.A, -bound, bound)

    def forward(self, x: Float[Tensor, "... in_features"]) -> Float[Tensor, "... out_features"]:
        """Transform the last axis of `x`, which is not modified; its dtype and device stay."""
        # solution
        # Down to r numbers, then up: B A would be as large as W.
        return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)

    def merge(self) -> nn.Linear:
        """Return a new `nn.Linear` that computes the same without A and B.

        It has the dtype and device of `linear`, and a bias if that has one. This layer stays as it
        is, also when the new one is changed later: they share no memory.
        """
        # solution
        merged = deepcopy(self.linear)
        with torch.no_grad():
            merged.weight += self.scale * (self.B @ self.A)
        return merged


def add_lora(model: nn.Module, names: Sequence[str], r: int, alpha: float) -> nn.Module:
    """Put a `LoRALinear` into the place of each layer that has one of the names; return `model`.

    `model` itself is changed. Whatever parameters it had are frozen, in all of its modules: only
    the new A and B require a gradient, and until they have learned it computes what it did.

    Args:
        model: its linear layers may stand at any depth, in lists too.
        names: the full name of a layer in `model.named_modules()`, such as "layers.0.attn.q_proj",
            or the end of it from a dot on, such as "attn.q_proj" or "q_proj" (but not "proj"),
            which stands for all layers whose names end so. Where several names fit one layer it
            still gets one `LoRALinear`.
        r: of each `LoRALinear`.
        alpha: of each `LoRALinear`.

    Raises:
        ValueError: a name fits no module, or fits one that is not an `nn.Linear` (2.1's is none).
            The model is as it was then.

    >>> model = nn.Sequential(nn.Linear(6, 4), nn.ModuleDict({"up": nn.Linear(4, 8)}))
    >>> [n for n, p in add_lora(model, ["up"], r=2, alpha=4).named_parameters() if p.requires_grad]
    ['1.up.A', '1.up.B']
    """
    # solution
    found: dict[str, nn.Module] = {}
    for name in names:
        fits = {n: m for n, m in model.named_modules() if f".{n}".endswith(f".{name}")}
        others = [n for n, m in fits.items() if not isinstance(m, nn.Linear)]
        if others or not fits:
            problem = f"{others[0]} is not an nn.Linear" if others else "no module has this name"
            raise ValueError(f"cannot replace {name!r}: {problem}")
        found |= fits
    model.requires_grad_(False)
    for name, linear in found.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, LoRALinear(linear, r, alpha))
    return model
