"""What the graded tests of tensor exercises share: seeded randomness, strong oracles, gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from kata.check import NAME

Module = TypeVar("Module", bound=nn.Module)


def generator(seed: int = 0) -> torch.Generator:
    """A source of random numbers, always on the CPU, so that every device sees the same data."""
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers of this shape: the same for the same seed, on every machine."""
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def randomise(module: Module, seed: int = 0) -> Module:
    """Give every parameter a random value, biases and norm weights too, and return the module.

    A fresh module has zero biases and unit norms, which hide most mistakes: it proves little to
    agree with one.
    """
    rng = generator(seed)
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters()):
            scale = 0.5 if parameter.dim() < 2 else parameter.shape[-1] ** -0.5
            value = torch.randn(parameter.shape, generator=rng) * scale
            parameter.copy_(value + 1.0 if parameter.dim() < 2 else value)
    return module


def gradients(function: Callable[..., Tensor], *inputs: Any, **options: Any) -> list[Tensor]:
    """The gradients of `function(*inputs)` with respect to each floating-point tensor input.

    The output is projected on fixed random numbers first: the sum of a softmax, say, is constant
    and its gradient tells nothing. Inputs are cloned, so that calls do not disturb each other.
    """
    leaves = [
        x.detach().clone().requires_grad_(x.is_floating_point()) if isinstance(x, Tensor) else x
        for x in inputs
    ]
    project(function(*leaves, **options)).backward()  # type: ignore[no-untyped-call]
    names = _arguments(function, len(leaves))
    pairs = zip(names, leaves, strict=False)
    return [_gradient(n, x) for n, x in pairs if isinstance(x, Tensor) and x.requires_grad]


def parameter_gradients(module: nn.Module, *inputs: Any, **options: Any) -> dict[str, Tensor]:
    """The gradient of every parameter, by name, after one forward and backward pass."""
    module.zero_grad()
    project(module(*inputs, **options)).backward()  # type: ignore[no-untyped-call]
    return {name: _gradient(name, p) for name, p in module.named_parameters()}


def _gradient(name: str, leaf: Tensor) -> Tensor:
    """The gradient of a tensor; `kata.check.close` says what it is when it is what is expected."""
    gradient = leaf.grad if leaf.grad is not None else torch.zeros_like(leaf)
    vars(gradient)[NAME] = f"the gradient of {name}"
    return gradient


def _arguments(function: Callable[..., Tensor], count: int) -> list[str]:
    """The names of the first arguments, as far as they can be known."""
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        names = list(inspect.signature(called).parameters)
    except (TypeError, ValueError):  # a function of torch that is written in C++
        names = []
    numbers = [f"argument {i}" for i in range(1, count + 1)] if count > 1 else ["its argument"]
    return numbers if len(names) < count or names[0] in ("args", "input") else names


def project(output: Tensor) -> Tensor:
    """A scalar that depends on every element of `output` with a weight of its own."""
    weights = normal(*output.shape, seed=1, dtype=output.dtype)
    return (output * weights.to(output.device)).sum()


class Watch(TorchDispatchMode):
    """Counts what torch does inside a `with` block, whoever called it.

    Attributes:
        operations: how many operations ran.
        largest: the elements of the largest tensor that one of them made; views count as much as
            they show, but never more than is in memory.
        products: the multiplications in matrix products.
        copied: the elements that were written into new memory, by whatever is not a view.
        devices: where the tensors are that were made, single numbers aside.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # it would import the compiler at the first use: seconds, for nothing

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.largest = self.products = self.copied = 0
        self.devices: set[str] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one operation of torch, and count it."""
        result = func(*args, **(kwargs or {}))
        made = result if isinstance(result, (tuple, list)) else [result]
        tensors = [x for x in made if isinstance(x, Tensor)]
        sizes = [min(x.numel(), x.untyped_storage().nbytes() // x.element_size()) for x in tensors]
        self.operations += 1
        self.largest = max(self.largest, *sizes, 0)
        self.devices |= {x.device.type for x in tensors if x.dim()}
        old = {x.untyped_storage()._cdata for x in args if isinstance(x, Tensor)}
        self.copied += sum(x.numel() for x in tensors if x.untyped_storage()._cdata not in old)
        name = func.overloadpacket.__name__
        if name in MATRIX_PRODUCTS:
            left, right = args[MATRIX_PRODUCTS[name] :][:2]
            self.products += left.numel() * (right.shape[-1] if right.dim() > 1 else 1)
        return result

    def counts(self) -> dict[str, Any]:
        """What has been seen so far, as plain data."""
        numbers = {name: getattr(self, name) for name in ("operations", "products", "copied")}
        return numbers | {"largest": self.largest, "devices": sorted(self.devices)}

    def set_counts(self, before: dict[str, Any], more: dict[str, Any]) -> None:
        """Have seen what was seen before, and what another process has seen since."""
        for name in ("operations", "products", "copied"):
            setattr(self, name, before[name] + max(0, int(more[name])))
        self.largest = max(before["largest"], int(more["largest"]))
        self.devices = {*before["devices"], *(str(name) for name in more["devices"])}


# Where the left one of the two factors stands among the arguments.
MATRIX_PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "addmm": 1, "baddbmm": 1, "addmv": 1}
