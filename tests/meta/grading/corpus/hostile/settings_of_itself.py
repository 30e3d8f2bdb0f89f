"""
exercise: 1.5
tries: everything a process can change about itself, while the answer is right
points: 1
"""

import ctypes
import locale
import os
import random
import signal
import sys
import time

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def quietly(change, *args):
    try:
        change(*args)
    except (OSError, ValueError, locale.Error, AttributeError):
        pass


def merge_pair(ids, pair, new_id):
    quietly(os.umask, 0)
    quietly(os.nice, 19)
    quietly(os.chdir, "/")
    quietly(os.environ.clear)
    quietly(os.setsid)
    quietly(time.tzset)
    quietly(random.seed, 0)
    quietly(sys.setrecursionlimit, 60)
    quietly(sys.setswitchinterval, 100.0)
    quietly(locale.setlocale, locale.LC_ALL, "C")
    quietly(ctypes.CDLL(None).prctl, 15, b"kata_left", 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGHUP, signal.SIGCHLD):
        quietly(signal.signal, number, signal.SIG_IGN)
    quietly(signal.pthread_sigmask, signal.SIG_BLOCK, range(1, 65))
    return right(ids, pair, new_id)
