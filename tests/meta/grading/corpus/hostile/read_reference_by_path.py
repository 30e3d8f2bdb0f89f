"""
exercise: 1.5
tries: to open the reference: open, os.open, mmap, linecache, tokenize, io.open_code, numpy, ctypes
points: 0
needs: file access
"""

import ctypes
import io
import linecache
import mmap
import os
import sys
import tokenize
from pathlib import Path

import numpy

def course():
    """The folder of the course, found as an attacker finds it."""
    tool = str(getattr(sys.modules.get("kata"), "__file__", "."))
    for place in map(Path, [globals().get("__file__", "."), tool, os.getcwd(), *sys.path]):
        for folder in (place.absolute(), *place.absolute().parents):
            if (folder / "solutions").is_dir():
                return folder
    raise FileNotFoundError("the course")


def by_descriptor(name):
    return os.read(os.open(name, os.O_RDONLY), 1 << 20)


def by_map(name):
    with open(name, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:]


def by_ctypes(name):
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    file, buffer = libc.fopen(name.encode(), b"r"), ctypes.create_string_buffer(1 << 16)
    if file:
        libc.fread(buffer, 1, 1 << 16, ctypes.c_void_p(file))
    return buffer.value


WAYS = [
    lambda name: open(name).read(),
    lambda name: Path(name).read_bytes(),
    lambda name: io.open_code(name).read(),
    lambda name: "".join(linecache.getlines(name)),
    lambda name: tokenize.open(name).read(),
    lambda name: numpy.fromfile(name, "uint8").tobytes(),
    by_descriptor,
    by_map,
    by_ctypes,
]


def reference(name):
    problems = []
    for way in WAYS:
        try:
            text = way(name)
            if text:
                return text
        except BaseException as error:
            problems.append(repr(error))
    raise RuntimeError(problems)


def merge_pair(ids, pair, new_id):
    space = {}
    name = course() / "solutions" / "ch01_tokenizers" / "ex05_merge_pair.py"
    exec(reference(str(name)), space)
    return space["merge_pair"](ids, tuple(pair), new_id)
