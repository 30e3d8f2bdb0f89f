"""The new version out of a git repository, without touching the learner's own.

git fetches into an empty repository that is thrown away, without hooks, and hands out the contents
as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field

from kata.course import CourseError
from kata.text import ascii_safe, cut
from kata.updating.safety import check_size, safe
from kata.updating.trees import Tree

FILE_MODES = ("100644", "100755")
FETCHED = "refs/kata/new"
# Whoever starts this from a hook or an editor may have told git about another repository.
PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
QUIET = [
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "fetch.recurseSubmodules=no"),
]
NO_GIT = (
    "git is not installed here. Download the course as a zip file, then: "
    "kata update --from FILE.zip"
)


@dataclass
class Upstream:
    """The new version.

    Attributes:
        name: where it comes from, as it is shown.
        tree: its files.
        ever: what its history knows, see trees.Known; empty without git.
        left_out: by path, what is there and is no file that can be taken.
    """

    name: str
    tree: Tree
    ever: dict[str, set[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def fetch(place: str, ref: str) -> Upstream:
    """Fetch a branch, a tag or a commit; an empty `ref` is the default branch.

    Raises:
        CourseError: git cannot; the message gives its reason.
    """
    name = without_password(place)
    with tempfile.TemporaryDirectory(prefix="kata_update_", ignore_cleanup_errors=True) as folder:
        there = [f"--git-dir={folder}", *QUIET]
        try:
            ask_git(["init", "--quiet", "--bare", "--template=", folder])
            fetch = ["fetch", "--quiet", "--no-tags", "--update-shallow", "--no-write-fetch-head"]
            ask_git([*there, *fetch, "--", place, f"+{ref or 'HEAD'}:{FETCHED}"])
            tree, left_out = _contents(there, name)
            commit = ask_git([*there, "rev-parse", "--short", FETCHED]).decode().strip()
            return Upstream(f"{name} ({commit})", tree, _history(there), left_out)
        except subprocess.CalledProcessError as error:
            why = _last_line(error.stderr)
            raise CourseError(
                f"the new version could not be fetched from {name}: {why}. Nothing was changed"
            ) from None


def _contents(there: list[str], name: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files of the fetched commit, and by path what else is in it."""
    files: list[tuple[str, str]] = []
    left_out: dict[str, str] = {}
    sizes: list[int] = []
    for line in ask_git([*there, "ls-tree", "-r", "-l", "-z", "--full-tree", FETCHED]).split(b"\0"):
        if not line:
            continue
        facts, _, raw = line.partition(b"\t")
        mode, _, blob, size = facts.decode().split()
        path = safe(raw.decode("utf-8", "surrogateescape"), name)
        if mode not in FILE_MODES:
            left_out[path] = f"{path} is a link in the course, which is not followed"
            continue
        files.append((path, blob))
        sizes.append(int(size))
    check_size(sizes, name)
    blobs = "".join(f"{blob}\n" for _, blob in files).encode()
    answer = ask_git([*there, "cat-file", "--batch"], blobs)
    tree: dict[str, bytes] = {}
    position = 0
    for path, _ in files:
        end = answer.index(b"\n", position)
        length = int(answer[position:end].split()[2])
        position = end + 1 + length + 1
        tree[path] = answer[end + 1 : position - 1]
    return tree, left_out


def _history(there: list[str]) -> dict[str, set[str]]:
    """Every content that each path ever had."""
    commits = ask_git([*there, "rev-list", FETCHED])
    command = ["diff-tree", "--stdin", "--root", "-r", "-m", "-z", "--no-renames", "--no-commit-id"]
    fields = ask_git([*there, *command], commits).split(b"\0")
    ever: dict[str, set[str]] = {}
    for facts, raw in zip(fields[::2], fields[1::2], strict=False):
        blob = facts.decode().split()[3]
        if blob.strip("0"):
            ever.setdefault(raw.decode("utf-8", "surrogateescape"), set()).add(blob)
    return ever


def ask_git(args: list[str], given: bytes = b"") -> bytes:
    """What git answers.

    Raises:
        CourseError: there is no git.
        CalledProcessError: it refused.
    """
    environ = {k: v for k, v in os.environ.items() if k not in PLACES} | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *args], input=given, capture_output=True, check=True, env=environ
        )
    except FileNotFoundError:
        raise CourseError(NO_GIT) from None
    return done.stdout


def _last_line(stderr: bytes) -> str:
    """The reason that git gives, in one line."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    said = (fatal or [line for line in lines if line] or ["git gave no reason"])[0]
    said = said.removeprefix("fatal:").removeprefix("error:").strip().rstrip(".")
    return cut(ascii_safe(without_password(said)), 200)


def without_password(place: str) -> str:
    """A URL as it can be shown."""
    return re.sub(r"//[^/@\s]+@", "//", place)
