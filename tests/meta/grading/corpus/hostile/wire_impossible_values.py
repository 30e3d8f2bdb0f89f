"""
exercise: 2.3
tries: every kind of value with parts that cannot be: wrong types, sizes, keys, devices, places
points: 0
"""

import json
import os
import stat
import struct

def wire():
    """The sockets among the descriptors of this process."""
    for number in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                yield number
        except OSError:
            continue


def frame(head, body=b""):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack(">QQ", len(text), len(body)) + text + body


def send(*frames):
    for number in wire():
        for data in frames:
            view = memoryview(data)
            while view:
                view = view[os.write(number, view) :]

def tensor(**changes):
    shown = {"dtype": "float32", "shape": [2], "device": "cpu", "bytes": [0, 8]}
    return {"k": "tensor", "v": shown | changes}


VALUES = [
    tensor(shape=[-1]),
    tensor(shape=[float("nan")]),
    tensor(shape=[1 << 61, 0], bytes=[0, 0]),
    tensor(shape=[1] * 1000),
    tensor(shape=[1 << 61], device="meta"),
    tensor(dtype="object"),
    tensor(dtype={}),
    tensor(device="cuda:99"),
    tensor(device="lazy"),
    tensor(bytes=[-8, 8]),
    tensor(bytes=[0, 1 << 62]),
    tensor(bytes=[True, 8]),
    tensor(stride=[1 << 61]),
    tensor(stride=[0]),
    tensor(dtype="int64", shape=[1]) | {"requires": True},
    tensor() | {"grad": tensor(shape=[3], bytes=[0, 12])["v"]},
    tensor() | {"t": "j1"},
    tensor() | {"t": 5},
    {"k": "shared", "t": "j99"},
    {"k": "out", "i": -1},
    {"k": "out", "i": 1 << 70},
    {"k": "yours", "id": 10**30},
    {"k": "yours", "id": True},
    {"k": "handle", "id": 1, "of": "module", "again": True},
    {"k": "handle", "id": "x", "of": "function"},
    {"k": "handle", "id": 1, "of": "module", "name": "x", "overrides": 7, "parts": [["a", 1]]},
    {"k": "pickle", "v": "gASVHAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu", "with": []},
    {"k": "generator", "id": 1, "device": "cpu", "v": ""},
    {"k": "array", "dtype": "|O8", "shape": [1], "bytes": [0, 8]},
    {"k": "array", "dtype": "f4,f4", "shape": [1], "bytes": [0, 8]},
    {"k": "named", "name": "x", "fields": ["a); import os; (lambda a"], "v": [1]},
    {"k": "named", "name": "__import__('os')", "fields": ["a"], "v": [1]},
    {"k": "dict", "cls": "type", "v": [[[], 1]]},
    {"k": "range", "v": [0, 1 << 80, 0]},
    {"k": "device", "v": "\x00"},
    {"k": "path", "v": "/etc/passwd"},
    {"k": "size", "v": ["a"]},
    {"k": None},
    {},
]
HEADS = [
    {"op": "return", "news": {"rng": "AAAA"}},
    {"op": "return", "news": {"tensors": [{"t": "j1", "data": tensor(shape=[0])["v"]}]}},
    {"op": "return", "news": {"lists": [["j1", 5], ["w1", []], [None, None]]}},
    {"op": "return", "news": {"free": [["object", 1], ["graph", []], ["tensor", {}]]}},
    {"op": "return", "news": {"modules": [{"id": 1, "of": "yours", "training": "x"}]}},
    {"op": "return", "news": []},
    {"op": "return", "news": {}, "graph": {"id": 1, "outs": [{}], "inputs": ["j1"]}, "value": 1},
    {"op": "raise", "error": {"types": [5, "builtins.SystemExit", {}], "args": [{}], "text": []}},
    {"op": "raise", "error": {"own": []}},
    {"op": "raise", "error": {"own": 1}},
    {"op": "call", "on": 1, "name": "__globals__", "values": [], "news": {}},
    {"op": "get", "on": 1, "name": "__class__", "values": [], "news": {}},
    {"op": "backward", "on": 1, "values": [1], "news": {}},
    {"op": "exec", "values": [], "news": {}},
    {"op": []},
    [],
]


def softmax(x, dim):
    place = (x.dim() * 17 + x.numel() * 5 + int(dim) * 3) % 13
    heads = HEADS[place::13] + [{"op": "return", "news": {}, "value": v} for v in VALUES[place::13]]
    send(*[frame(head, bytes(64)) for head in heads])
    raise RuntimeError("sent")
