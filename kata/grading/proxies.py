"""What stands, on one side, for an object that lives on the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import make_dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from kata.grading.peer import Peer

# Special methods that a proxy passes on. None that compares or computes: an answer whose `==` runs
# in the worker would be equal to everything.
SPECIAL = (
    *("__call__", "__len__", "__getitem__", "__setitem__", "__contains__"),
    *("__iter__", "__next__", "__enter__", "__exit__"),
)
# What a test may use of an object in the worker. An answer's own `in` would say yes to everything,
# and its own `with` could swallow what a failed assert raises.
OF_ANSWERS = tuple(n for n in SPECIAL if n not in ("__contains__", "__enter__", "__exit__"))


class Remote:
    """An object of the other side: its public names are there, and calls run there."""

    def __init__(self, peer: Peer, number: int, name: str) -> None:
        vars(self)["_remote"] = (peer, number, name)

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        if name.startswith("_"):
            raise AttributeError(name)
        return read(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        __tracebackhide__ = True
        peer, number, _ = vars(self)["_remote"]
        peer.request("set", on=number, name=name, values=[value])

    def __deepcopy__(self, memo: object) -> Any:
        peer, number, _ = vars(self)["_remote"]
        return peer.request("copy", on=number)

    def __repr__(self) -> str:
        return f"<{vars(self)['_remote'][2]}>"


def read(proxy: Any, name: str) -> Any:
    """The attribute of the object behind a proxy; a method of it comes as something to call."""
    __tracebackhide__ = True
    peer, number, label = vars(proxy)["_remote"]
    return peer.get(number, name, f"{label}.{name}")


def method(proxy: Any, name: str) -> Callable[..., Any]:
    """A method of the object behind a proxy."""
    peer, number, label = vars(proxy)["_remote"]

    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return peer.call(number, name, f"{label}.{name}", args, kwargs)

    call.__name__ = call.__qualname__ = name
    call.__self__ = proxy  # type: ignore[attr-defined]  # it lives as long as what it calls
    return call


def function(peer: Peer, number: int, name: str) -> Callable[..., Any]:
    """A function of the other side, or anything else of which only calls are wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return peer.call(number, "", name, args, kwargs)

    call.__name__ = call.__qualname__ = name
    call._remote = (peer, number, name)  # type: ignore[attr-defined]
    return call


@functools.lru_cache(maxsize=500)
def instance_class(
    name: str, special: frozenset[str], fields: tuple[str, ...] = ()
) -> type[Remote]:
    """A class of proxies whose objects have these special methods.

    With `fields` it counts as a dataclass, whose fields are read from the other side.
    """

    def passed_on(special_name: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any) -> Any:
            __tracebackhide__ = True
            peer, number, label = vars(self)["_remote"]
            shown = label if special_name == "__call__" else f"{label}.{special_name}"
            return peer.call(number, special_name, shown, args, {})

        def call_with_keywords(self: Any, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            peer, number, label = vars(self)["_remote"]
            return peer.call(number, special_name, f"{label}.__call__", args, kwargs)

        return call_with_keywords if special_name == "__call__" else call

    members: dict[str, Any] = {n: passed_on(n) for n in special}
    if "__next__" in special:  # what an iterator's own __iter__ returns is the iterator
        members["__iter__"] = _itself
    if "__len__" not in special:
        members["__bool__"] = lambda self: True
    if fields:  # made by a class that has them, without what `==` and `repr` would be
        known = vars(make_dataclass("Fields", fields))
        members["__dataclass_fields__"] = known["__dataclass_fields__"]
    return type(name, (Remote,), members)


def _itself(iterator: Iterator[Any]) -> Iterator[Any]:
    return iterator


class RemoteModule(nn.Module):
    """A module of the other side: its parameters, buffers and children are shared with it.

    What torch's Module does with them (`state_dict`, `to`, `parameters`) is done here. `forward`
    and every name that the other side's class defines or overrides are asked for there.
    """

    def __init__(self, peer: Peer, number: int, name: str, overrides: frozenset[str]) -> None:
        nn.Module.__init__(self)
        vars(self)["_remote"] = (peer, number, name)
        for own in overrides & OVERRIDABLE:
            vars(self)[own] = method(self, own)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module where it lives."""
        __tracebackhide__ = True
        peer, number, name = vars(self)["_remote"]
        return peer.call(number, "", f"{name}.forward", args, kwargs)

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        members = vars(self)
        for kind in ("_parameters", "_buffers", "_modules"):
            if name in members.get(kind, ()):
                return members[kind][name]
        if name.startswith("_") or "_remote" not in members:
            raise AttributeError(f"no attribute {name!r}")
        return read(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        __tracebackhide__ = True
        plain = not isinstance(value, (nn.Parameter, nn.Module)) and not name.startswith("_")
        known = name == "training" or any(
            name in vars(self).get(kind, ()) for kind in ("_parameters", "_buffers", "_modules")
        )
        if plain and not known and "_remote" in vars(self):
            peer, number, _ = vars(self)["_remote"]
            peer.request("set", on=number, name=name, values=[value])
        else:
            super().__setattr__(name, value)

    def __deepcopy__(self, memo: object) -> Any:
        peer, number, _ = vars(self)["_remote"]
        return peer.request("copy", on=number)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int | str) -> Any:
        children = self._modules
        return children[index] if isinstance(index, str) else list(children.values())[index]

    def __repr__(self) -> str:
        return f"<{vars(self)['_remote'][2]}>"

    def __bool__(self) -> bool:
        return True


@functools.lru_cache(maxsize=500)
def module_class(name: str, base: type[nn.Module]) -> type[RemoteModule]:
    """Modules of the other side of which this side knows a class that they derive from."""
    return RemoteModule if base is nn.Module else type(name, (RemoteModule, base), {})


# What a class may do in another way than torch's Module and a test may ask for.
OVERRIDABLE = frozenset(
    {
        "train",
        "eval",
        "state_dict",
        "load_state_dict",
        "parameters",
        "named_parameters",
        "extra_repr",
    }
)
