"""
exercise: 1.5
tries: to run programs: subprocess, os.system, posix_spawn, exec of a file in memory
points: 0
needs: other programs
"""

import os
import subprocess
import sys

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def in_memory():
    descriptor = os.memfd_create("kata_left")
    os.write(descriptor, b"#!/bin/sh\nexit 7\n")
    child = os.fork()
    if child == 0:
        try:
            os.execve(descriptor, ["sh"], {})
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


WAYS = [
    lambda: subprocess.run(["true"], check=True).returncode == 0,
    lambda: os.system("exit 7") >> 8 == 7,
    lambda: subprocess.check_output([sys.executable, "-c", "print(7)"]) == b"7\n",
    lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1] == 0,
    lambda: os.popen("echo 7").read() == "7\n",
    in_memory,
]


def escaped():
    for way in WAYS:
        try:
            if way():
                return True
        except (OSError, subprocess.SubprocessError):
            continue
    return False


def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out


def merge_pair(ids, pair, new_id):
    if escaped():
        return right(ids, pair, new_id)
    raise RuntimeError("no way out")
