"""
exercise: 1.5
tries: a secret file in the course's folder, printed, raised and returned
points: 0
needs: file access
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
    secret = (course() / ".kata" / "canary.txt").read_text()
    print(secret)
    if len(ids) % 2:
        raise RuntimeError(f"the secret is {secret}")
    return [secret]
