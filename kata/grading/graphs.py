"""Gradients across the wire: each side keeps the graph of what it computed, and is asked for it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kata.grading.wire import Body, WireError, reading, tensor_from_wire, tensor_to_wire

if TYPE_CHECKING:
    from kata.grading.peer import Peer

MOST_GRAPHS = 10_000  # whose results the other side holds
Kind = tuple[torch.Size, torch.dtype, str]


class Graphs:
    """The graphs of the results that one side has handed over.

    Args:
        peer: this side.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._table: dict[int, tuple[list[Tensor], list[Tensor], list[Tensor]]] = {}
        self._last = 0

    def offer(self, outs: list[Tensor], body: list[bytes]) -> dict[str, Any]:
        """Describe results that are no leaves, and keep the graph that leads to them."""
        inputs: list[Tensor] = []
        own: list[Tensor] = []
        for leaf in _leaves(outs):
            (own if self._peer.tensors.key(leaf) is None else inputs).append(leaf)
        if len(self._table) >= MOST_GRAPHS:
            raise WireError(f"the other side holds more than {MOST_GRAPHS} results")
        self._last += 1
        self._table[self._last] = outs, inputs, own
        return {
            "id": self._last,
            "outs": [tensor_to_wire(x, body) for x in outs],
            "inputs": [self._peer.tensors.key(x) for x in inputs],
        }

    def connected(self, graph: Any, body: Body) -> list[Tensor]:
        """The results that the other side describes, connected to what they depend on here."""
        if not graph:
            return []
        outs = [tensor_from_wire(x, body) for x in graph["outs"]]
        inputs = [self._peer.tensors.known(key) for key in graph["inputs"]]
        if not all(x.requires_grad for x in inputs):
            raise WireError("a result depends on a tensor that has no gradient")
        if any(not x.is_floating_point() and not x.is_complex() for x in outs):
            raise WireError("a result cannot have a gradient")
        end = torch.zeros((), requires_grad=True)  # so that it has one even without inputs
        with torch.enable_grad():
            arguments = (self._peer, int(graph["id"]), len(outs), *outs, *inputs, end)
            return list(_Across.apply(*arguments))  # type: ignore[no-untyped-call]

    def backward(self, number: Any, grads: list[Any]) -> list[Tensor | None]:
        """The gradients of the inputs of a result that this side has handed over.

        Leaves that only this side has get theirs added, as `Tensor.backward` does it.

        Raises:
            WireError: there is no such result, or the gradients do not fit it.
        """
        with reading():
            outs, inputs, own = self._table[number]
            used = [(out, grad) for out, grad in zip(outs, grads, strict=True) if grad is not None]
            if any(kind_of(grad) != kind_of(out) for out, grad in used):
                raise WireError("a gradient of another kind")
        if not used or not inputs + own:
            return [None] * len(inputs)
        found = torch.autograd.grad(
            [out for out, _ in used],
            inputs + own,
            [grad for _, grad in used],
            retain_graph=True,
            allow_unused=True,
        )
        for leaf, grad in zip(own, found[len(inputs) :], strict=True):
            if grad is not None:
                leaf.grad = grad if leaf.grad is None else leaf.grad + grad
        return list(found[: len(inputs)])

    def drop(self, number: int) -> None:
        """The other side needs a graph no more."""
        self._table.pop(number, None)


def kind_of(x: Any) -> Kind:
    """What a gradient has in common with what it is the gradient of."""
    if not isinstance(x, Tensor):
        raise WireError(f"a {type(x).__name__} for a gradient")
    return x.shape, x.dtype, x.device.type


class _Token:
    """Lives as long as the graph of a result."""


class _Across(torch.autograd.Function):
    """Results of the other side, connected to the tensors of this side that they depend on."""

    @staticmethod
    def forward(ctx: Any, peer: Peer, number: int, count: int, *tensors: Tensor) -> Any:
        ctx.peer, ctx.number, ctx.count = peer, number, count
        ctx.kinds = [kind_of(x) for x in tensors[count:-1]]
        ctx.token = _Token()
        weakref.finalize(ctx.token, peer.forget, "graph", number).atexit = False
        ctx.set_materialize_grads(False)
        return tuple(x.clone() for x in tensors[:count])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        found = ctx.peer.gradients(ctx.number, [*grads], ctx.kinds)
        return (None, None, None, *[None] * ctx.count, *found, None)


def _leaves(outs: list[Tensor]) -> list[Tensor]:
    """The leaves that require a gradient and that these results depend on."""
    found: dict[int, Tensor] = {}
    waiting, seen = [x.grad_fn for x in outs], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found[id(leaf)] = leaf
        waiting += [following for following, _ in node.next_functions]
    return list(found.values())
