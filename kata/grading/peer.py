"""One side of the boundary between the judge and a worker: requests, replies, and what is shared.

Both sides run the same code, one after the other: whoever sends a request waits for the reply, and
answers the other side's requests meanwhile (a model that a test handed over is called back so).
What differs is trust: the worker believes the judge, the judge believes nothing. It unpickles
nothing, lets the worker call and read only what a test handed over, and checks all that it gets.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import inspect
import itertools
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode_stack

from kata.answer import Unusable
from kata.grading import proxies
from kata.grading.errors import error_from_wire, error_to_wire
from kata.grading.sharing import Containers, Tensors, structure
from kata.grading.values import Decoder, Encoder, put_part
from kata.grading.wire import Closed, Wire, WireError, tensor_from_wire, tensor_to_wire
from kata.load import PREFIX
from kata.verdict import ELSEWHERE

DEEPEST_CALLS = 100
Record = Callable[[Callable[..., Any], str, bool], Callable[..., Any]]


class Peer:
    """One side.

    Args:
        wire: the connection to the other side.
        is_judge: whether this is the side that believes nothing.
        trees: the folders of learner code: errors name the line in them.
    """

    def __init__(self, wire: Wire, is_judge: bool, trees: list[Path] | None = None) -> None:
        self.is_judge = is_judge
        self.prefix = "j" if is_judge else "w"
        self.tensors = Tensors(self.prefix)
        self.containers = Containers(self.prefix)
        self.record: Record | None = None
        self.keep_changes = True
        self.files: frozenset[str] = frozenset()  # those whose lines an error may name
        self.libraries: set[str] = set()  # modules of the classes that were sent
        self.changed_arguments = False
        self.answer: Callable[[str], Any] | None = None
        self._wire = wire
        self._trees = trees or []
        self._lock = threading.RLock()
        self._depth = 0
        self._numbers = itertools.count(1)
        self._exports: dict[int, Any] = {}
        self._export_numbers: dict[int, int] = {}
        self._adopted: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._adopted_numbers: dict[int, int] = {}
        self._modules: weakref.WeakKeyDictionary[nn.Module, tuple[bool, dict[str, object]]]
        self._modules = weakref.WeakKeyDictionary()
        self._kept: list[nn.Module] = []
        self._counting: list[tuple[Any, dict[str, Any]]] = []
        self._graphs: dict[int, tuple[list[Tensor], list[Tensor], list[Tensor]]] = {}
        self._free: deque[tuple[str, int]] = deque()
        self._generators: dict[int, tuple[torch.Generator, bytes]] = {}
        self._rng = b""
        self._own_errors: dict[int, BaseException] = {}
        self._other_errors: dict[int, int] = {}

    # ------------------------------------------------------------------------- what tests use

    def call(
        self, number: int, name: str, label: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call an object of the other side, or its method `name`."""
        __tracebackhide__ = True

        def run(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            values, keywords = [*args, *kwargs.values()], list(kwargs)
            return self.request("call", values, on=number, name=name, keywords=keywords)

        if self.record is None:
            return run(*args, **kwargs)
        return self.record(run, label, False)(*args, **kwargs)

    def get(self, number: int, name: str, label: str) -> Any:
        """An attribute of an object of the other side."""
        __tracebackhide__ = True
        return self.request("get", on=number, name=name, label=label)

    # ------------------------------------------------------------------------------ exporting

    def export(self, x: Any) -> int:
        """A number by which the other side may name this object."""
        number = self._export_numbers.get(id(x))
        if number is None:
            number = next(self._numbers)
            self._exports[number] = x
            self._export_numbers[id(x)] = number
        return number

    def export_module(self, x: nn.Module) -> tuple[int, bool]:
        """The same for a module, and whether it is the first time."""
        is_new = id(x) not in self._export_numbers
        number = self.export(x)
        if is_new:
            self.remember_module(x)
        return number, is_new

    def exported(self, number: Any) -> Any:
        """The object of this side that the other one names."""
        if type(number) is not int or number not in self._exports:
            raise WireError(f"no object {str(number)[:20]}")
        return self._exports[number]

    def adopt(self, number: int, make: Callable[[], Any]) -> Any:
        """The one proxy here for an object of the other side."""
        with contextlib.suppress(ValueError):
            self._free.remove(("object", number))
        found = self._adopted.get(number)
        if found is None:
            found = make()
            self._adopted[number] = found
            weakref.finalize(found, self._free.append, ("object", number)).atexit = False
        return found

    def adopt_module(self, number: int, module: nn.Module) -> None:
        """The same for a module."""
        self.adopt(number, lambda: module)
        self._kept.append(module)  # the other side may name it again without describing it
        self._adopted_numbers[id(module)] = number
        weakref.finalize(module, self._adopted_numbers.pop, id(module), None).atexit = False

    def adopted(self, number: int) -> Any:
        """What stands here for an object of the other side, or None."""
        return self._adopted.get(number)

    def adopted_number(self, x: Any) -> int | None:
        """The number of the other side's object that this one stands for."""
        return self._adopted_numbers.get(id(x))

    def remember_module(self, module: nn.Module) -> None:
        """From now on changes of its mode and of its parts cross with the next message."""
        self._modules[module] = module.training, structure(module)

    def _number_of(self, module: nn.Module) -> tuple[str, int]:
        adopted = self._adopted_numbers.get(id(module))
        return ("yours", adopted) if adopted is not None else ("mine", self.export(module))

    # ---------------------------------------------------------------------------- generators

    def generator_to_wire(self, x: torch.Generator) -> dict[str, Any]:
        """A source of random numbers: its draws on the other side count here too."""
        number, state = self.export(x), x.get_state().numpy().tobytes()
        self._generators[number] = x, state
        device = x.device.type
        return {"k": "generator", "id": number, "device": device, "v": _b64(state)}

    def generator_from_wire(self, x: dict[str, Any]) -> torch.Generator:
        """The twin of a generator of the other side."""
        if self.is_judge:
            raise WireError("a generator of the worker")
        number = -x["id"]
        if number not in self._generators:
            self._generators[number] = torch.Generator(x["device"]), b""
        twin, _ = self._generators[number]
        state = base64.b64decode(x["v"])
        twin.set_state(_bytes(state))
        self._generators[number] = twin, state
        return twin

    # -------------------------------------------------------------------------- being in step

    def _news(self, encoder: Encoder) -> dict[str, Any]:
        """All that has changed here since the last message."""
        news: dict[str, Any] = {}
        tensors = []
        for key, changes in self.tensors.changes():
            shown: dict[str, Any] = {"t": key}
            for name, value in changes.items():
                is_tensor = isinstance(value, Tensor)
                shown[name] = tensor_to_wire(value, encoder.body) if is_tensor else value
            tensors.append(shown)
        modules = []
        for module, (training, parts) in list(self._modules.items()):
            now = structure(module)
            if training == module.training and _same_parts(now, parts):
                continue
            changed = [
                [n, encoder._whole(p)] for n, p in now.items() if parts.get(n, parts) is not p
            ]
            self._modules[module] = module.training, now
            side, number = self._number_of(module)
            modules.append(
                {
                    "of": side,
                    "id": number,
                    "training": module.training,
                    "parts": changed,
                    "gone": [n for n in parts if n not in now],
                }
            )
        lists = [[key, encoder.content(x)] for key, x in self.containers.changed()]
        generators = []
        for number, (generator, before) in self._generators.items():
            state = generator.get_state().numpy().tobytes()
            if state != before:
                self._generators[number] = generator, state
                generators.append([-number, _b64(state)])
        rng = torch.get_rng_state().numpy().tobytes()
        if rng != self._rng:
            self._rng = rng
            news["rng"] = _b64(rng)
        free: list[list[Any]] = [["tensor", key] for key in self.tensors.let_go()]
        while self._free:
            free.append([*self._free.popleft()])
        for name, value in (
            ("tensors", tensors),
            ("modules", modules),
            ("lists", lists),
            ("generators", generators),
            ("free", free),
        ):
            if value:
                news[name] = value
        return news

    def _learn(self, news: Any, body: memoryview, decoder: Decoder) -> None:
        """Bring this side's copies into step."""
        if not isinstance(news, dict):
            raise WireError("no news")
        for shown in news.get("tensors", []):
            self._learn_tensor(shown, body)
        for shown in news.get("modules", []):
            self._learn_module(shown, decoder)
        for key, node in news.get("lists", []):
            content = decoder.value(node)
            mine = isinstance(key, str) and key.startswith(self.prefix)
            if self.is_judge and mine:
                self.changed_arguments = True
            if self.keep_changes or not mine:
                self.containers.replace(key, content)
        for number, text in news.get("generators", []):
            if number not in self._generators:
                raise WireError("no such generator")
            generator, state = self._generators[number][0], base64.b64decode(text)
            generator.set_state(_bytes(state))
            self._generators[number] = generator, state
        if "rng" in news:
            self._rng = base64.b64decode(news["rng"])
            torch.set_rng_state(_bytes(self._rng))
        for kind, number in news.get("free", []):
            if kind == "tensor":
                self.tensors.drop(str(number))
            elif kind == "object" and number in self._exports:
                self._export_numbers.pop(id(self._exports.pop(number)), None)
            elif kind == "graph":
                self._graphs.pop(number, None)

    def _learn_tensor(self, shown: dict[str, Any], body: memoryview) -> None:
        found = self.tensors.get(str(shown.get("t")))
        if found is None:
            return  # it has gone meanwhile
        entry, tensor = found
        changes: dict[str, Any] = {}
        for name in ("data", "grad"):
            if name in shown:
                value = shown[name]
                changes[name] = None if value is None else tensor_from_wire(value, body)
        if "requires_grad" in shown:
            changes["requires_grad"] = bool(shown["requires_grad"])
        if self.is_judge and entry.is_mine and not isinstance(tensor, nn.Parameter):
            self.changed_arguments |= "data" in changes
            if not self.keep_changes and "data" in changes:
                entry.data = changes.pop("data")  # the next message puts the old values back there
        entry.accept(tensor, changes)

    def _learn_module(self, shown: dict[str, Any], decoder: Decoder) -> None:
        number, mine = shown["id"], shown["of"] == "yours"
        module = self.exported(number) if mine else self.adopted(number)
        if not isinstance(module, nn.Module):
            return
        for part, node in shown["parts"]:
            put_part(module, part, decoder.value(node))
        for part in shown["gone"]:
            kind, _, name = str(part).partition(" ")
            if kind in ("parameter", "buffer", "module"):
                vars(module)[f"_{kind}s"].pop(name, None)
        vars(module)["training"] = bool(shown["training"])
        self.remember_module(module)

    # ------------------------------------------------------------------------------- requests

    def request(self, operation: str, values: list[Any] | None = None, **head: Any) -> Any:
        """Ask the other side for something, and answer its own questions until it has replied.

        Raises:
            WireError: it does not keep to the protocol, or is gone.
            BaseException: what it raised.
        """
        __tracebackhide__ = True
        with self._lock, _without_modes() as watches:
            self._depth += 1
            try:
                return self._request(operation, values or [], head, watches)
            except WireError as error:
                if self.is_judge:  # nothing that a test may take for an error of the exercise
                    raise Unusable(error) from None
                raise
            finally:
                self._depth -= 1

    def _request(
        self, operation: str, values: list[Any], head: dict[str, Any], watches: list[Any]
    ) -> Any:
        __tracebackhide__ = True
        if self._depth > DEEPEST_CALLS:
            raise WireError("calls into each other are nested too deeply")
        encoder = Encoder(self, share=True)
        news = self._news(encoder)
        message = head | {
            "op": operation,
            "values": [encoder.value(x) for x in values],
            "news": news,
            "grad": torch.is_grad_enabled(),
            "cast": _autocast(),
            "device": str(device) if (device := _default_device()) else None,
            "watch": bool(watches),
            "watched": [w.counts() for w in watches[:1]],
        }
        counting, self._counting = self._counting, [(w, w.counts()) for w in watches]
        try:
            with torch.device("cpu") if device else contextlib.nullcontext():
                self._wire.send(message, encoder.body)
                while True:
                    reply, body = self._wire.receive()
                    if reply.get("op") in ("return", "raise"):
                        return self._taken(reply, body, head)
                    self._serve(reply, body)
        finally:
            self._counting = counting
            self.containers.release(encoder.containers)

    def _taken(self, reply: dict[str, Any], body: memoryview, head: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        try:
            value = self._read(reply, body, head)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise WireError(f"not a reply: {error}") from None
        if reply["op"] == "raise":
            raise value
        if reply.get("property") and self.record is not None:
            return self.record(lambda: value, str(head.get("label")), True)()
        return value

    def _read(self, reply: dict[str, Any], body: memoryview, head: dict[str, Any]) -> Any:
        decoder = Decoder(self, body)
        self._learn(reply.get("news"), body, decoder)
        self._count(reply)
        if reply["op"] == "raise":
            return self._known_error(reply.get("error"))
        if reply.get("method"):
            return proxies.method(self.adopted(head["on"]), head["name"])
        decoder.outs = self._connected(reply.get("graph"), body)
        return decoder.value(reply.get("value"))

    def _count(self, message: dict[str, Any]) -> None:
        """What the other side has counted so far, on top of what was counted here before."""
        for counts in _a_list(message.get("watched"))[:1]:
            for watch, before in self._counting:
                watch.set_counts(before, counts)

    def _known_error(self, shown: Any) -> BaseException:
        if isinstance(shown, dict) and shown.get("own") in self._own_errors:
            return self._own_errors[shown["own"]]  # it was raised here, and went through there
        error = error_from_wire(shown)
        place = getattr(error, ELSEWHERE, None)
        if place is not None and place[0] not in self.files:  # it would be read from the disk
            setattr(error, ELSEWHERE, None)
        if isinstance(shown, dict) and type(shown.get("number")) is int:
            vars(error)["__kata_number__"] = shown["number"]
        for mark in ("stub", "unusable"):
            if isinstance(shown, dict) and shown.get(mark):
                vars(error)[f"__kata_{mark}__"] = True
        return error

    # ------------------------------------------------------------------------------- replies

    def serve_forever(self) -> None:
        """Answer requests until the other side is gone."""
        with contextlib.suppress(Closed):
            while True:
                self._serve(*self._wire.receive())

    def _serve(self, head: dict[str, Any], body: memoryview) -> None:
        self._depth += 1
        decoder = Decoder(self, body)
        # A test's callback may raise what Ctrl-C raises; nothing else gets past a judge's test.
        caught = (Exception, KeyboardInterrupt) if self.is_judge else BaseException
        # Of an optimizer's groups, say: what the answer changes in them has to come back.
        share = head.get("op") == "get" and not self._is_ours(head.get("on"))
        encoder = Encoder(self, share, is_reply=True)
        try:
            if self._depth > DEEPEST_CALLS:
                raise WireError("calls into each other are nested too deeply")
            self._count(head)
            self._learn(head.get("news"), body, decoder)
            values = [decoder.value(x) for x in _a_list(head.get("values"))]
            with _counted(bool(head.get("watch"))) as watched:
                try:
                    with _as_there(head):
                        result = self._do(head, values)
                    reply = {"op": "return"} | self._shown(head, result, encoder)
                except WireError:
                    raise
                except caught as error:
                    encoder = Encoder(self, False, is_reply=True)
                    reply = {"op": "raise", "error": self._raised(error)}
            reply["watched"] = [w.counts() for w in watched]
            with _without_modes():
                reply["news"] = self._news(encoder)
            self._wire.send(reply, encoder.body)
        finally:
            self.containers.release(decoder.containers)
            self._depth -= 1

    def _is_ours(self, number: Any) -> bool:
        return self.is_judge and is_ours(type(self._exports.get(number)))

    def _raised(self, error: BaseException) -> dict[str, Any]:
        if isinstance(error, Unusable):
            return error_to_wire(error.error, self._trees) | {"unusable": True}
        number = getattr(error, "__kata_number__", None)
        if type(number) is int:
            return {"own": number}
        number = next(self._numbers)
        self._own_errors[number] = error
        return error_to_wire(error, self._trees) | {"number": number}

    def _shown(self, head: dict[str, Any], result: Any, encoder: Encoder) -> dict[str, Any]:
        if head["op"] == "get" and isinstance(result, _Method):
            return {"method": True}
        with _without_modes():
            shown: dict[str, Any] = {"value": encoder.value(result)}
            if encoder.outs:
                shown["graph"] = self._offer_graph(encoder)
        if head["op"] == "get":
            owner = self.exported(head["on"])
            of = inspect.getattr_static(type(owner), head["name"], None)
            shown["property"] = isinstance(of, property)
        return shown

    def _do(self, head: dict[str, Any], values: list[Any]) -> Any:
        operation = head.get("op")
        if operation == "backward":
            return self._backward(head, values)
        if operation == "attribute" and self.answer is not None:
            return self.answer(str(head["name"]))
        target, name = self.exported(head.get("on")), str(head.get("name", ""))
        if self.is_judge and not may(operation, target, name):
            raise AttributeError(f"{type(target).__name__} has no {name!r} for an answer")
        if operation == "call":
            count = len(_a_list(head.get("keywords")))
            positional = values[: len(values) - count]
            keywords = dict(zip(head["keywords"], values[len(values) - count :], strict=True))
            function = target if name in ("", "__call__") else getattr(target, name)
            return function(*positional, **keywords)
        if operation == "get":
            value = getattr(target, name)
            is_method = inspect.isroutine(value) and getattr(value, "__self__", None) is target
            return _Method() if is_method else value
        if operation == "set":
            return setattr(target, name, values[0])
        if operation == "copy":
            return copy.deepcopy(target)
        raise WireError(f"no operation {str(operation)[:40]!r}")

    # ------------------------------------------------------------------------------ gradients

    def _offer_graph(self, encoder: Encoder) -> dict[str, Any]:
        inputs: list[Tensor] = []
        own: list[Tensor] = []
        for leaf in _leaves(encoder.outs):
            key = self.tensors.key(leaf)
            (own if key is None else inputs).append(leaf)
        number = next(self._numbers)
        self._graphs[number] = encoder.outs, inputs, own
        outs = [tensor_to_wire(x, encoder.body) for x in encoder.outs]
        # Tensors that are passed on and are no leaves here are connected by their twins.
        return {"id": number, "outs": outs, "inputs": [self.tensors.key(x) for x in inputs]}

    def _connected(self, graph: Any, body: memoryview) -> list[Tensor]:
        if not graph:
            return []
        outs = [tensor_from_wire(x, body) for x in graph["outs"]]
        inputs = []
        for key in graph["inputs"]:
            found = self.tensors.get(str(key))
            if found is None or not found[1].requires_grad:
                raise WireError("a result depends on a tensor that is not there")
            inputs.append(found[1])
        if any(not x.is_floating_point() and not x.is_complex() for x in outs):
            raise WireError("a result cannot have a gradient")
        end = torch.zeros((), requires_grad=True)  # so that it has one even without inputs
        with torch.enable_grad():
            arguments = (self, graph["id"], len(outs), *outs, *inputs, end)
            return list(_Across.apply(*arguments))  # type: ignore[no-untyped-call]

    def backward(self, number: int, grads: tuple[Tensor | None, ...]) -> list[Tensor | None]:
        """The gradients of the inputs of a call that ran on the other side."""
        return list(self.request("backward", list(grads), on=number))

    def forget_graph(self, number: int) -> None:
        """A result's graph is needed no more."""
        self._free.append(("graph", number))

    def _backward(self, head: dict[str, Any], values: list[Any]) -> list[Tensor | None]:
        if head.get("on") not in self._graphs:
            raise WireError("no such graph")
        outs, inputs, own = self._graphs[head["on"]]
        used = [(out, grad) for out, grad in zip(outs, values, strict=True) if grad is not None]
        if any(not isinstance(g, Tensor) or g.shape != out.shape for out, g in used):
            raise WireError("a gradient of another shape")
        if not used or not inputs + own:
            return [None] * len(inputs)
        grads = torch.autograd.grad(
            [out for out, _ in used],
            inputs + own,
            [grad for _, grad in used],
            retain_graph=True,
            allow_unused=True,
        )
        for leaf, grad in zip(own, grads[len(inputs) :], strict=True):
            if grad is not None:
                leaf.grad = grad if leaf.grad is None else leaf.grad + grad
        return list(grads[: len(inputs)])


class _Method:
    """Stands for a method in a reply."""


class _Token:
    """Lives as long as the graph of a result."""


class _Across(torch.autograd.Function):
    """Results of the other side, connected to the tensors of this side that they depend on."""

    @staticmethod
    def forward(ctx: Any, peer: Peer, number: int, count: int, *tensors: Tensor) -> Any:
        ctx.peer, ctx.number, ctx.count = peer, number, count
        ctx.kinds = [(x.shape, x.dtype, x.device.type) for x in tensors[count:-1]]
        ctx.token = _Token()
        weakref.finalize(ctx.token, peer.forget_graph, number).atexit = False
        ctx.set_materialize_grads(False)
        return tuple(x.clone() for x in tensors[:count])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        found = ctx.peer.backward(ctx.number, grads)
        if len(found) != len(ctx.kinds):
            raise WireError("another number of gradients")
        for grad, (shape, dtype, device) in zip(found, ctx.kinds, strict=True):
            wrong = grad is not None and (
                not isinstance(grad, Tensor)
                or (grad.shape, grad.dtype, grad.device.type) != (shape, dtype, device)
            )
            if wrong:
                raise WireError("a gradient of another kind")
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


# ---------------------------------------------------------------------------- what a worker may

LIBRARY_NAMES = {
    "torch.optim.optimizer.Optimizer": (
        "step zero_grad state_dict load_state_dict param_groups state defaults add_param_group"
    ),
    "torch.optim.lr_scheduler.LRScheduler": (
        "step get_last_lr state_dict load_state_dict last_epoch base_lrs"
    ),
    "torch.amp.grad_scaler.GradScaler": (
        "scale unscale_ step update get_scale is_enabled state_dict load_state_dict"
    ),
}


def may(operation: Any, target: Any, name: str) -> bool:
    """Whether an answer may do this to an object that a test handed over.

    It may call a function and a module, and read and call the public names that a class of a test
    or of the course defines; of a module also plain values, such as `model.n_layers`. Other
    attributes of an object stay hidden: the double of a model, say, knows what it will answer.
    What a library defines (`save_pretrained`, say) is out of reach, but for a few names of
    optimizers. Nothing can be set.
    """
    if name and name not in proxies.SPECIAL and (name.startswith("_") or not name.isidentifier()):
        return False
    if operation == "copy":
        return isinstance(target, nn.Module)
    if operation not in ("call", "get"):
        return False
    if operation == "call" and name in ("", "__call__"):
        return True
    for cls in type(target).__mro__:
        known = LIBRARY_NAMES.get(f"{cls.__module__}.{cls.__qualname__}", "")
        if name in known.split():
            return True
    if isinstance(target, type) or inspect.isroutine(target):
        return False
    if name in proxies.SPECIAL:
        return operation == "call" and hasattr(type(target), name)
    owners = [cls for cls in type(target).__mro__ if name in vars(cls)]
    if owners:
        return is_ours(owners[0])
    if not isinstance(target, nn.Module) or not is_ours(type(target)):
        return False
    return not isinstance(vars(target).get(name, []), (list, dict, set, Tensor))


def is_ours(cls: type) -> bool:
    """Whether a class is one of the course or of a test, not of a library."""
    root = cls.__module__.split(".")[0]
    file = str(getattr(sys.modules.get(root), "__file__", None) or "")
    return (
        root in ("kata", "solutions")
        or root.startswith(PREFIX)
        or (
            root not in sys.stdlib_module_names
            and root != "builtins"
            and "site-packages" not in file
            and not _is_installed(root)
        )
    )


def _is_installed(root: str) -> bool:
    places = getattr(sys.modules.get(root), "__path__", [])
    return any("site-packages" in str(place) for place in places)


# ---------------------------------------------------------------------------------- small ones


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _a_list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise WireError("not a list")
    return value


def _same_parts(now: dict[str, object], before: dict[str, object]) -> bool:
    return len(now) == len(before) and all(before.get(n, now) is p for n, p in now.items())


def _autocast() -> list[str] | None:
    for device in ("cpu", "cuda", "mps"):
        if torch.is_autocast_enabled(device):
            return [device, str(torch.get_autocast_dtype(device)).removeprefix("torch.")]
    return None


def _default_device() -> torch.device | None:
    device = torch.get_default_device()
    return None if device.type == "cpu" else device


@contextlib.contextmanager
def _as_there(head: dict[str, Any]) -> Iterator[None]:
    """With the modes of torch in which the other side asks."""
    device = torch.device(str(head["device"])) if head.get("device") else contextlib.nullcontext()
    with torch.set_grad_enabled(bool(head.get("grad", True))), _cast(head.get("cast")), device:
        yield


def _cast(shown: Any) -> contextlib.AbstractContextManager[Any]:
    if not isinstance(shown, list):
        return contextlib.nullcontext()
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(str(shown[1]), torch.float32)
    return torch.autocast(str(shown[0]), dtype=dtype)


@contextlib.contextmanager
def _without_modes() -> Iterator[list[Any]]:
    """Keep what crosses the wire out of the counts of a `Watch`, and give these back."""
    active = [m for m in _get_current_dispatch_mode_stack() if type(m).__name__ == "Watch"]
    if not active:
        yield []
        return
    with _disable_current_modes():
        yield active


@contextlib.contextmanager
def _counted(wanted: bool) -> Iterator[list[Any]]:
    if not wanted:
        yield []
        return
    from kata.tensors import Watch

    with Watch() as watch:
        yield [watch]
