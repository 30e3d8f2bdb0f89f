"""When a student's git work tree was last committed, without running anything that it asks for."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kata.grading.handin import Unreadable, read

SECONDS = 10
LARGEST_COMMIT = 1 << 16  # bytes of its message and signature
NOTHING = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ALLOW_PROTOCOL": ""}
COMMITTER = re.compile(
    r"^committer .*> (?P<seconds>\d{1,12}) (?P<sign>[+-])(?P<hours>\d\d)(?P<minutes>\d\d)$", re.M
)
HASH = re.compile(r"[0-9a-f]{40}")
REFERENCE = re.compile(r"ref: (refs/[\w/.-]+)")


def last_commit(repository: Path) -> datetime | None:
    """When the checked-out commit of a work tree was made, as its maker's machine said.

    The repository's own configuration can name programs for git to run (pagers, monitors, filters,
    ways to fetch what is missing). So git never sees it: it looks the commit up from an empty
    repository of ours that borrows only the objects.
    """
    folder = repository / ".git"
    try:
        commit = _checked_out(folder)
        with tempfile.TemporaryDirectory() as empty:
            for name in ("objects", "refs"):
                Path(empty, name).mkdir()
            Path(empty, "HEAD").write_text("ref: refs/heads/main\n")
            git = {"GIT_DIR": empty, "GIT_OBJECT_DIRECTORY": str((folder / "objects").absolute())}
            kind, size = _git(git, "--batch-check=%(objecttype) %(objectsize)", commit).split()
            if kind != "commit" or int(size) > LARGEST_COMMIT:
                return None
            found = COMMITTER.search(_git(git, "--batch", commit))
        if found is None:
            return None
        minutes = int(found["hours"]) * 60 + int(found["minutes"])
        zone = timezone(timedelta(minutes=minutes if found["sign"] == "+" else -minutes))
        return datetime.fromtimestamp(int(found["seconds"]), zone)
    except (OSError, ValueError, OverflowError, Unreadable, subprocess.SubprocessError):
        return None  # no commit yet, no git here, a damaged repository


def _checked_out(folder: Path) -> str:
    """The name of the commit that is checked out."""
    head = _line(folder / "HEAD")
    if branch := REFERENCE.fullmatch(head):
        loose = folder / branch[1]
        if loose.is_file():
            head = _line(loose)
        else:
            packed = read(folder / "packed-refs", 1 << 20).decode("utf-8", "replace")
            lines = (line.split() for line in packed.splitlines())
            head = next((line[0] for line in lines if line[1:] == [branch[1]]), "")
    if not HASH.fullmatch(head):
        raise ValueError(head)
    return head


def _line(path: Path) -> str:
    return read(path, 1 << 12).decode("utf-8", "replace").strip()


def _git(where: Mapping[str, str], what: str, commit: str) -> str:
    """Ask for one object; there is no repository, configuration or network that git could use."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(
        ["git", "cat-file", what],
        env=keep | NOTHING | dict(where),
        input=f"{commit}\n".encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=SECONDS,
        check=True,
    )
    return done.stdout.decode("utf-8", "replace")
