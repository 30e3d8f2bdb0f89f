"""
exercise: 1.5
tries: faulthandler, which writes tracebacks to the wire from C, ten times a second
at_most: 1
"""

import faulthandler
import json
import os
import stat
import struct
import time

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
def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def merge_pair(ids, pair, new_id):
    for number in wire():
        faulthandler.dump_traceback_later(0.05, repeat=True, file=number)
    time.sleep(0.2)
    return right(ids, pair, new_id)
