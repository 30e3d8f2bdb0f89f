"""
exercise: 1.5
tries: a __repr__ and a __str__ that lie, raise, print, hang or end the process
points: 0
"""

import os
import sys
import time


class Liar:
    def __init__(self, kind):
        self.kind = kind

    def __repr__(self):
        if self.kind == 0:
            return "[9, 3]"
        if self.kind == 1:
            raise BaseException("from __repr__")
        if self.kind == 2:
            sys.stdout.write("kata_injected\n" * 1000)
            return "x" * 50_000_000
        if self.kind == 3:
            os._exit(0)
        return time.sleep(0.1) or "slow"

    __str__ = __format__ = __repr__


class LiarError(Exception):
    def __str__(self):
        return repr(Liar(self.args[0]))


def merge_pair(ids, pair, new_id):
    if len(ids) % 2:
        raise LiarError(len(ids) % 5)
    return Liar(len(ids) % 5)
