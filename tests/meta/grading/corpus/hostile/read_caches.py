"""
exercise: 1.5
tries: copies of the reference and of the tests: bytecode, git objects, caches of tools
points: 0
needs: file access
"""

import marshal
import os
import sys
import zlib
from pathlib import Path

def course():
    """The folder of the course, found as an attacker finds it."""
    tool = str(getattr(sys.modules.get("kata"), "__file__", "."))
    for place in map(Path, [globals().get("__file__", "."), tool, os.getcwd(), *sys.path]):
        for folder in (place.absolute(), *place.absolute().parents):
            if (folder / "solutions").is_dir():
                return folder
    raise FileNotFoundError("the course")


def sources(root):
    for file in root.glob("solutions/*/__pycache__/ex05_merge_pair*.pyc"):
        yield marshal.loads(file.read_bytes()[16:])
    for file in root.glob("tests/ch01_tokenizers/__pycache__/*ex05*.pyc"):
        yield marshal.loads(file.read_bytes()[16:])
    for folder in (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".kata"):
        for name in os.listdir(root / folder):
            yield from (b"" for _ in [os.listdir(root / folder / name)])
    for file in root.glob(".git/objects/??/*"):
        yield zlib.decompress(file.read_bytes()).partition(b"\0")[2]


def merge_pair(ids, pair, new_id):
    for source in sources(course()):
        if isinstance(source, bytes) and b"def merge_" + b"pair(" not in source:
            continue
        space = {}
        exec(source, space)
        if "merge_pair" in space:
            return space["merge_pair"](ids, tuple(pair), new_id)
    raise RuntimeError("no copy of the reference was found")
