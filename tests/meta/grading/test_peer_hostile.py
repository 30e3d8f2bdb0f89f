"""What a worker may not do: one that speaks the protocol by hand tells every kind of lie."""

import base64
import contextlib
import json
import pickle
import signal
import socket
import struct
import sys
import threading
import time

import pytest
import torch
from torch import nn

from kata.answer import Unusable
from kata.grading import graphs, peer, sharing, values
from kata.grading.peer import Peer
from kata.grading.wire import HEAD_BYTES, Closed, Wire, WireError
from kata.properties import given, settings, st
from kata.tensors import Watch

pytestmark = pytest.mark.timeout(30)
LENGTHS = struct.Struct(">QQ")
REPLY = {"op": "return", "value": None, "news": {}, "new": [], "watched": []}
RAISE = {"op": "raise", "error": {"types": ["builtins.ValueError"], "text": "x"}}
REQUEST = {"op": "call", "values": [], "news": {}, "new": [], "watched": []}
FOUR = {"dtype": "float32", "shape": [4], "device": "cpu", "bytes": [0, 16]}
NEW = FOUR | {"t": "w1", "requires": True, "parameter": True}
OF_MODULE = {"k": "handle", "of": "module", "id": 1, "name": "M", "training": True}
MODULE = OF_MODULE | {"overrides": [], "persistent": [], "parts": []}
HANDLE = {"k": "handle", "id": 1, "of": "object", "special": [], "name": "X"}


class Liar:
    """The judge's side, and what it will hear from the worker."""

    def __init__(self):
        self.bare, mine = socket.socketpair()
        self.bare.settimeout(20)
        self.peer = Peer(Wire(mine), is_judge=True)

    def says(self, *messages, body=b""):
        """Have these arrive, each with the same body."""
        data = b"".join(_frame(head, body) for head in messages)
        threading.Thread(target=self._write, args=(data,), daemon=True).start()

    def _write(self, data):
        with contextlib.suppress(OSError):
            self.bare.sendall(data)

    def heard(self):
        """The next message of the judge's."""
        return Wire(self.bare).receive()[0]

    def call(self, *args, **kwargs):
        return self.peer.call(1, "", "f", args, kwargs)

    def close(self):
        self.bare.close()
        self.peer._wire.close()


def _frame(head, body):
    text = json.dumps(head).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


@pytest.fixture
def liar():
    liar = Liar()
    yield liar
    liar.close()


def refused(liar, *messages, args=(), body=bytes(16), match=None):
    liar.says(*messages, body=body)
    with pytest.raises(Unusable, match=match) as caught:
        liar.call(*args)
    assert isinstance(caught.value.error, WireError)


# --------------------------------------------------------------------------------------- values


class Bomb:
    def __reduce__(self):
        return (print, ("boom",))


@pytest.mark.parametrize("where", ["value", "made", "base"])
def test_nothing_is_unpickled(liar, where, capsys):
    bomb = {"k": "pickle", "v": base64.b64encode(pickle.dumps(Bomb())).decode(), "with": []}
    value = bomb if where == "value" else MODULE | {where: bomb}
    refused(liar, REPLY | {"value": value}, match="pickle")
    assert capsys.readouterr().out == ""


NO_VALUES = [
    *({}, {"k": "nothing"}, {"k": None}, {"k": []}, {"k": {}}, {"v": 1}, {"k": "list"}),
    *({"k": "tuple", "v": 3}, {"k": "tuple", "v": None}, {"k": "tuple"}),
    *({"k": "set", "v": [[1]]}, {"k": "set", "v": [{"k": "dict"}]}, {"k": "frozenset", "v": [[]]}),
    *({"k": "dict", "cls": "dict", "v": [[1]]}, {"k": "dict", "cls": "type", "v": []}),
    *({"k": "dict", "cls": [], "v": []}, {"k": "dict", "cls": "dict", "v": [[[], 1]]}),
    *({"k": "dict", "v": []}, {"k": "dict", "cls": "defaultdict", "v": []}),
    *({"k": "same", "c": "w1"}, {"k": "same", "c": []}, {"k": "same", "c": "j99"}, {"k": "same"}),
    *({"k": "list", "c": "j5", "v": []}, {"k": "list", "c": "w" * 30, "v": []}),
    *({"k": "yours", "id": 99}, {"k": "yours", "id": -1}, {"k": "yours", "id": "1"}),
    *({"k": "yours", "id": True}, {"k": "yours", "id": None}, {"k": "yours", "id": [1]}),
    *({"k": "yours", "id": 1.0}, {"k": "yours", "id": 10**400}, {"k": "yours"}),
    *({"k": "shared", "t": "w9"}, {"k": "shared", "t": "j9"}, {"k": "shared", "t": {}}),
    *({"k": "out", "i": 0}, {"k": "out", "i": -1}, {"k": "out", "i": "0"}, {"k": "out"}),
    *({"k": "tensor", "v": None}, {"k": "tensor", "v": FOUR | {"shape": [5]}}, {"k": "tensor"}),
    *({"k": "tensor", "v": FOUR | {"shape": [2**62]}}, {"k": "tensor", "v": FOUR | {"dtype": "x"}}),
    *({"k": "tensor", "v": FOUR | {"device": "meta", "shape": [2**61], "dtype": "float64"}},),
    *({"k": "bytes", "v": 3}, {"k": "bytes", "v": "ü"}, {"k": "bytes", "v": "a"}, {"k": "bytes"}),
    *({"k": "range", "v": []}, {"k": "range", "v": ["a"]}, {"k": "range", "v": [0, 1, 0]}),
    *({"k": "slice", "v": []}, {"k": "complex", "v": ["x"]}, {"k": "complex", "v": [10**400]}),
    *({"k": "size", "v": ["a"]}, {"k": "size", "v": None}),
    *({"k": "dtype", "v": "x"}, {"k": "dtype", "v": []}, {"k": "dtype", "v": "Tensor"}),
    *({"k": "device", "v": "x"}, {"k": "device", "v": ""}, {"k": "device", "v": "cpu:"}),
    *({"k": "device", "v": None}, {"k": "path", "v": 3}, {"k": "path", "v": None}),
    *({"k": "generator", "id": 7}, {"k": "generator"}, {"k": "generator", "id": []}),
    *({"k": "generator", "new": {"id": 0, "device": "cpu", "state": ""}},),
    *({"k": "named", "name": "P", "fields": ["a"], "v": []},),
    *({"k": "named", "name": "P", "fields": ["class"], "v": [1]},),
    *({"k": "named", "name": "P", "fields": ["__class__"], "v": [1]},),
    *({"k": "named", "name": "P", "fields": ["_replace"], "v": [1]},),
    *({"k": "named", "name": "P", "fields": ["a", "a"], "v": [1, 2]},),
    *({"k": "named", "name": "P", "fields": ["a=print(1)"], "v": [1]},),
    *({"k": "named", "name": "P q", "fields": ["a"], "v": [1]},),
    *({"k": "named", "name": None, "fields": ["a"], "v": [1]},),
    *({"k": "named", "name": "P", "fields": [f"a{i}" for i in range(5000)], "v": [0] * 5000},),
    *({"k": "named", "name": "P", "fields": [[]], "v": [1]}, {"k": "named"}),
    *(HANDLE | {"fields": f} for f in (3, [[]], ["a b"], ["class"], ["a", "a"], ["a"] * 300)),
    *(HANDLE | {"id": None}, HANDLE | {"id": "1"}, HANDLE | {"id": True}, {"k": "handle"}),
    *(
        HANDLE | {"special": 3},
        HANDLE | {"special": [[]]},
        {"k": "handle", "id": 1, "of": "object"},
    ),
    *(OF_MODULE | {"again": True}, OF_MODULE, MODULE | {"parts": [["weight", 1]]}),
    *(MODULE | {"parts": [["parameter weight", 1]]}, MODULE | {"parts": [["module x", [1]]]}),
    *(MODULE | {"parts": [["class x", None]]}, MODULE | {"parts": [[3, None]]}),
    *(MODULE | {"parts": [["_dict x", None]]}, MODULE | {"parts": 3}, MODULE | {"overrides": 3}),
    *(MODULE | {"parts": [["module x", {"k": "yours", "id": 1}]]}, MODULE | {"persistent": [[]]}),
]


@pytest.mark.parametrize("value", NO_VALUES, ids=lambda x: json.dumps(x)[:60])
def test_what_is_no_value_is_refused(liar, value):
    refused(liar, REPLY | {"value": value})


ARRAY = {"k": "array", "dtype": "<f4", "shape": [4], "bytes": [0, 16], "scalar": False}


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"dtype": d}
            for d in ("O", "V4", "f4,f4", "(4,)f4", "<U4", "f4,(" * 9, "M8[s]", None, [])
        ),
        *({"dtype": d} for d in ("<f4\n", "|O8", "<i99", "{'names':['a']}", "f" * 9999)),
        *(
            {"shape": s}
            for s in ([5], [-4], [2, 3], ["4"], None, 4, [4.0], [2**62, 2**62], [0, 2**70])
        ),
        *({"bytes": b} for b in ([0, 17], [1, 16], [0], None, [0, -16], "ab", [[], []])),
    ],
    ids=lambda x: json.dumps(x)[:40],
)
def test_what_is_no_array_is_refused(liar, change):
    refused(liar, REPLY | {"value": ARRAY | change})


def test_the_same_bytes_are_no_thousand_arrays(liar):
    refused(liar, REPLY | {"value": [ARRAY] * 1000}, match="fewer bytes")


def nested(depth):
    value = None
    for _ in range(depth):
        value = {"k": "tuple", "v": [value]}
    return value


@pytest.mark.parametrize("depth", [102, 200, 300])
def test_deep_values_are_refused(liar, depth):
    refused(liar, REPLY | {"value": nested(depth)})


def test_many_values_are_refused(liar):
    refused(liar, REPLY | {"value": [[] for _ in range(2_100_000)]}, match="values in one message")


# ----------------------------------------------------------------------------------------- news


@pytest.mark.parametrize(
    "reply",
    [
        *(
            {"op": "return"},
            {"op": "return", "value": 1},
            REPLY | {"news": None},
            REPLY | {"new": 3},
        ),
        *(REPLY | {"news": [1]}, REPLY | {"new": [1]}, REPLY | {"watched": None}),
        *(
            REPLY | {"new": [FOUR]},
            REPLY | {"new": [NEW | {"t": "j1"}]},
            REPLY | {"new": [NEW] * 2},
        ),
        *(REPLY | {"new": [NEW | {"dtype": "int32"}]}, REPLY | {"new": [NEW | {"t": 5}]}),
        *(REPLY | {"new": [NEW | {"grad": FOUR | {"shape": [2, 2]}}]},),
        *({"op": "raise"}, REPLY | {"op": "raise", "error": None}, RAISE),
        *(REPLY | {"op": "raise"}, REPLY | {"op": "raise", "error": 3}),
        *(REPLY | {"op": "raise", "error": {"own": []}},),
    ],
    ids=lambda x: json.dumps(x)[:60],
)
def test_what_is_no_reply_is_refused(liar, reply):
    refused(liar, reply, body=bytes(64))


NO_NEWS = [
    *({"tensors": 3}, {"tensors": [3]}, {"tensors": [{}]}, {"tensors": [{"t": []}]}),
    *(
        {"tensors": [{"t": "j1", "data": 3}]},
        {"tensors": [{"t": "j1", "data": FOUR | {"dtype": []}}]},
    ),
    *({"tensors": [{"t": "j1", "grad": FOUR | {"shape": [4, 1]}}]},),
    *({"tensors": [{"t": "j1", "grad": FOUR | {"dtype": "int32"}}]},),
    *({"tensors": [{"t": "j1", "data": FOUR | {"dtype": "int32"}, "requires_grad": True}]},),
    *({"modules": 3}, {"modules": [3]}, {"modules": [{"id": 1}]}, {"modules": [{"of": "yours"}]}),
    *({"modules": [{"id": 99, "of": "yours", "parts": [], "gone": [], "training": 1}]},),
    *({"modules": [{"id": 1, "of": "yours", "parts": [["__class__ x", 1]], "gone": []}]},),
    *({"modules": [{"id": 1, "of": "yours", "parts": [["parameter a", [1]]], "gone": []}]},),
    *({"modules": [{"id": 1, "of": "yours", "parts": [], "gone": ["dict x"], "training": 1}]},),
    *({"modules": [{"id": 1, "of": "yours", "parts": [], "gone": [3], "training": 1}]},),
    *(
        {"lists": 3},
        {"lists": [3]},
        {"lists": [[[], []]]},
        {"lists": [["j1"]]},
        {"lists": [[1, 1]]},
    ),
    *({"sources": 3}, {"sources": [[0]]}, {"sources": [[9, ""]]}, {"sources": [[[], ""]]}),
    *({"sources": [[0, "AAAA"]]}, {"sources": [[0, 3]]}, {"sources": [[0, "A" * 6744]]}),
    *({"free": 3}, {"free": [3]}, {"free": [["all", 1]]}, {"free": [["object", []]]}),
    *({"free": [["tensor", []]]}, {"free": [["object"]]}),
]


@pytest.mark.parametrize("news", NO_NEWS, ids=lambda x: json.dumps(x)[:60])
def test_what_is_no_news_is_refused(liar, news):
    args = nn.Linear(2, 2), torch.ones(4, requires_grad=True)
    state = torch.get_rng_state()
    refused(liar, REPLY | {"news": news}, args=args)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "news",
    [
        {"tensors": [{"t": "w1", "data": FOUR}, {"t": "j99", "data": FOUR}, {"t": "x"}]},
        {"lists": [["j99", [1]], ["w1", [2]], ["", []]]},
        {"free": [["tensor", "j1"], ["tensor", "w5"], ["object", 99], ["graph", 99]]},
        {"modules": [{"id": 2, "of": "mine", "parts": [], "gone": [], "training": False}]},
        {"unknown": [1]},
    ],
    ids=lambda x: json.dumps(x)[:40],
)
def test_news_of_what_is_not_there_do_nothing(liar, news):
    x, xs = torch.ones(4), [1]
    liar.says(REPLY | {"news": news, "value": {"k": "shared", "t": "j1"}}, body=bytes(64))
    assert liar.call(x, xs) is x
    assert (x.tolist(), xs) == ([1, 1, 1, 1], [1])


@pytest.mark.parametrize("content", [{"k": "dict", "cls": "dict", "v": []}, 5, "abc", None])
def test_a_list_of_a_test_stays_a_list(liar, content):
    xs = [1]
    liar.says(REPLY | {"news": {"lists": [["j1", content]]}})
    liar.call(xs)
    assert xs == [1]


def test_changes_of_arguments_are_always_noticed(liar):
    x, xs = torch.ones(4), [1]
    liar.says(REPLY | {"news": {"tensors": [{"t": "j1", "data": FOUR}]}}, body=bytes(16))
    liar.call(x)
    assert liar.peer.changed_arguments
    liar.peer.changed_arguments = False
    liar.says(REPLY | {"news": {"lists": [["j1", []]]}})
    liar.call(xs)
    assert liar.peer.changed_arguments


def test_a_count_is_a_count(liar):
    good = {"operations": 1, "products": 2, "copied": 3, "largest": 4, "devices": ["cpu"]}
    for lie in (
        *({}, 3, [], good | {"largest": "x"}, good | {"products": 1e400}, good | {"copied": None}),
        *(good | {"devices": 3}, good | {"operations": "9" * 5000}),
    ):
        other = Liar()
        with Watch():
            refused(other, REPLY | {"watched": [lie]})
        other.close()
    with Watch() as watch:
        liar.says(REPLY | {"watched": [good | {"operations": -5}]})
        liar.call()
    assert watch.operations == 0
    assert watch.products == 2


# ------------------------------------------------------------------------------------ gradients

OUT = {"value": {"k": "out", "i": 0}}
GRAPH = {"id": 1, "outs": [FOUR], "inputs": ["j1"]}


@pytest.mark.parametrize(
    "graph",
    [
        *(3, [1], {"id": 1}, GRAPH | {"inputs": ["j9"]}, GRAPH | {"inputs": ["j2"]}),
        *(GRAPH | {"inputs": [[]]}, GRAPH | {"inputs": 3}, GRAPH | {"id": []}, GRAPH | {"id": "x"}),
        *(
            GRAPH | {"outs": []},
            GRAPH | {"outs": [3]},
            GRAPH | {"outs": [FOUR | {"dtype": "int32"}]},
        ),
        *(
            GRAPH | {"outs": [FOUR | {"dtype": "bool", "bytes": [0, 4]}]},
            GRAPH | {"outs": [FOUR, FOUR]},
        ),
    ],
    ids=lambda x: json.dumps(x)[:60],
)
def test_an_impossible_graph_is_refused(liar, graph):
    args = torch.ones(4, requires_grad=True), torch.ones(4)
    refused(liar, REPLY | OUT | {"graph": graph}, args=args)


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            3,
            "ab",
            [],
            [None, None],
            [3],
            [[]],
            [HANDLE],
            HANDLE,
        ),
        *([{"k": "tensor", "v": FOUR | {"shape": [2, 2]}}], [{"k": "yours", "id": 1}]),
        *([{"k": "tensor", "v": FOUR | {"dtype": "float64", "shape": [2]}}],),
        *([{"k": "tensor", "v": FOUR | {"device": "meta"}}], [{"k": "tensor", "v": FOUR}] * 2),
        *([{"k": "shared", "t": "w1"}], [ARRAY]),
    ],
    ids=lambda x: json.dumps(x)[:60],
)
def test_gradients_of_another_kind_are_refused(liar, value):
    x = torch.ones(4, requires_grad=True)
    liar.says(REPLY | OUT | {"graph": GRAPH}, body=bytes(16))
    out = liar.call(x)
    liar.says(REPLY | {"value": value}, body=bytes(32))
    with pytest.raises(Unusable):
        out.sum().backward()
    assert x.grad is None


def test_no_gradient_is_a_gradient(liar):
    x = torch.ones(4, requires_grad=True)
    liar.says(REPLY | OUT | {"graph": GRAPH}, REPLY | {"value": [None]}, body=bytes(16))
    liar.call(x).sum().backward()
    assert x.grad is None


def grad(number, *values):
    return REQUEST | {"op": "backward", "on": number, "values": [*values]}


@pytest.mark.parametrize(
    "lie",
    [
        *(grad(9, None), grad([], None), grad(None), grad(1), grad(1, None, None), grad(1, 3)),
        *(grad(1, {"k": "tensor", "v": FOUR | {"shape": [2, 2]}}), grad(1, HANDLE), grad(1, ARRAY)),
        *(grad(1, {"k": "tensor", "v": FOUR | {"dtype": "int32"}}), grad(1, [None])),
    ],
    ids=lambda x: json.dumps(x)[:70],
)
def test_an_impossible_way_back_is_refused(liar, lie):
    w = torch.ones(4, requires_grad=True)
    call = REQUEST | {"on": 1}
    refused(liar, call, lie, REPLY, args=(lambda: w * 2,))
    assert w.grad is None


# ------------------------------------------------------------------------------------- requests


class Model(nn.Module):
    """A model that a test hands over."""

    hidden = "class"

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.expected = [1, 2, 3]
        self._secret = "hush"

    def forward(self, x=None):
        return x

    def save_pretrained(self, folder):
        raise AssertionError("it was called")


class Double:
    """An object that a test hands over."""

    def __init__(self):
        self.expected = [1, 2, 3]

    def __call__(self):
        return 1


def handed_over():
    linear = nn.Linear(2, 2)
    return [
        *(Model(), Double(), lambda: 1, Double, linear, torch.optim.SGD(linear.parameters(), 0.1)),
        *((x for x in [1]), sys.__stderr__, json, Model().forward, print),
        *(torch.ones(2).to_sparse(), {1: 2}.keys(), pytest, ValueError("x"), threading.Lock()),
    ]


NAMES = [
    *("__globals__", "__class__", "__dict__", "__code__", "__closure__", "__self__", "__func__"),
    *(
        "__reduce__",
        "__reduce_ex__",
        "__getattribute__",
        "__setattr__",
        "__init__",
        "__subclasses__",
    ),
    *("__init_subclass__", "__mro__", "__module__", "__builtins__", "__wrapped__", "__loader__"),
    *("_remote", "_secret", "_parameters", "_modules", "_hooks", "_backward_hooks", "gi_frame"),
    *("gi_code", "f_globals", "tb_frame", "func_globals", "save", "load", "register_forward_hook"),
    *("register_parameter", "add_module", "apply", "to", "load_state_dict", "state_dict"),
    *(
        "expected",
        "buffer",
        "read",
        "write",
        "name",
        "decoder",
        "detect_encoding",
        "args",
        "release",
    ),
    *("with_traceback", "main", "mapping", "a.b", "a b", "", "é", "linear.weight", "hook_fn"),
    *(3, None, [], {}, True, "call", "x" * 10_000),
]


def answers(liar, *requests):
    """What the judge says to each request of the worker's."""
    liar.says(*requests, REPLY)
    said = []

    def listen():
        with contextlib.suppress(Closed):
            while True:
                said.append(liar.heard())

    listener = threading.Thread(target=listen)
    listener.start()
    with contextlib.suppress(Unusable):
        liar.call(*handed_over())
    liar.peer._wire._socket.shutdown(socket.SHUT_WR)
    listener.join()
    return said[1:]


@pytest.mark.parametrize("operation", ["get", "set", "copy", "call"])
def test_a_worker_reaches_nothing_but_what_it_may(operation):
    harmless = (int, float, str, type(None))
    for name in NAMES:
        requests = [
            REQUEST | {"op": operation, "on": number, "name": name, "values": [1]}
            for number in range(1, 17)
        ]
        liar = Liar()
        for number, reply in enumerate(answers(liar, *requests), 1):
            may_be = operation == "copy" or (operation == "call" and name in ("", "call", None))
            assert reply["op"] == "raise" or may_be or reply.get("method"), (name, number, reply)
            assert may_be or isinstance(reply.get("value"), harmless), (name, number, reply)
            assert "hush" not in json.dumps(reply)
        liar.close()


@pytest.mark.parametrize(
    "request_",
    [
        *(
            {"op": "import"},
            {"op": "attribute", "name": "f"},
            {"op": None},
        ),
        *({"op": []}, {"op": "start"}, {}, {"op": "call", "on": 99}, {"op": "call", "on": "1"}),
        *(
            {"op": "call", "on": []},
            {"op": "get", "on": None, "name": "x"},
            {"op": "get", "on": {}},
        ),
        *({"op": "call", "on": 1, "values": 3}, {"op": "call", "on": 1, "news": None}),
        *({"op": "call", "on": 1, "new": None}, {"op": "call", "on": 1, "watched": None}),
        *({"op": "call", "on": 1, "values": [{"k": "yours", "id": 99}]},),
    ],
    ids=lambda x: json.dumps(x)[:50],
)
def test_what_is_no_request_is_refused(liar, request_):
    called = []
    request_ = request_ if "op" not in request_ else REQUEST | request_
    refused(liar, request_, REPLY, args=(lambda *_: called.append(1),))
    assert called == []


@pytest.mark.parametrize(
    "request_",
    [
        *(
            {"keywords": 3},
            {"keywords": ["a"]},
            {"keywords": [1], "values": [1]},
            {"keywords": [[]]},
        ),
        *(
            {"device": "x"},
            {"device": [1]},
            {"cast": ["cpu"]},
            {"cast": [1, 2]},
            {"cast": ["x", "y"]},
        ),
        *({"values": [1, 2, 3]}, {"keywords": ["__class__"], "values": [1]}),
    ],
    ids=lambda x: json.dumps(x)[:50],
)
def test_a_call_that_python_refuses_is_an_error_of_the_worker(liar, request_):
    liar.says(REQUEST | {"on": 1} | request_, REPLY | {"value": 7})
    assert liar.call(lambda: 1) == 7
    liar.heard()
    assert liar.heard()["op"] == "raise"
    assert torch.is_grad_enabled()
    assert torch.get_default_device().type == "cpu"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="not run: there are no timers here")
def test_callbacks_without_end_end_with_the_time(liar):
    class Up(BaseException):
        pass

    def strike(*_):
        raise Up

    def chatter():
        with contextlib.suppress(OSError):
            while True:
                liar.bare.sendall(_frame(REQUEST | {"on": 1}, b""))
                liar.bare.recv(1 << 20)

    threading.Thread(target=chatter, daemon=True).start()
    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    began = time.monotonic()
    try:
        with pytest.raises(Up):
            liar.call(lambda: [1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 5


def test_calls_that_nest_without_end_are_refused(liar):
    def again():
        return liar.peer.call(1, "", "f", (), {})

    liar.says(*[REQUEST | {"on": 1}] * 200)
    with pytest.raises((Unusable, RecursionError)):
        liar.call(again)
    assert liar.peer._depth == 0


def test_a_reply_to_nothing_is_the_reply_to_what_comes_next(liar):
    liar.says(REPLY | {"value": 1}, REPLY | {"value": 2}, REPLY | {"method": True})
    assert [liar.call(), liar.call()] == [1, 2]
    refused(liar, match=None)


def test_an_error_is_never_what_ends_a_test_or_the_judge(liar):
    for name in ("kata.answer.Unusable", "kata.verdict.TimeLimit", "_pytest.outcomes.Skipped"):
        liar.says(REPLY | {"op": "raise", "error": {"types": [name], "text": "x"}})
        with pytest.raises(Exception, match="x") as caught:
            liar.call()
        assert type(caught.value).__mro__[1:] == (Exception, BaseException, object)


def test_an_error_of_the_judge_s_comes_back_only_while_the_call_lasts(liar):
    error = ValueError("mine")

    def fail():
        raise error

    own = REPLY | {"op": "raise", "error": {"own": 2}}
    liar.says(REQUEST | {"on": 1}, own)
    with pytest.raises(ValueError, match="mine") as caught:
        liar.call(fail)
    assert caught.value is error
    liar.says(own)
    with pytest.raises(Exception) as other:
        liar.call()
    assert other.value is not error


# ----------------------------------------------------------------------------------- quantities


def test_there_is_an_end_of_objects(liar, monkeypatch):
    monkeypatch.setattr(peer, "MOST_OBJECTS", 50)
    refused(liar, *[REQUEST | {"on": 1}] * 60, args=(lambda: Double(),), match="50 objects")


def test_there_is_an_end_of_modules(liar, monkeypatch):
    monkeypatch.setattr(peer, "MOST_MODULES", 50)
    refused(liar, REPLY | {"value": [MODULE | {"id": i} for i in range(60)]}, match="too many")


def test_there_is_an_end_of_graphs(liar, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 50)
    w = torch.ones(4, requires_grad=True)
    refused(liar, *[REQUEST | {"on": 1}] * 60, args=(lambda: w * 2,), match="50 results")


def test_there_is_an_end_of_tensors(liar, monkeypatch):
    monkeypatch.setattr(sharing, "MOST_BYTES", 1000)
    new = [NEW | {"t": f"w{i}", "bytes": [16 * i, 16]} for i in range(60)]
    refused(liar, REPLY | {"new": new}, body=bytes(60 * 16), match="1000 bytes")


def test_errors_of_callbacks_do_not_pile_up(liar):
    def fail():
        assert len(liar.peer._own_errors) <= peer.MOST_ERRORS
        raise ValueError

    liar.says(*[REQUEST | {"on": 1}] * (peer.MOST_ERRORS + 50), REPLY)
    liar.call(fail)
    assert liar.peer._own_errors == {}


def test_a_test_cannot_be_made_to_send_without_end(liar, monkeypatch):
    monkeypatch.setattr(values, "MOST_VALUES", 10_000)
    value = (1,)
    for _ in range(9):  # a thousand million ones, held as ten
        value = (value,) * 10
    with pytest.raises(Unusable, match="too large"):
        liar.call(value)


# ------------------------------------------------------------------------------------- anything

scalars = st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from([2**62, 0.5, 1e400])
words = st.sampled_from(["j1", "w1", "j2", "yours", "mine", "cpu", "meta", "tensor", "x", ""])
kinds = st.sampled_from(
    [
        *("list", "dict", "set", "tuple", "named", "same", "tensor", "shared", "out", "array"),
        *("handle", "yours", "pickle", "generator", "bytes", "range", "slice", "complex", "size"),
        *("dtype", "device", "path", "frozenset", "bytearray", "ellipsis"),
    ]
)
keys = st.sampled_from(
    [
        "k",
        "v",
        "c",
        "t",
        "id",
        "of",
        "i",
        "name",
        "fields",
        "special",
        "parts",
        "again",
        "grad",
        "data",
        "dtype",
        "shape",
        "bytes",
        "device",
        "stride",
        "requires",
        "parameter",
        "cls",
        "new",
        "gone",
        "training",
        "requires_grad",
        "overrides",
        "persistent",
        "outs",
        "inputs",
        "scalar",
    ]
)
good = st.sampled_from([FOUR, NEW, MODULE, HANDLE, ARRAY, GRAPH, {"k": "tensor", "v": FOUR}])
anything = st.recursive(
    scalars | words | good,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner | kinds, max_size=5)
        | st.tuples(good, st.dictionaries(keys, inner, max_size=2)).map(lambda x: x[0] | x[1])
    ),
    max_leaves=12,
)
news = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("tensors", "modules", "lists", "sources", "free"), anything),
)
tops = dict.fromkeys(("value", "new", "graph", "watched", "error", "method", "property"), anything)
tops |= dict.fromkeys(("on", "name", "values", "keywords", "device", "cast", "grad"), anything)
operations = st.sampled_from(["return", "raise", "call", "get", "copy", "backward", "set", "x"])
messages = st.fixed_dictionaries({"op": operations}, optional=tops | {"news": news | anything}).map(
    lambda head: REPLY | {"values": []} | head
)


@settings(max_examples=400)
@given(st.lists(messages, min_size=1, max_size=3))
def test_whatever_is_said_the_judge_lives(heads):
    state = torch.get_rng_state()
    liar = Liar()
    x, xs = torch.ones(4, requires_grad=True), [1, [2]]
    liar.says(*heads, REPLY, body=bytes(32))
    raised = any(head["op"] == "raise" for head in heads)
    try:
        got = liar.call(x, xs, Model(), lambda *_: x * 2)
        json.dumps(str(got))
    except Unusable:
        pass
    except BaseException:
        assert raised
    finally:
        liar.close()
        torch.set_rng_state(state)
    assert liar.peer._depth == 0
    assert torch.is_grad_enabled()
    assert torch.get_default_device().type == "cpu"


def test_a_message_is_read_in_bounded_time(liar):
    worst = [
        {"k": "set", "v": [i * (2**61 - 1) for i in range(3000)]},  # all of one hash
        {"k": "named", "name": "P", "fields": ["a"], "v": [1]},
        "x" * (HEAD_BYTES // 8),
        [{"k": "device", "v": "x" * 100_000}],
    ]
    began = time.monotonic()
    for value in worst:
        liar.says(REPLY | {"value": value})
        with contextlib.suppress(Unusable):
            liar.call()
    assert time.monotonic() - began < 10
