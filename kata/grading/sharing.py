"""What both processes hold a copy of, and how the copies stay equal.

A tensor, list or dictionary that one side hands to the other has a twin there. Before each message
the sender looks which of its copies have changed since the last one, and sends these along. So a
function may change its arguments in place, and the other side sees it when the call returns.
"""

from __future__ import annotations

import base64
import itertools
import struct
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kata.grading.wire import WireError, bits
from kata.text import brief

Container = list[Any] | dict[Any, Any] | set[Any]
MOST_CONTAINERS = 5000
MOST_BYTES = 4 << 30  # of the other side's tensors: a worker may have no more memory than that


@dataclass
class Shared:
    """One tensor that has a twin on the other side.

    Attributes:
        get: the tensor, or None when nobody here holds it any more.
        is_mine: whether it came from this side.
        data: the values that both sides had when the last message was sent.
        grad: the same of its gradient.
        requires_grad: the same of this flag.
    """

    get: Callable[[], Tensor | None]
    is_mine: bool
    data: Tensor
    grad: Tensor | None
    requires_grad: bool

    def differs(self, tensor: Tensor) -> dict[str, Any]:
        """What has changed since the last message, by the names of the attributes."""
        changes: dict[str, Any] = {}
        if not same(tensor.detach(), self.data):
            self.data = changes["data"] = copied(tensor)
        grad = tensor.grad if tensor.is_leaf else None
        if (grad is None) != (self.grad is None) or (
            grad is not None and self.grad is not None and not same(grad.detach(), self.grad)
        ):
            self.grad = changes["grad"] = None if grad is None else copied(grad)
        if tensor.is_leaf and tensor.requires_grad != self.requires_grad:
            self.requires_grad = changes["requires_grad"] = tensor.requires_grad
        return changes

    def accept(self, tensor: Tensor, changes: dict[str, Any]) -> None:
        """Make this side's copy equal to what the other side has sent."""
        if "data" in changes:
            self.data = changes["data"]
            if same_kind(tensor, self.data):
                with torch.no_grad():
                    tensor.detach().copy_(self.data)
            else:  # moved to another dtype or device, or resized
                tensor.data = self.data.clone()
        if "grad" in changes:
            self.grad = changes["grad"]
            if self.grad is None:
                tensor.grad = None
            elif tensor.grad is not None and same_kind(tensor.grad, self.grad):
                with torch.no_grad():
                    tensor.grad.copy_(self.grad)
            else:
                tensor.grad = self.grad.clone()
        if "requires_grad" in changes and tensor.is_leaf:
            self.requires_grad = changes["requires_grad"]
            tensor.requires_grad_(self.requires_grad)

    def size(self) -> int:
        """The bytes in memory of what this side holds for the other one, with the copies here."""
        if self.is_mine:
            return 0
        held = [x for x in (self.data, self.grad) if x is not None and not x.is_meta]
        return sum(2 * x.nbytes for x in held)


def copied(tensor: Tensor) -> Tensor:
    """The values of now, whatever happens to the tensor later."""
    return tensor.detach().clone(memory_format=torch.preserve_format)


def same_kind(a: Tensor, b: Tensor) -> bool:
    """Whether one can be overwritten by the other as it is."""
    return a.shape == b.shape and a.dtype == b.dtype and a.device.type == b.device.type


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the bit, NaN and the sign of zero included."""
    if not same_kind(a, b):
        return False
    if a.is_meta or a.numel() == 0:
        return True
    return torch.equal(bits(a), bits(b))


class Tensors:
    """The shared tensors of one side, by key.

    Args:
        prefix: what the keys of this side begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._table: dict[str, Shared] = {}
        self._keys: dict[int, str] = {}
        self._gone: deque[str] = deque()
        self._held = 0

    def key(self, tensor: Tensor) -> str | None:
        """The key of a tensor that is shared already."""
        return self._keys.get(id(tensor))

    def offer(self, tensor: Tensor) -> str:
        """Share a tensor of this side, as long as somebody here holds it."""
        key = f"{self._prefix}{next(self._numbers)}"
        number = id(tensor)

        def forget(_: object) -> None:
            if self._keys.get(number) == key:
                del self._keys[number]
                self._gone.append(key)

        self._add(key, tensor, weakref.ref(tensor, forget), is_mine=True)
        return key

    def adopt(self, key: str, tensor: Tensor) -> None:
        """Hold the twin of a tensor of the other side until that side lets it go."""
        if key in self._table:
            raise WireError(f"a second tensor {key!r}")
        self._add(key, tensor, lambda: tensor, is_mine=False)

    def _add(
        self, key: str, tensor: Tensor, get: Callable[[], Tensor | None], is_mine: bool
    ) -> None:
        grad = tensor.grad if tensor.is_leaf else None
        held = None if grad is None else copied(grad)
        # Of one that is not a leaf, only its own graph says whether it requires a gradient.
        entry = Shared(get, is_mine, copied(tensor), held, tensor.requires_grad)
        self._hold(entry.size())
        self._table[key] = entry
        self._keys[id(tensor)] = key

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > MOST_BYTES:
            raise WireError(f"the other side shares more than {MOST_BYTES} bytes of tensors")

    def get(self, key: str) -> tuple[Shared, Tensor] | None:
        """One entry, and its tensor."""
        entry = self._table.get(key)
        tensor = entry.get() if entry else None
        return (entry, tensor) if entry and tensor is not None else None

    def known(self, key: str) -> Tensor:
        """The tensor of an entry that must be there."""
        found = self.get(key)
        if found is None:
            raise WireError(f"no tensor {brief(key)}")
        return found[1]

    def accept(self, entry: Shared, tensor: Tensor, changes: dict[str, Any]) -> None:
        """Make one equal to what the other side has sent."""
        before = entry.size()
        entry.accept(tensor, changes)
        self._hold(entry.size() - before)

    def changes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What has changed here since the last message."""
        for key, entry in list(self._table.items()):
            tensor = entry.get()
            if tensor is not None and (changes := entry.differs(tensor)):
                yield key, changes

    def withdraw(self, keys: list[str]) -> None:
        """Share these of this side no more."""
        for key in keys:
            entry = self._table.pop(key, None)
            tensor = entry.get() if entry else None
            if entry is not None:
                self._held -= entry.size()
            if tensor is not None:
                self._keys.pop(id(tensor), None)
                self._gone.append(key)

    def let_go(self) -> list[str]:
        """The keys of this side's tensors that nobody holds any more; they are forgotten."""
        keys = []
        while self._gone:
            keys.append(self._gone.popleft())
            entry = self._table.pop(keys[-1], None)
            self._held -= entry.size() if entry else 0
        return keys

    def drop(self, key: str) -> None:
        """The other side has let go of its tensor."""
        entry = self._table.get(key)
        if entry is None or entry.is_mine:
            return
        del self._table[key]
        self._held -= entry.size()
        tensor = entry.get()
        if tensor is not None:
            self._keys.pop(id(tensor), None)


@dataclass
class Containers:
    """The shared lists, dictionaries and sets of one side, by key, each with its content then."""

    prefix: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _table: dict[str, tuple[Container, Any]] = field(default_factory=dict)
    _keys: dict[int, str] = field(default_factory=dict)

    def key(self, container: Container) -> str | None:
        """The key of one that is shared already."""
        return self._keys.get(id(container))

    def offer(self, container: Container) -> str | None:
        """Share one of this side, or None when there are too many."""
        if len(self._table) >= MOST_CONTAINERS:
            return None
        key = f"{self.prefix}{next(self._numbers)}"
        self.put(key, container)
        return key

    def put(self, key: str, container: Container) -> None:
        """Share one under this key, with the content that it has now."""
        if key in self._table or len(self._table) >= 2 * MOST_CONTAINERS:
            raise WireError(f"a second container {key!r}, or too many of them")
        self._table[key] = container, _content(container)
        self._keys[id(container)] = key

    def get(self, key: str) -> Container | None:
        """The one with this key."""
        return self._table[key][0] if key in self._table else None

    def changed(self) -> list[tuple[str, Container]]:
        """Those whose content is another one than at the last message."""
        found = []
        for key, (container, before) in self._table.items():
            now = _content(container)
            if len(now) != len(before) or any(x is not y for x, y in zip(now, before, strict=True)):
                self._table[key] = container, now
                found.append((key, container))
        return found

    def replace(self, key: str, content: Container) -> None:
        """Give one the content that the other side has sent."""
        container = self.get(key)
        if isinstance(container, list) and isinstance(content, list):
            container[:] = content
        elif isinstance(container, dict) and isinstance(content, dict):
            # Not emptied first: whoever reads it meanwhile sees the old values.
            for name in [n for n in container if n not in content]:
                del container[name]
            container.update(content)
            if [*container] != [*content]:
                for name in content:
                    container[name] = container.pop(name)
        elif isinstance(container, set) and isinstance(content, set):
            for item in container - content:
                container.discard(item)
            for item in content:  # one by one, as in `values`: a time limit must get in
                container.add(item)
        else:
            return
        self._table[key] = container, _content(container)

    def release(self, keys: list[str]) -> None:
        """Share these no more."""
        for key in keys:
            if key in self._table:
                self._keys.pop(id(self._table.pop(key)[0]), None)


def _content(container: Container) -> list[Any]:
    if isinstance(container, dict):
        return [x for pair in container.items() for x in pair]
    return list(container)


# ------------------------------------------------------------------------------------- modules


def structure(module: nn.Module) -> dict[str, object]:
    """Every parameter, buffer and child by `kind name`: what a change in place can replace."""
    parts: dict[str, object] = {}
    for kind, members in (
        ("parameter", module._parameters),
        ("buffer", module._buffers),
        ("module", module._modules),
    ):
        parts |= {f"{kind} {name}": member for name, member in members.items()}
    return parts


# ------------------------------------------------------------------------------ random numbers


class Sources:
    """The sources of random numbers that both sides have; number 0 is torch's global one.

    A draw on one side counts on the other, too. Only the judge adds to them.
    """

    def __init__(self) -> None:
        self._table = {0: (torch.default_generator, b"")}
        self._numbers = {id(torch.default_generator): 0}

    def number(self, generator: torch.Generator) -> int | None:
        """The number of one that both sides have."""
        return self._numbers.get(id(generator))

    def offer(self, generator: torch.Generator) -> dict[str, Any]:
        """Share one of this side, and describe it."""
        number = len(self._table)
        self._put(number, generator, _state_of(generator))
        device = generator.device.type
        return {"id": number, "device": device, "state": _text(_state_of(generator))}

    def adopt(self, shown: dict[str, Any]) -> None:
        """Make the twin of what `offer` has described."""
        generator = torch.Generator(shown["device"])
        self._put(shown["id"], generator, _set(generator, shown["state"]))

    def _put(self, number: int, generator: torch.Generator, state: bytes) -> None:
        self._table[number] = generator, state
        self._numbers[id(generator)] = number

    def get(self, number: int) -> torch.Generator:
        """The one with this number."""
        return self._table[number][0]

    def changes(self) -> list[list[Any]]:
        """The number and the state of each that was drawn from since the last message."""
        found: list[list[Any]] = []
        for number, (generator, before) in self._table.items():
            state = _state_of(generator)
            if state != before:
                self._table[number] = generator, state
                found.append([number, _text(state)])
        return found

    def accept(self, number: int, text: str) -> None:
        """Bring one into the state that the other side has sent."""
        generator = self.get(number)
        self._table[number] = generator, _set(generator, text)


def _state_of(generator: torch.Generator) -> bytes:
    return generator.get_state().numpy().tobytes()


def _text(state: bytes) -> str:
    return base64.b64encode(state).decode()


def _set(generator: torch.Generator, text: str) -> bytes:
    state = base64.b64decode(text)
    if generator.device.type == "cpu":
        _, left, _, place = _TWISTER.unpack_from(state)
        # Two numbers in it belong together. torch does not check it, and would read elsewhere.
        if left + place != 625 and (left, place) != (1, 0):
            raise WireError("an impossible state of a random number generator")
    generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
    return state


_TWISTER = struct.Struct("=QiiQ")  # seed, numbers left, whether it is seeded, place in the table
