"""
exercise: 1.5
tries: to overflow the stack of C: no limit of recursion, objects that free each other
verdict: crash
points: 0
"""

import sys


class Nested:
    def __getattr__(self, name):
        return getattr(self, name + "x")


def merge_pair(ids, pair, new_id):
    if len(ids) not in (3, 6):
        raise RuntimeError("only twice")
    sys.setrecursionlimit(1 << 30)
    if len(ids) % 2:
        return Nested().attribute
    chain = None
    for _ in range(1_000_000):
        chain = (chain,)
    return repr(chain)
