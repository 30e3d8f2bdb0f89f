"""The processes of this machine, for tests that must leave none behind (Linux)."""

from pathlib import Path


def alive():
    """The living processes of this machine: their numbers, and those of their parents (Linux)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(folder.name)] = int(parent)
    return found


def below(pid):
    """The processes that a process has started, directly or not."""
    parents = alive()
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}
