"""The wire between the judge and a worker: JSON heads with raw tensor bytes behind them.

A message is a head (JSON, at most HEAD_BYTES) and one block of bytes (at most BODY_BYTES) that the
tensors in the head point into. Nothing is ever unpickled on the judge's side: what a worker sends
is text, numbers, and bytes with a dtype and a shape, and each of them is checked before it is used.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import struct
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from kata.text import brief

HEAD_BYTES = 16 << 20
BODY_BYTES = 512 << 20
DEEPEST = 100
MOST_AXES = 64
MOST_VALUES = 2_000_000  # in one message: as Python objects they take a hundred times their text
_LENGTHS = struct.Struct(">QQ")
_CHUNK = 1 << 20

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
        *(torch.complex64, torch.complex128),
    )
}


class WireError(Exception):
    """The other side does not keep to the protocol; nothing that it says is believed any more."""


class Closed(WireError):
    """The other side is gone."""


class Unsendable(Exception):
    """A value of this side is too large, or nested too deeply, for a message."""


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Whatever Python and torch raise at a malformed message becomes a WireError."""
    try:
        yield
    except WireError:
        raise
    except Exception as error:
        raise WireError(f"not a message: {type(error).__name__}: {str(error)[:200]}") from None


class Wire:
    """One end of a connection; both ends send and receive whole messages."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, head: dict[str, Any], body: list[bytes]) -> None:
        """Send one message.

        Raises:
            Closed: nobody is at the other end.
            Unsendable: it is larger than a message may be; nothing was sent.
        """
        try:
            text = json.dumps(head, separators=(",", ":")).encode()
        except (RecursionError, ValueError) as error:  # Python refuses to write thousands of digits
            raise Unsendable(f"a value cannot be sent: {error}") from None
        size = sum(map(len, body))
        if len(text) > HEAD_BYTES or size > BODY_BYTES:
            raise Unsendable(f"a message of {len(text)} + {size} bytes is too large")
        try:
            self._socket.sendall(b"".join([_LENGTHS.pack(len(text), size), text, *body]))
        except OSError as error:
            raise Closed(str(error)) from None

    def receive(self) -> tuple[dict[str, Any], Body]:
        """Wait for one message: its head, an object, and its body.

        Raises:
            Closed: nobody is at the other end.
            WireError: it is not a message.
        """
        head_size, body_size = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        if head_size > HEAD_BYTES or body_size > BODY_BYTES:
            raise WireError(f"a message of {head_size} + {body_size} bytes is too large")
        text, body = self._exactly(head_size), self._exactly(body_size)
        if sum(map(text.count, b"[{,")) > MOST_VALUES:
            raise WireError(f"more than {MOST_VALUES} values in one message")
        with reading():
            head = json.loads(text)
        if not isinstance(head, dict):
            raise WireError("a head is not an object")
        return head, Body(body)

    def _exactly(self, size: int) -> bytearray:
        # The buffer grows with what arrives: a length that is only claimed costs nothing.
        data = bytearray()
        while len(data) < size:
            try:
                piece = self._socket.recv(min(_CHUNK, size - len(data)))
            except OSError as error:
                raise Closed(str(error)) from None
            if not piece:
                raise Closed("the connection was closed")
            data += piece
        return data

    def close(self) -> None:
        """Give the connection up."""
        self._socket.close()


class Body:
    """The bytes behind a head.

    All that is taken together is no longer than the body: else a few bytes, named again and again,
    would become a tensor each time.
    """

    def __init__(self, data: bytearray) -> None:
        self._data = memoryview(data)
        self._left = len(data)

    def take(self, place: Any, length: int) -> memoryview:
        """The bytes at `place`, a pair of start and length.

        Raises:
            WireError: they are not there, or not `length` of them.
        """
        if not isinstance(place, list) or len(place) != 2 or not all(map(_is_size, place)):
            raise WireError(f"no place in a body: {brief(place)}")
        start, size = place
        if size != length:
            raise WireError(f"{size} bytes, where {length} are wanted")
        self._left -= size
        if start + size > len(self._data) or self._left < 0:
            raise WireError("a message has fewer bytes than its values take")
        return self._data[start : start + size]


# ------------------------------------------------------------------------------------- tensors


def bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor that is not empty, in the order of its elements."""
    flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    # One that holds a single element counts as contiguous whatever its stride is.
    return flat.as_strided(flat.shape, (1,)).view(torch.uint8)


def tensor_to_wire(tensor: Tensor, body: list[bytes]) -> dict[str, Any]:
    """Describe a plain dense tensor, and append its bytes to `body`."""
    shown: dict[str, Any] = {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "device": tensor.device.type,
    }
    if not tensor.is_contiguous():
        shown["stride"] = list(tensor.stride())
    if not tensor.is_meta:
        data = bits(tensor.cpu()).numpy().tobytes() if tensor.numel() else b""
        shown["bytes"] = [sum(map(len, body)), len(data)]
        body.append(data)
    return shown


def tensor_from_wire(shown: Any, body: Body) -> Tensor:
    """The tensor that `tensor_to_wire` described.

    Raises:
        WireError: the description is impossible.
    """
    with reading():
        dtype, shape, device = DTYPES[shown["dtype"]], _sizes(shown["shape"]), shown["device"]
        if device == "meta":
            tensor = torch.empty(shape, dtype=dtype, device="meta")
        else:
            data = body.take(shown["bytes"], math.prod(shape) * dtype.itemsize)
            tensor = _filled(shape, dtype, data)
        if "stride" in shown:
            tensor = _strided(tensor, _sizes(shown["stride"]))
        if device not in ("cpu", "cuda", "mps", "meta"):
            raise WireError(f"a tensor on {brief(device)}")
        return tensor.to(device)


def _filled(shape: list[int], dtype: torch.dtype, data: memoryview) -> Tensor:
    if not data:
        return torch.empty(shape, dtype=dtype)
    flat = torch.frombuffer(data, dtype=torch.uint8)
    if dtype is torch.bool:
        flat = flat.ne(0)  # any other byte than 0 and 1 is no bool
    return flat.view(dtype).reshape(shape).clone()  # a tensor of its own, no view


def _strided(tensor: Tensor, stride: list[int]) -> Tensor:
    """The same values with the same gaps in memory, where no two of them share a place."""
    if len(stride) != tensor.dim():
        raise WireError("a stride of another length than the shape")
    span = 1
    for step, size in sorted(zip(stride, tensor.shape, strict=True)):
        if size > 1 and step < span:
            return tensor  # an expanded tensor, say
        span += step * (size - 1)
    if tensor.numel() == 0 or span > 4 * tensor.numel():
        return tensor
    spread = torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype, device=tensor.device)
    return spread.copy_(tensor)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _sizes(value: Any) -> list[int]:
    if not isinstance(value, list) or len(value) > MOST_AXES or not all(map(_is_size, value)):
        raise WireError(f"not a shape: {brief(value)}")
    return value
