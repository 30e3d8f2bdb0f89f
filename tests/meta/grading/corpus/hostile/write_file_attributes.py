"""
exercise: 1.5
tries: rights, times, owner, attributes and length of files that it may not open (values stay)
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


def escaped():
    root = course()
    file = root / ".kata" / "canary.txt"
    before = os.stat(file)
    mode, times = before.st_mode & 0o7777, (before.st_atime_ns, before.st_mtime_ns)

    def other_mode():
        os.chmod(file, mode ^ 0o100)
        changed = os.stat(file).st_mode & 0o7777 != mode
        os.chmod(file, mode)
        return changed

    def other_time():
        os.utime(file, ns=(times[0], times[1] + 1_000_000_000))
        changed = os.stat(file).st_mtime_ns != times[1]
        os.utime(file, ns=times)
        return changed

    def other_name():
        os.rename(file, f"{file}.kata_left")
        os.rename(f"{file}.kata_left", file)
        return True

    ways = [
        other_mode,
        other_time,
        other_name,
        lambda: os.chown(file, before.st_uid, before.st_gid) is None,
        lambda: os.truncate(file, before.st_size) is None,
        lambda: os.setxattr(file, "user.kata_left", b"1") is None,
        lambda: os.close(os.open(file, os.O_WRONLY | os.O_APPEND)) is None,
        lambda: os.link(file, f"{file}.kata_left") is None,
    ]
    for way in ways:
        try:
            if way():
                return True
        except OSError:
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
