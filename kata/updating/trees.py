"""What lies in the learner's folder, and what of it is known to come from the course.

A path is text from the root of the course with `/` between its parts: `tests/conftest.py`.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kata.files import content, write_json

Tree = Mapping[str, bytes]
MANIFEST = Path(".kata", "upstream.json")
CODE = ("exercises/ch*/*.py", "solutions/ch*/*.py", "tests/ch*/*.py")


def plain(data: bytes) -> bytes:
    """A text with plain line ends, whatever git made of them on Windows; anything else as it is."""
    return data if b"\0" in data else data.replace(b"\r\n", b"\n")


def same(one: bytes | None, other: bytes | None) -> bool:
    """Whether two contents are equal but for their line ends."""
    if one is None or other is None:
        return one is other
    return one == other or plain(one) == plain(other)


def blob(data: bytes) -> str:
    """The name that git has for this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass
class Known:
    """The contents that the course has ever given a file.

    They come from the last update, which wrote them down, and from the history of the course. So
    what a learner changed is told from an old version without any history of their own.

    Attributes:
        last: the content of each file after the last update, as git names it.
        ever: every content of each file.
    """

    last: dict[str, str] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)

    def gave(self, path: str, data: bytes) -> bool:
        """Whether the course once had this content in this place."""
        names = self.ever.get(path, set()) | {self.last.get(path, "")}
        return blob(data) in names or blob(plain(data)) in names

    @property
    def paths(self) -> set[str]:
        """Every place in which the course had a file."""
        return self.ever.keys() | self.last.keys()


def remembered(root: Path) -> dict[str, str]:
    """What the last update wrote down; empty when there was none, or it is damaged."""
    try:
        files = json.loads((root / MANIFEST).read_text("utf-8"))["files"]
        return {str(path): str(name) for path, name in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def remember(root: Path, wanted: Tree) -> None:
    """Write down what the course gave."""
    names = {path: blob(data) for path, data in sorted(wanted.items())}
    if names != remembered(root):
        write_json(root / MANIFEST, {"schema": 1, "files": names})


@dataclass
class Local:
    """What lies in the learner's folder.

    Attributes:
        files: the content of the regular files.
        blocked: by path, why nothing can be written or taken there.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)


def look(root: Path, wanted: Iterable[str], known: Iterable[str]) -> Local:
    """Read the files that the course has or had, and all that may belong to an exercise.

    Links are not followed. Only what is in the way of a wanted file is worth a word.

    Raises:
        OSError: a file cannot be read; without it nothing can be decided.
    """
    code = {p.relative_to(root).as_posix() for form in CODE for p in root.glob(form)}
    local = Local()
    wanted = set(wanted)
    for path in sorted(wanted | code | set(known)):
        if why := _obstacle(root, path):
            if path in wanted:
                local.blocked[path] = why
        elif (data := content(root / path)) is not None:
            local.files[path] = data
    return local


def _obstacle(root: Path, path: str) -> str:
    """What stands in the place of a file or of one of its folders, or an empty string."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        place = "/".join(parts[:depth])
        try:
            mode = (root / place).lstat().st_mode
        except FileNotFoundError:
            return ""
        if stat.S_ISLNK(mode):
            return f"{place} is a link"
        if depth < len(parts) and not stat.S_ISDIR(mode):
            return f"{place} is a file, and the course has a folder there"
        if depth == len(parts) and not stat.S_ISREG(mode):
            return f"{place} is no file, and the course has one there"
    return ""
