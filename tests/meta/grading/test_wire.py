"""The wire: what arrives is what was sent, and what is malformed is refused, whatever it claims."""

import json
import socket
import struct
import threading
import tracemalloc

import pytest
import torch
from torch import nn

from kata.grading import wire
from kata.grading.wire import (
    DTYPES,
    Body,
    Closed,
    Unsendable,
    Wire,
    WireError,
    tensor_from_wire,
    tensor_to_wire,
)
from kata.properties import given, settings, st

LENGTHS = struct.Struct(">QQ")


def bits(tensor):
    """The values, bit by bit."""
    return (
        tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist()
        if tensor.numel()
        else []
    )


def sent(tensor):
    """A tensor as the other side gets it."""
    body = []
    head = json.loads(json.dumps(tensor_to_wire(tensor, body)))
    return tensor_from_wire(head, Body(bytearray(b"".join(body))))


# ------------------------------------------------------------------------------------- tensors


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4), (1,) * 9], ids=str)
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_every_dtype_and_shape_arrives(dtype, shape):
    tensor = (torch.randn(shape) * 3).to(dtype)
    got = sent(tensor)
    assert (got.dtype, got.shape, got.stride()) == (dtype, tensor.shape, tensor.stride())
    assert bits(got) == bits(tensor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_special_values_arrive_to_the_bit(dtype):
    values = [torch.nan, -torch.nan, -0.0, 0.0, torch.inf, -torch.inf, torch.finfo(dtype).tiny / 2]
    tensor = torch.tensor(values, dtype=dtype)
    assert bits(sent(tensor)) == bits(tensor)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.T,
        lambda x: x[:, ::2],
        lambda x: x[1:, 1:],
        lambda x: x.reshape(2, 2, 3, 2).permute(3, 1, 0, 2),
        lambda x: x.reshape(1, 4, 3, 2).to(memory_format=torch.channels_last),
        lambda x: x[:, :0],
        lambda x: x[0, 0],
    ],
)
def test_layout_in_memory_is_kept(make):
    tensor = make(torch.arange(24.0).reshape(4, 6))
    got = sent(tensor)
    assert torch.equal(got, tensor)
    assert got.is_contiguous() == tensor.is_contiguous()
    if tensor.numel():
        assert got.stride() == tensor.stride()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(3.0).expand(4, 3),
        torch.arange(9.0).as_strided((3, 3), (1, 1)),  # rows that overlap
        torch.arange(1000.0)[::100],  # would take much more memory than it has values
        torch.complex(torch.randn(3), torch.randn(3)).conj(),
        torch.complex(torch.randn(3), torch.randn(3)).conj().imag[:1],
    ],
    ids=["expanded", "overlapping", "far apart", "conjugated", "negated"],
)
def test_what_shares_memory_arrives_as_values(tensor):
    got = sent(tensor)
    assert torch.equal(got, tensor)
    assert got.is_contiguous()


def test_meta_tensors_have_no_bytes():
    tensor = torch.empty(5, 7, 2**40, dtype=torch.bfloat16, device="meta").transpose(0, 1)
    body = []
    shown = tensor_to_wire(tensor, body)
    got = tensor_from_wire(shown, Body(bytearray()))
    assert body == []
    assert got.is_meta
    assert (got.shape, got.stride(), got.dtype) == (tensor.shape, tensor.stride(), tensor.dtype)


def test_what_arrives_is_an_ordinary_tensor_of_its_own():
    tensor = nn.Parameter(torch.ones(2, 3))
    got = sent(tensor)
    assert type(got) is torch.Tensor
    assert not got.requires_grad
    got.resize_(5, 5).fill_(7)
    assert tensor.sum() == 6


def test_several_tensors_share_a_body():
    tensors = [torch.randn(3), torch.tensor(True), torch.randn(0), torch.arange(4)]
    body = []
    shown = [tensor_to_wire(x, body) for x in tensors]
    whole = Body(bytearray(b"".join(body)))
    assert [bits(tensor_from_wire(x, whole)) for x in reversed(shown)] == [
        bits(x) for x in reversed(tensors)
    ]


# --------------------------------------------------------------------------- malformed tensors

GOOD = {"dtype": "float32", "shape": [2, 2], "device": "cpu", "bytes": [0, 16]}
BAD = {
    "dtype": ["float3", "torch.float32", "qint8", "", None, [], {}, 3, ["float32"]],
    "shape": [
        *(None, 4, "22", {}, [2], [2, 3], [-2, -2], [2.0, 2], [True, 4], [2, None], [[2], 2]),
        *([1] * 100 + [2, 2], [2**62], [2**31, 2**31], [2**61, 8], [10**300, 1], [0, 2**61]),
    ],
    "device": ["gpu", "", None, [], 0, "cpu:9", "cuda", "mps", "/etc/passwd"],
    "bytes": [
        *(None, 16, [], [0], [0, 16, 0], "0 16", {}, [0, "16"], [0.0, 16], [1, 16], [17, 0]),
        *([-16, 16], [0, -16], [0, 17], [0, 15], [0, 2**62], [2**62, 16], [10**300, 16]),
    ],
    "stride": [None, 2, [2], [2, 1, 1], [-2, 1], [2, 0.5], ["2", 1], [10**300, 1]],
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="not run: this machine has a GPU")
@pytest.mark.skipif(torch.backends.mps.is_available(), reason="not run: this machine has a GPU")
@pytest.mark.parametrize(
    ("name", "value"),
    [(n, v) for n, values in BAD.items() for v in values],
    ids=lambda x: str(x)[:20],
)
def test_impossible_tensors_are_refused(name, value):
    with pytest.raises(WireError):
        tensor_from_wire(GOOD | {name: value}, Body(bytearray(16)))


@pytest.mark.parametrize("name", list(GOOD))
def test_a_tensor_needs_every_key(name):
    with pytest.raises(WireError):
        tensor_from_wire({k: v for k, v in GOOD.items() if k != name}, Body(bytearray(16)))


@pytest.mark.parametrize("shown", [None, 0, "tensor", [], [GOOD], {}])
def test_what_describes_no_tensor_is_refused(shown):
    with pytest.raises(WireError):
        tensor_from_wire(shown, Body(bytearray(16)))


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("float64", [2**61]),
        ("uint8", [0, 2**61, 2**61]),
        ("uint8", [2**40, 2**40]),
        ("int8", [2] * 65),
    ],
)
def test_impossible_sizes_are_refused_on_the_meta_device_too(dtype, shape):
    with pytest.raises(WireError):
        tensor_from_wire({"dtype": dtype, "shape": shape, "device": "meta"}, Body(bytearray()))


def test_no_byte_becomes_two_tensors():
    body = Body(bytearray(24))
    tensor_from_wire(GOOD, body)
    with pytest.raises(WireError, match="fewer bytes"):
        tensor_from_wire(GOOD, body)


def test_a_claimed_size_takes_no_memory():
    tracemalloc.start()
    try:
        for size in (2**28, 2**40, 2**61):
            with pytest.raises(WireError):
                tensor_from_wire(
                    GOOD | {"shape": [size], "bytes": [0, 4 * size]}, Body(bytearray(16))
                )
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_byte_that_is_no_bool_becomes_one():
    shown = {"dtype": "bool", "shape": [4], "device": "cpu", "bytes": [0, 4]}
    got = tensor_from_wire(shown, Body(bytearray([0, 1, 2, 255])))
    assert bits(got) == [0, 1, 1, 1]


@pytest.mark.parametrize("stride", [[0, 0], [1, 1], [2**61, 2**60], [100, 1], [3, 2]])
def test_a_stride_that_is_unwise_is_left_out(stride):
    got = tensor_from_wire(GOOD | {"stride": stride}, Body(bytearray(16)))
    assert got.untyped_storage().nbytes() <= 4 * 16
    assert got.tolist() == [[0.0, 0.0], [0.0, 0.0]]


# ------------------------------------------------------------------------------------- messages


class Line:
    """A wire, and the bare socket at its other end."""

    def __init__(self):
        self.bare, mine = socket.socketpair()
        self.wire = Wire(mine)

    def close(self):
        self.bare.close()
        self.wire.close()

    def write(self, data):
        """Have these bytes arrive, and nothing after them."""
        writer = threading.Thread(target=self._write, args=(data,))
        writer.start()
        return writer

    def _write(self, data):
        try:
            self.bare.sendall(data)
            self.bare.shutdown(socket.SHUT_WR)
        except OSError:  # nobody listens any more
            pass


@pytest.fixture
def line():
    line = Line()
    yield line
    line.close()


def frame(head, body=b""):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


@pytest.mark.parametrize("size", [0, 1, 100, 1_000_000])
def test_whole_messages_arrive(line, size):
    other = Wire(line.bare)
    head = {"op": "call", "values": ["ü" * size, float("inf"), -0.0, None], "text": "\ud800"}
    sender = threading.Thread(target=lambda: [other.send(head, [b"ab", b"c" * size])] * 2)
    sender.start()
    got, body = line.wire.receive()
    sender.join()
    assert got == head
    assert bytes(body.take([1, size + 1], size + 1)) == b"b" + b"c" * size


def test_nan_arrives(line):
    Wire(line.bare).send({"x": float("nan")}, [])
    assert line.wire.receive()[0]["x"] != line.wire


def refused(line, data, error=WireError, match=None):
    writer = line.write(data)
    with pytest.raises(error, match=match):
        line.wire.receive()
    line.wire.close()
    writer.join(5)
    assert not writer.is_alive()


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0" * 15, LENGTHS.pack(2, 0), LENGTHS.pack(2, 1) + b"{}", frame({})[:-1]]
)
def test_a_message_that_breaks_off_is_the_end(line, data):
    refused(line, data, Closed)


@pytest.mark.parametrize("claim", [(2**64 - 1, 0), (0, 2**64 - 1), (wire.HEAD_BYTES + 1, 0)])
def test_too_large_a_message_is_refused_unread(line, claim):
    refused(line, LENGTHS.pack(*claim), match="too large")


def test_a_claimed_length_takes_no_memory(line):
    tracemalloc.start()
    try:
        refused(line, LENGTHS.pack(wire.HEAD_BYTES, wire.BODY_BYTES) + b"{", Closed)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"\x80",
        b"[]",
        b"3",
        b"null",
        b'"op"',
        b'{"a":1}{"b":2}',
        b"{'a':1}",
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"cos\nsystem\n(S'true'\ntR.",
    ],
    ids=lambda head: repr(head[:20]),
)
def test_what_is_no_object_in_json_is_refused(line, head):
    refused(line, frame(head))


def test_small_things_in_masses_are_refused(line):
    refused(
        line, frame(b'{"a":[' + b"[]," * wire.MOST_VALUES + b"0]}"), match="values in one message"
    )


@pytest.mark.parametrize(
    "head",
    [
        {"x": "a" * (wire.HEAD_BYTES + 1)},
        {"x": 10**5000},
    ],
    ids=["long", "digits"],
)
def test_what_cannot_be_sent_leaves_the_wire_as_it_was(line, head):
    other = Wire(line.bare)
    with pytest.raises(Unsendable):
        other.send(head, [])
    other.send({"next": 1}, [])
    assert line.wire.receive()[0] == {"next": 1}


def test_a_value_without_end_cannot_be_sent(line):
    endless = []
    endless.append(endless)
    with pytest.raises(Unsendable):
        line.wire.send({"x": endless}, [])


def test_to_send_to_nobody_is_the_end(line):
    line.bare.close()
    with pytest.raises(Closed):
        line.wire.send({"x": "a" * 1_000_000}, [])


# ------------------------------------------------------------------------------------- anything

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


def all_of(data):
    """What a wire says to these bytes: whole messages, until a WireError."""
    line = Line()
    writer = line.write(data)
    got = []
    try:
        while len(got) < 100:
            got.append(line.wire.receive())
    except WireError:
        return got
    finally:
        line.close()
        writer.join()
    raise AssertionError("more messages than bytes")


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_message(data):
    all_of(data)
    all_of(LENGTHS.pack(len(data), 0) + data)


@settings(max_examples=100)
@given(anything)
def test_any_object_arrives_and_nothing_else(head):
    got = all_of(frame(head))
    assert len(got) == isinstance(head, dict)


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_message_is_refused_or_a_message(data):
    good = frame({"op": "return", "value": GOOD, "news": {"tensors": []}}, bytes(16)) * 2
    place = data.draw(st.integers(0, len(good) - 1))
    end = data.draw(st.integers(place, min(place + 9, len(good))))
    all_of(good[:place] + data.draw(st.binary(max_size=9)) + good[end:])


sizes = st.sampled_from([0, 1, 2, 4, 16, -1, 2**31, 2**61, 2**62, 2**64])
places = st.lists(sizes, max_size=4) | anything


@settings(max_examples=500)
@given(st.fixed_dictionaries({}, optional={n: places | st.sampled_from([GOOD[n]]) for n in GOOD}))
def test_a_mutated_tensor_is_refused_or_within_its_bytes(changes):
    shown = GOOD | {"stride": [2, 1]} | changes
    try:
        tensor = tensor_from_wire(shown, Body(bytearray(range(16))))
    except WireError:
        return
    assert type(tensor) is torch.Tensor
    assert tensor.is_meta or tensor.untyped_storage().nbytes() <= 4 * 16
