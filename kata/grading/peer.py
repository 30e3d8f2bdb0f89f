"""One side of the boundary between the judge and a worker: requests, replies, and what is shared.

Both sides run the same code, one after the other: whoever sends a request waits for the reply, and
answers the other side's requests meanwhile (a model that a test handed over is called back so).
What differs is trust: the worker believes the judge, the judge believes nothing. It unpickles
nothing, lets the worker call and read only what a test handed over, and checks all that it gets.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kata.answer import Unusable
from kata.grading import modes, proxies
from kata.grading.errors import error_from_wire, error_to_wire
from kata.grading.graphs import Graphs, Kind, kind_of
from kata.grading.rights import is_ours, may
from kata.grading.sharing import Containers, Sources, Tensors, structure
from kata.grading.values import Decoder, Encoder, put_part, take_part
from kata.grading.wire import (
    Body,
    Closed,
    Unsendable,
    Wire,
    WireError,
    reading,
    tensor_from_wire,
    tensor_to_wire,
)
from kata.text import brief
from kata.verdict import ELSEWHERE

DEEPEST_CALLS = 100
MOST_OBJECTS = 100_000  # that the other side may name
MOST_MODULES = 10_000  # of the other side
MOST_ERRORS = 100
Record = Callable[[Callable[..., Any], str, bool], Callable[..., Any]]


class Peer:
    """One side.

    Args:
        wire: the connection to the other side.
        is_judge: whether this is the side that believes nothing.
        trees: the folders of learner code: errors name the line in them.

    Attributes:
        prefix: what the keys of what this side shares begin with.
        tensors: the tensors that both sides have.
        containers: the same of lists, dictionaries and sets, while a call is under way.
        sources: the same of sources of random numbers.
        graphs: what leads to the results that this side has handed over.
        record: gets a call into the other side, how it is written, and whether it is a read.
        keep_changes: whether what the other side changes in place is changed here.
        files: those whose lines an error may name.
        changed_arguments: whether it has changed something that came from here.
        libraries: the modules of the classes that were sent.
        answer: what gives a name of the learner's file, on the worker's side.
    """

    def __init__(self, wire: Wire, is_judge: bool, trees: list[Path] | None = None) -> None:
        self.is_judge = is_judge
        self.prefix = "j" if is_judge else "w"
        self.tensors = Tensors(self.prefix)
        self.containers = Containers(self.prefix)
        self.sources = Sources()
        self.graphs = Graphs(self)
        self.record: Record | None = None
        self.keep_changes = True
        self.files: frozenset[str] = frozenset()
        self.changed_arguments = False
        self.libraries: set[str] = set()
        self.answer: Callable[[str], Any] | None = None
        self._wire = wire
        self._trees = trees or []
        self._lock = threading.RLock()
        self._depth = 0
        self._waiting = 0
        self._is_believed = True
        self._numbers = itertools.count(1)
        self._exports: dict[int, Any] = {}
        self._export_numbers: dict[int, int] = {}
        self._adopted: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._adopted_numbers: dict[int, int] = {}
        self._modules: weakref.WeakKeyDictionary[nn.Module, tuple[bool, dict[str, object]]]
        self._modules = weakref.WeakKeyDictionary()
        self._kept: list[nn.Module] = []
        self._counting: list[tuple[Any, dict[str, Any]]] = []
        self._free: deque[tuple[str, int]] = deque()
        self._own_errors: dict[int, BaseException] = {}

    # ------------------------------------------------------------------------- what tests use

    def call(
        self, number: int, name: str, label: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call an object of the other side, or its method `name`; `__init__` makes an object."""
        __tracebackhide__ = True

        def run(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            values, keywords = [*args, *kwargs.values()], list(kwargs)
            of_class = "" if name == "__init__" else name
            return self.request("call", values, on=number, name=of_class, keywords=keywords)

        run.__name__ = name or "call"
        if self.record is None:
            return run(*args, **kwargs)
        return self.record(run, label, False)(*args, **kwargs)

    def get(self, number: int, name: str, label: str) -> Any:
        """An attribute of an object of the other side."""
        __tracebackhide__ = True
        return self.request("get", on=number, name=name, label=label)

    def gradients(
        self, number: int, grads: list[Tensor | None], kinds: list[Kind]
    ) -> list[Tensor | None]:
        """The gradients of what a result of the other side depends on.

        Args:
            number: of the result's graph.
            grads: the gradient of each result.
            kinds: what each of the gradients that come back must be.
        """
        found: list[Tensor | None] = self.request("backward", [*grads], on=number)
        with self._believing(), reading():
            for grad, kind in zip(found, kinds, strict=True):
                if grad is not None and kind_of(grad) != kind:
                    raise WireError("a gradient of another kind")
        return found

    # ------------------------------------------------------------------------------ exporting

    def export(self, x: Any) -> int:
        """A number by which the other side may name this object."""
        number = self._export_numbers.get(id(x))
        if number is None:
            if len(self._exports) >= MOST_OBJECTS:
                raise WireError(f"the other side holds more than {MOST_OBJECTS} objects")
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
            raise WireError(f"no object {brief(number)}")
        return self._exports[number]

    def adopt(self, number: int, make: Callable[[], Any]) -> Any:
        """The one proxy here for an object of the other side."""
        with contextlib.suppress(ValueError):
            self._free.remove(("object", number))
        found = self._adopted.get(number)
        if found is None:
            found = make()
            self._adopted[number] = found
            weakref.finalize(found, self.forget, "object", number).atexit = False
        return found

    def forget(self, kind: str, number: int) -> None:
        """Tell the other side, with the next message, what is needed here no more."""
        self._free.append((kind, number))

    def adopt_module(self, number: int, module: nn.Module) -> None:
        """The same as `adopt` for a module."""
        if self._adopted.get(number) is not None or len(self._kept) >= MOST_MODULES:
            raise WireError(f"a second module {number}, or too many of them")
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

    # -------------------------------------------------------------------------- being in step

    def _news(self, encoder: Encoder) -> dict[str, Any]:
        """All that has changed here since the last message."""
        free: list[list[Any]] = [["tensor", key] for key in self.tensors.let_go()]
        while self._free:
            free.append([*self._free.popleft()])
        news = {
            "tensors": [self._changed_tensor(*x, encoder) for x in self.tensors.changes()],
            "modules": [*self._changed_modules(encoder)],
            "lists": [[key, encoder.content(x)] for key, x in self.containers.changed()],
            "sources": self.sources.changes(),
            "free": free,
        }
        return {name: value for name, value in news.items() if value}

    @staticmethod
    def _changed_tensor(key: str, changes: dict[str, Any], encoder: Encoder) -> dict[str, Any]:
        shown: dict[str, Any] = {"t": key}
        for name, value in changes.items():
            is_tensor = isinstance(value, Tensor)
            shown[name] = tensor_to_wire(value, encoder.body) if is_tensor else value
        return shown

    def _changed_modules(self, encoder: Encoder) -> Iterator[dict[str, Any]]:
        for module, (training, parts) in list(self._modules.items()):
            now = structure(module)
            changed = {n: p for n, p in now.items() if n not in parts or parts[n] is not p}
            gone = [n for n in parts if n not in now]
            if training == module.training and not changed and not gone:
                continue
            self._modules[module] = module.training, now
            adopted = self._adopted_numbers.get(id(module))
            yield {
                "of": "mine" if adopted is None else "yours",
                "id": self.export(module) if adopted is None else adopted,
                "training": module.training,
                "parts": encoder.parts(changed),
                "gone": gone,
            }

    def _learn(self, message: dict[str, Any], decoder: Decoder, body: Body) -> None:
        """Bring this side's copies into step; the order is that in which one needs the other."""
        news = message["news"]
        for shown in message["new"]:
            decoder.adopt(shown)
        for shown in news.get("tensors", []):
            self._learn_tensor(shown, decoder, body)
        decoder.outs = self.graphs.connected(message.get("graph"), body)
        for shown in news.get("modules", []):
            self._learn_module(shown, decoder)
        for key, node in news.get("lists", []):
            content = decoder.value(node)
            if self._takes_changes(key.startswith(self.prefix)):
                self.containers.replace(key, content)
            else:
                decoder.refused["list", key] = content
        for number, state in news.get("sources", []):
            self.sources.accept(number, state)
        drop: dict[str, Callable[[Any], None]] = {
            "tensor": self.tensors.drop,
            "object": self._drop,
            "graph": self.graphs.drop,
        }
        for kind, number in news.get("free", []):
            drop[kind](number)

    def _drop(self, number: int) -> None:
        if number in self._exports:
            self._export_numbers.pop(id(self._exports.pop(number)), None)

    def _takes_changes(self, mine: bool) -> bool:
        """Whether what the other side has changed is changed here too.

        The judge notes that something of a test's was changed: it has to pass without that.
        """
        self.changed_arguments |= self.is_judge and mine
        return self.keep_changes or not mine

    def _learn_tensor(self, shown: dict[str, Any], decoder: Decoder, body: Body) -> None:
        found = self.tensors.get(shown["t"])
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
        mine = entry.is_mine and not isinstance(tensor, nn.Parameter)
        if "data" in changes and not self._takes_changes(mine):
            entry.data = changes.pop("data")  # the next message puts the old values back there
            decoder.refused["tensor", shown["t"]] = entry.data.clone()
        self.tensors.accept(entry, tensor, changes)

    def _learn_module(self, shown: dict[str, Any], decoder: Decoder) -> None:
        number, mine = shown["id"], shown["of"] == "yours"
        module = self.exported(number) if mine else self.adopted(number)
        if not isinstance(module, nn.Module):
            return
        for part, node in shown["parts"]:
            put_part(module, part, decoder.value(node))
        for part in shown["gone"]:
            take_part(module, part)
        vars(module)["training"] = bool(shown["training"])
        self.remember_module(module)

    # ------------------------------------------------------------------------------- requests

    def request(self, operation: str, values: list[Any] | None = None, **head: Any) -> Any:
        """Ask the other side for something, and answer its own questions until it has replied.

        Raises:
            Unusable: on the judge's side: the worker does not keep to the protocol, or is gone.
            WireError: the same on the worker's side.
            BaseException: what the other side raised.
        """
        __tracebackhide__ = True
        with self._lock, modes.uncounted() as watches, self._believing(), self._one_deeper():
            return self._request(operation, values or [], head, watches)

    @contextlib.contextmanager
    def _believing(self) -> Iterator[None]:
        """The judge's end of belief is nothing that a test may take for an error it asks for."""
        try:
            yield
        except (WireError, Unsendable) as error:
            self._is_believed = False
            if not self.is_judge:
                raise
            ended = ChildProcessError("the process that ran the answer has ended")
            raise Unusable(ended if isinstance(error, Closed) else error) from None

    @contextlib.contextmanager
    def _one_deeper(self) -> Iterator[None]:
        self._depth += 1
        try:
            if self._depth > DEEPEST_CALLS:
                raise WireError("calls into each other are nested too deeply")
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._own_errors.clear()

    def _request(
        self, operation: str, values: list[Any], head: dict[str, Any], watches: list[Any]
    ) -> Any:
        __tracebackhide__ = True
        encoder = Encoder(self, share=True)
        message = head | modes.modes_to_wire() | {"op": operation, "news": self._news(encoder)}
        message["values"] = [encoder.value(x) for x in values]
        message["watch"] = bool(watches)
        message["watched"] = [w.counts() for w in watches[:1]]
        message["new"] = encoder.new
        counting, self._counting = self._counting, [(w, w.counts()) for w in watches]
        try:
            with modes.no_default_device():
                self._waiting += 1
                self._wire.send(message, encoder.body)
                while True:
                    reply, body = self._wire.receive()
                    if reply.get("op") in ("return", "raise"):
                        self._waiting -= 1  # not when a time limit or an error gets here first
                        return self._taken(reply, body, head)
                    self._serve(reply, body)
        finally:
            self._counting = counting
            self.containers.release(encoder.containers)
            self.tensors.withdraw(encoder.lent)

    def _taken(self, reply: dict[str, Any], body: Body, head: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        with reading():
            value = self._read(reply, body, head)
        if reply["op"] == "raise":
            raise value
        if reply.get("property") and self.record is not None:
            return self.record(lambda: value, str(head.get("label")), True)()
        return value

    def _read(self, reply: dict[str, Any], body: Body, head: dict[str, Any]) -> Any:
        decoder = Decoder(self, body)
        self._learn(reply, decoder, body)
        self._count(reply)
        if reply["op"] == "raise":
            return self._known_error(reply["error"])
        if reply.get("method"):
            return proxies.method(self.adopted(head["on"]), head["name"])
        shown = reply["value"]
        if "on" not in head and isinstance(shown, dict) and shown.get("of") == "function":
            shown = shown | {"name": head["name"]}  # its calls are written as the test writes them
        return decoder.value(shown)

    def _count(self, message: dict[str, Any]) -> None:
        """What the other side has counted so far, on top of what was counted here before."""
        for counts in message["watched"][:1]:
            for watch, before in self._counting:
                watch.set_counts(before, counts)

    def _known_error(self, shown: dict[str, Any]) -> BaseException:
        own = self._own_errors.get(shown.get("own", 0))
        if own is not None:
            return own  # it was raised here, and went through there
        error = error_from_wire(shown)
        place = getattr(error, ELSEWHERE, None)
        if place is not None and place[0] not in self.files:  # it would be read from the disk
            setattr(error, ELSEWHERE, None)
        for mark in ("number", "stub", "unusable"):
            if shown.get(mark):
                vars(error)[f"__kata_{mark}__"] = shown[mark]
        return error

    # ------------------------------------------------------------------------------- replies

    @property
    def is_in_step(self) -> bool:
        """Whether the other side waits for a request, and has kept to the protocol until now."""
        return self._waiting == 0 and self._is_believed

    def serve(self) -> dict[str, Any] | None:
        """Answer requests until one that starts another test, which is returned.

        Returns None when the other side is gone.
        """
        with contextlib.suppress(Closed):
            while True:
                head, body = self._wire.receive()
                if head.get("op") == "start":
                    return head
                self._serve(head, body)
        return None

    def _serve(self, head: dict[str, Any], body: Body) -> None:
        decoder = Decoder(self, body)
        try:
            with self._one_deeper():
                with reading():
                    self._count(head)
                    self._learn(head, decoder, body)
                    values = [decoder.value(x) for x in head["values"]]
                    encoder = Encoder(self, self._shares(head), is_reply=True)
                with modes.counted(bool(head.get("watch"))) as watched:
                    reply = self._outcome(head, values, encoder)
                reply["watched"] = [w.counts() for w in watched]
                reply["news"] = self._news(encoder)
                if encoder.outs:
                    reply["graph"] = self.graphs.offer(encoder.outs, encoder.body)
                reply["new"] = encoder.new
                self._send(reply, encoder.body)
        finally:
            self.containers.release(decoder.containers)

    def _shares(self, head: dict[str, Any]) -> bool:
        """Whether changes of a list that is read here come back: an optimizer's groups, say."""
        if head.get("op") != "get":
            return False
        return not self.is_judge or not is_ours(type(self.exported(head["on"])))

    def _send(self, reply: dict[str, Any], body: list[bytes]) -> None:
        try:
            self._wire.send(reply, body)
        except Unsendable as error:
            self._wire.send(self._raised(error) | {"watched": [], "news": {}, "new": []}, [])

    def _outcome(self, head: dict[str, Any], values: list[Any], encoder: Encoder) -> dict[str, Any]:
        """Do what the other side asks for, and say what came out."""
        # A test's callback may raise what Ctrl-C raises; nothing else gets past a judge's test.
        caught = (Exception, KeyboardInterrupt) if self.is_judge else BaseException
        try:
            with modes.as_there(head):
                result = self._do(head, values)
            with modes.uncounted():
                return self._shown(head, result, encoder)
        except WireError:
            raise
        except caught as error:
            return self._raised(error)

    def _raised(self, error: BaseException) -> dict[str, Any]:
        if isinstance(error, Unusable):
            shown = error_to_wire(error.error, self._trees) | {"unusable": True}
            return {"op": "raise", "error": shown}
        shown = error_to_wire(error, self._trees)
        theirs = BaseException.__getattribute__(error, "__dict__").get("__kata_number__")
        if type(theirs) is int:
            return {"op": "raise", "error": shown | {"own": theirs}}
        number = next(self._numbers)
        self._own_errors[number] = error  # it may come back while this call is under way
        if len(self._own_errors) > MOST_ERRORS:
            del self._own_errors[next(iter(self._own_errors))]
        return {"op": "raise", "error": shown | {"number": number}}

    def _shown(self, head: dict[str, Any], result: Any, encoder: Encoder) -> dict[str, Any]:
        if isinstance(result, _Method):
            return {"op": "return", "method": True}
        shown = {"op": "return", "value": encoder.value(result)}
        if head["op"] == "get":
            owner = type(self.exported(head["on"]))
            of = inspect.getattr_static(owner, head["name"], None)
            shown["property"] = isinstance(of, property)
        return shown

    def _do(self, head: dict[str, Any], values: list[Any]) -> Any:
        operation = head.get("op")
        if operation == "backward":
            return self.graphs.backward(head.get("on"), values)
        if operation == "attribute" and self.answer is not None:
            return self.answer(head["name"])
        target, name = self.exported(head.get("on")), str(head.get("name", ""))
        if self.is_judge and not may(operation, target, name):
            raise AttributeError(f"{type(target).__name__} has no {name!r} for an answer")
        if (operation == "set" or name == "__setitem__") and not self._takes_changes(mine=True):
            return None
        if operation == "call":
            keywords = head.get("keywords", [])
            count = len(values) - len(keywords)
            function = target if name in ("", "__call__") else getattr(target, name)
            return function(*values[:count], **dict(zip(keywords, values[count:], strict=True)))
        if operation == "get":
            value = getattr(target, name)
            is_method = inspect.isroutine(value) and getattr(value, "__self__", None) is target
            return _Method() if is_method else value
        if operation == "set":
            return setattr(target, name, values[0])
        if operation == "copy":
            return copy.deepcopy(target)
        raise WireError(f"no operation {brief(operation)}")


class _Method:
    """Stands for a method in a reply."""
