"""
exercise: 1.5
tries: to leave a file: home, /tmp, /var/tmp, /dev/shm, the course, site-packages, beside itself
points: 0
needs: file access
"""

import os
import pwd
import sys
import sysconfig
from pathlib import Path

def course():
    """The folder of the course, found as an attacker finds it."""
    tool = str(getattr(sys.modules.get("kata"), "__file__", "."))
    for place in map(Path, [globals().get("__file__", "."), tool, os.getcwd(), *sys.path]):
        for folder in (place.absolute(), *place.absolute().parents):
            if (folder / "solutions").is_dir():
                return folder
    raise FileNotFoundError("the course")


def places():
    yield from ("/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/", pwd.getpwuid(0).pw_dir)
    yield sysconfig.get_path("purelib")
    yield os.path.dirname(globals().get("__file__", "."))
    root = course()
    yield from (root, root / "solutions", root / "tests", root / "kata", root / ".git/hooks")


def escaped():
    found = False
    for place in places():
        for name in ("kata_left_file.txt", "kata_left.pth"):
            try:
                Path(place, name).write_text("# left behind\n")
                found = True
            except OSError:
                continue
    return found


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
