"""The strategies of the playground by name, and a model's mode. Both are given, for all of 10.x."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Model = Callable[[Int[Tensor, "batch seq"]], Float[Tensor, "batch seq vocab"]]

STRATEGIES: dict[str, dict[str, float]] = {
    "greedy": {},
    "temperature": {"temperature": 1.0},
    "top_k": {"k": 40, "temperature": 1.0},
    "top_p": {"p": 0.9, "temperature": 1.0},
    "min_p": {"p": 0.1, "temperature": 1.0},
    "typical": {"p": 0.9, "temperature": 1.0},  # p is the `mass` of 5.6
    "repetition_penalty": {"penalty": 1.3, "temperature": 1.0},
    "beam": {"beams": 4, "length_penalty": 1.0},
}
"""The parameters that each strategy takes, and their defaults."""


@contextmanager
def evaluating(model: Model) -> Iterator[torch.device]:
    """Put a model into eval mode for a block without gradients, and give the device of its ids.

    The device is that of the parameters of an `nn.Module`, for other functions the CPU.
    """
    is_module = isinstance(model, nn.Module)
    training = is_module and model.training
    first = next(model.parameters(), None) if is_module else None
    try:
        if training:
            model.eval()
        with torch.no_grad():
            yield torch.device("cpu") if first is None else first.device
    finally:
        if training:
            model.train()
