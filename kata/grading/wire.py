"""The wire between the judge and a worker: JSON heads with raw tensor bytes behind them.

A message is a head (JSON, at most HEAD_BYTES) and one block of bytes (at most BODY_BYTES) that the
tensors in the head point into. Nothing is ever unpickled on the judge's side: what a worker sends
is text, numbers, and bytes with a dtype and a shape, and each of them is checked before it is used.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from typing import Any

import torch
from torch import Tensor

HEAD_BYTES = 16 << 20
BODY_BYTES = 512 << 20
DEEPEST = 100
MOST_AXES = 64
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


class Wire:
    """One end of a connection; both ends send and receive whole messages."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, head: Any, body: list[bytes]) -> None:
        """Send one message.

        Raises:
            Closed: nobody is at the other end.
            WireError: it is larger than a message may be.
        """
        try:
            text = json.dumps(head, separators=(",", ":")).encode()
        except RecursionError:
            raise WireError("a value is nested too deeply to be sent") from None
        size = sum(map(len, body))
        if len(text) > HEAD_BYTES or size > BODY_BYTES:
            raise WireError(f"a message of {len(text)} + {size} bytes is too large")
        try:
            self._socket.sendall(b"".join([_LENGTHS.pack(len(text), size), text, *body]))
        except OSError as error:
            raise Closed(str(error)) from None

    def receive(self) -> tuple[dict[str, Any], memoryview]:
        """Wait for one message: its head, an object, and its body.

        Raises:
            Closed: nobody is at the other end.
            WireError: it is not a message.
        """
        head_size, body_size = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        if head_size > HEAD_BYTES or body_size > BODY_BYTES:
            raise WireError(f"a message of {head_size} + {body_size} bytes is too large")
        text, body = self._exactly(head_size), self._exactly(body_size)
        try:
            head = json.loads(bytes(text))
        except (ValueError, RecursionError) as error:
            raise WireError(f"a head is not JSON: {str(error)[:200]}") from None
        if not isinstance(head, dict):
            raise WireError("a head is not an object")
        return head, body

    def _exactly(self, size: int) -> memoryview:
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
        return memoryview(data)

    def close(self) -> None:
        """Give the connection up."""
        self._socket.close()


# ------------------------------------------------------------------------------------- tensors


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
        flat = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        shown["bytes"] = [sum(map(len, body)), len(data)]
        body.append(data)
    return shown


def tensor_from_wire(shown: Any, body: memoryview) -> Tensor:
    """The tensor that `tensor_to_wire` described.

    Raises:
        WireError: the description is impossible.
    """
    if not isinstance(shown, dict) or shown.get("dtype") not in DTYPES:
        raise WireError(f"not a tensor: {str(shown)[:200]}")
    dtype, shape = DTYPES[shown["dtype"]], _sizes(shown.get("shape"))
    if math.prod(shape) >= 1 << 62:
        raise WireError(f"a tensor of shape {shape}")
    if shown.get("device") == "meta":
        return torch.empty(shape, dtype=dtype, device="meta")
    place = shown.get("bytes")
    if not isinstance(place, list) or len(place) != 2 or not all(_is_size(n) for n in place):
        raise WireError("a tensor has no bytes")
    start, length = place
    if start + length > len(body) or length != math.prod(shape) * dtype.itemsize:
        raise WireError(f"{length} bytes for a {dtype} tensor of shape {shape}")
    if length:
        data = bytearray(body[start : start + length])
        flat = torch.frombuffer(data, dtype=torch.uint8)
        if dtype is torch.bool:
            flat = flat.ne(0)  # any other byte than 0 and 1 is no bool
        tensor = flat.view(dtype).reshape(shape)
    else:
        tensor = torch.empty(shape, dtype=dtype)
    if "stride" in shown:
        tensor = _strided(tensor, _sizes(shown["stride"]))
    device = shown.get("device")
    if device in ("cuda", "mps"):
        return tensor.to(device)
    if device != "cpu":
        raise WireError(f"a tensor on {str(device)[:40]!r}")
    return tensor


def _strided(tensor: Tensor, stride: list[int]) -> Tensor:
    """The same values with the same gaps in memory, where no two of them share a place."""
    if len(stride) != tensor.dim():
        raise WireError("a stride of another length than the shape")
    span = 1
    for step, size in sorted(zip(stride, tensor.shape, strict=True)):
        if size > 1 and step < span:
            return tensor  # an expanded tensor, say
        span = max(span, step * (size - 1) + 1) if size else span
        span = max(span, step * size) if size > 1 else span
    if span > 4 * max(tensor.numel(), 1):
        return tensor
    return torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype).copy_(tensor)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _sizes(value: Any) -> list[int]:
    if not isinstance(value, list) or len(value) > MOST_AXES or not all(map(_is_size, value)):
        raise WireError(f"not a shape: {str(value)[:200]}")
    return value
