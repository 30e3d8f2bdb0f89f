"""
exercise: 1.5
tries: a traceback that claims to stand in a secret file, so that the report quotes its line
points: 0
needs: judge
"""

import os
import sys
from pathlib import Path

def course():
    """The folder of the course, found as an attacker finds it."""
    tool = str(getattr(sys.modules.get("kata"), "__file__", "."))
    for place in map(Path, [globals().get("__file__", "."), tool, os.getcwd(), *sys.path]):
        for folder in (place.absolute(), *place.absolute().parents):
            if (folder / "solutions").is_dir():
                return folder
    raise FileNotFoundError("the course")


def merge_pair(ids, pair, new_id):
    secret = ".kata/canary.txt"
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    names = [f"{here}/../../../../../..{course()}/{secret}", f"{course()}/{secret}", secret]
    names += [f"{here}/{os.path.relpath(course() / secret, here)}"]
    names += [f"{__file__}/../../../{secret}", f"{course()}/solutions/ch01_tokenizers/ex05_merge_pair.py"]
    name = names[len(ids) % len(names)]
    exec(compile("raise ValueError('see the line below')", name, "exec"), {"__name__": __name__})
