"""The modes of torch in which a call is made: it runs on the other side in the same ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode_stack

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def modes_to_wire() -> dict[str, Any]:
    """Whether gradients are recorded, the autocast, and the device of new tensors."""
    device = torch.get_default_device()
    shown = None if device.type == "cpu" else str(device)
    return {"grad": torch.is_grad_enabled(), "cast": _autocast(), "device": shown}


def _autocast() -> list[str] | None:
    for device in ("cpu", "cuda", "mps"):
        if torch.is_autocast_enabled(device):
            return [device, str(torch.get_autocast_dtype(device)).removeprefix("torch.")]
    return None


@contextlib.contextmanager
def as_there(head: dict[str, Any]) -> Iterator[None]:
    """With the modes of torch in which the other side asks."""
    device = torch.device(str(head["device"])) if head.get("device") else contextlib.nullcontext()
    with torch.set_grad_enabled(bool(head.get("grad", True))), _cast(head.get("cast")), device:
        yield


def _cast(shown: Any) -> contextlib.AbstractContextManager[Any]:
    if not isinstance(shown, list):
        return contextlib.nullcontext()
    return torch.autocast(str(shown[0]), dtype=DTYPES.get(str(shown[1]), torch.float32))


@contextlib.contextmanager
def no_default_device() -> Iterator[None]:
    """With new tensors on the CPU: those that cross say themselves where they are."""
    if torch.get_default_device().type == "cpu":
        yield
        return
    with torch.device("cpu"):
        yield


@contextlib.contextmanager
def uncounted() -> Iterator[list[Any]]:
    """Keep what crosses the wire out of the counts of a `Watch`, and give these back."""
    active = [m for m in _get_current_dispatch_mode_stack() if type(m).__name__ == "Watch"]
    if not active:
        yield []
        return
    with _disable_current_modes():
        yield active


@contextlib.contextmanager
def counted(wanted: bool) -> Iterator[list[Any]]:
    """Count what torch does, where the other side has a `Watch` on it."""
    if not wanted:
        yield []
        return
    from kata.tensors import Watch

    with Watch() as watch:
        yield [watch]
