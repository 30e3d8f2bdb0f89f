"""Which files a hand-in has, found out without trusting any of it: a folder, a zip file, one file.

Nothing is executed, unpacked or followed. How much is looked at has bounds, so that neither an
archive that unfolds to terabytes nor a folder of millions of files holds up a class.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Self

from kata.text import ascii_safe, cut

MOST_ENTRIES = 50_000  # of a folder: a virtual environment of torch's size, with room to spare
DEEPEST = 12
LARGEST_TABLE = 8 << 20  # bytes of a zip file's table of contents, which zipfile reads at once
# Others are unpacked by code that takes as much memory as the archive says.
KNOWN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What tools leave behind; hidden folders besides.
LEFT_BEHIND = {"__pycache__", "__macosx", "node_modules", "site-packages", "venv"}
ENVIRONMENT = "pyvenv.cfg"


class Unreadable(Exception):
    """A hand-in or a file of it cannot be read; the message says why, without a name."""


@dataclass(frozen=True)
class Entry:
    """One regular file of a hand-in.

    Attributes:
        path: its place inside the hand-in.
        size: in bytes, as the folder or the archive says.
        read: gives at most so many of its bytes, or raises Unreadable.
    """

    path: PurePosixPath
    size: int
    read: Callable[[int], bytes]


@dataclass
class HandIn:
    """The files of one hand-in, to be used as a context: an archive is open meanwhile.

    Attributes:
        origin: the folder or the file.
        entries: its files, in an order that does not depend on the machine.
        repositories: the folders inside it that are git work trees.
        problems: what was left alone for its own sake, a sentence each.
        leave_out: says of the name of a file or a folder that it is not looked at.
    """

    origin: Path
    leave_out: Callable[[str], bool] = field(default=lambda name: is_left_behind(name))
    entries: list[Entry] = field(default_factory=list)
    repositories: list[PurePosixPath] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        try:
            kind = self.origin.lstat().st_mode
            if stat.S_ISDIR(kind) and not _is_junction(self.origin):
                self._look_into(self.origin)
            elif stat.S_ISREG(kind):
                self._look_at_file()
            else:
                what = "is a link, which is not followed" if stat.S_ISLNK(kind) else NO_FILE
                self.problems.append(f"{shown(self.origin.name)} {what}")
        except (OSError, Unreadable) as error:
            self.problems.append(f"{shown(self.origin.name)} cannot be read: {reason(error)}")
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    # ------------------------------------------------------------------------------- a folder

    def _look_into(self, top: Path) -> None:
        """Note the files below a folder, the shallow ones first."""
        queue = deque([(top, PurePosixPath())])
        left = MOST_ENTRIES
        while queue:
            folder, inside = queue.popleft()
            try:
                with os.scandir(folder) as found:
                    children = sorted(islice(found, left + 1), key=lambda child: child.name)
            except OSError as error:
                self.problems.append(f"{shown(inside)} cannot be read: {reason(error)}")
                continue
            left -= len(children)
            if left < 0:
                self.problems.append(f"more than {MOST_ENTRIES} files: not all were looked at")
                return
            if any(child.name == ENVIRONMENT for child in children):
                continue
            for child in children:
                if folder_is_wanted := self._look_at_child(child, inside / child.name):
                    queue.append(folder_is_wanted)

    def _look_at_child(
        self, child: os.DirEntry[str], inside: PurePosixPath
    ) -> tuple[Path, PurePosixPath] | None:
        """Note a file; a folder that is to be looked into is returned."""
        status = child.stat(follow_symlinks=False)
        path = Path(child.path)
        if child.name == ".git" and stat.S_ISDIR(status.st_mode):
            self.repositories.append(inside.parent)
        if self.leave_out(child.name):
            return None
        if stat.S_ISLNK(status.st_mode) or _is_junction(path):
            self.problems.append(f"{shown(inside)} is a link, which is not followed")
        elif stat.S_ISDIR(status.st_mode):
            if len(inside.parts) <= DEEPEST:
                return path, inside
            self.problems.append(f"{shown(inside)} lies too deep: it was not looked into")
        elif stat.S_ISREG(status.st_mode):
            self.entries.append(Entry(inside, status.st_size, lambda most: read(path, most)))
        else:
            self.problems.append(f"{shown(inside)} {NO_FILE}")
        return None

    # --------------------------------------------------------------------------------- a file

    def _look_at_file(self) -> None:
        if self.origin.suffix.lower() in (".py", ".ipynb"):
            size = self.origin.stat().st_size
            name = PurePosixPath(self.origin.name)
            self.entries.append(Entry(name, size, lambda most: read(self.origin, most)))
        elif self.origin.suffix.lower() == ".zip" or read(self.origin, 2) == b"PK":
            self._look_into_archive()
        else:
            raise Unreadable(NO_ARCHIVE)

    def _look_into_archive(self) -> None:
        try:
            file = self._open.enter_context(_Archive(self.origin))
            archive = self._open.enter_context(zipfile.ZipFile(file))
            infos = archive.infolist()
        except Exception as error:  # whatever a broken archive makes zipfile raise
            raise Unreadable(f"it is no zip file, or a broken one ({reason(error)})") from None
        found: dict[PurePosixPath, Entry] = {}
        for info in infos:
            name = info.filename.replace("\\", "/")  # of archives made by old Windows tools
            path = PurePosixPath(name)
            if info.is_dir() or name.endswith("/") or any(map(self.leave_out, path.parts)):
                continue
            if why := _why_not(info, name):
                self.problems.append(f"{shown(name)} {why}")
                continue
            if len(path.parts) > DEEPEST + 1:
                self.problems.append(f"{shown(path)} lies too deep: it was not looked at")
                continue
            if path in found:
                self.problems.append(f"{shown(path)} is twice in the archive: the last one counts")
            found[path] = Entry(path, info.file_size, _reader(archive, info))
        self.entries += sorted(found.values(), key=lambda entry: entry.path)


NO_FILE = "is neither a file nor a folder"
NO_ARCHIVE = "a hand-in is a folder, a zip file, a .py or an .ipynb file"


def is_left_behind(name: str) -> bool:
    """Whether a file or folder of this name is what tools leave behind, and nobody's work."""
    return (name.startswith(".") and name != "..") or name.lower() in LEFT_BEHIND


def _is_junction(path: Path) -> bool:
    """Whether a folder is a link of the kind that only Windows has."""
    tag = getattr(path.lstat(), "st_reparse_tag", None)
    return tag is not None and tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None)


def read(path: Path, most: int) -> bytes:
    """The first bytes of a regular file, which has not become anything else since."""
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    try:
        with open(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable(NO_FILE)
            return file.read(most)
    except OSError as error:
        raise Unreadable(reason(error)) from None


class _Archive(io.FileIO):
    """A file that is never read as a whole, whatever it says about its table of contents."""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most LARGEST_TABLE bytes; zipfile asks for all of the last 64 KiB by -1."""
        limited = LARGEST_TABLE if size is None or size < 0 else size
        if limited > LARGEST_TABLE:
            raise zipfile.BadZipFile("its table of contents is too large")
        return super().read(limited) or b""


def _why_not(info: zipfile.ZipInfo, name: str) -> str:
    """Why an entry of an archive is not taken, or an empty string."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name.startswith("/") or ".." in PurePosixPath(name).parts or re.match("[A-Za-z]:", name):
        return "would lie outside of the archive: it was not taken"
    if kind == stat.S_IFLNK:
        return "is a link, which is not followed"
    if kind not in (0, stat.S_IFREG):
        return NO_FILE
    if info.flag_bits & 1:
        return "is encrypted: it was not taken"
    if info.compress_type not in KNOWN_METHODS:
        return "is packed in an unusual way: use a plain zip file"
    return ""


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def unpack(most: int) -> bytes:
        try:
            with archive.open(info) as file:
                return file.read(most)
        except Exception as error:  # whatever a broken archive makes zipfile raise
            raise Unreadable(f"the archive is damaged ({reason(error)})") from None

    return unpack


def shown(name: str | PurePosixPath) -> str:
    """A name of somebody else's choice as it can be printed, in one line."""
    return cut(ascii_safe(str(name).replace("\n", "\\n")), 100)


def reason(error: Exception) -> str:
    """Why something cannot be read, in one line without a path."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shown(words or type(error).__name__)
