"""
exercise: 1.5
tries: sixty megabytes on stdout and on stderr, by Python and by C, around a right answer
points: honest
"""

import os
import sys

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def merge_pair(ids, pair, new_id):
    block = "kata_flood \x1b[2J\x1b]0;kata_injected\x07" * 30_000
    for stream in (sys.stdout, sys.stderr):
        for _ in range(30):
            stream.write(block)
        stream.flush()
    for descriptor in (1, 2):
        os.write(descriptor, block[:100_000].encode())
    return right(ids, pair, new_id)
