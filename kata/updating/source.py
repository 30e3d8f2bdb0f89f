"""The new version of the course: from a git repository, a folder or a zip file.

Nothing of it is run, and its exercises are untouched, whatever somebody tried out where it is from.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from kata import stubs
from kata.course import CourseError
from kata.grading.handin import HandIn, Unreadable, shown
from kata.updating.fetch import Upstream, ask_git, fetch
from kata.updating.safety import LARGEST_FILE, check_size, safe
from kata.updating.trees import Tree

REMOTES = ("upstream", "origin")
LEFT_OUT = {
    ".git", ".hg", ".kata", ".venv", "venv", ".nox", ".hypothesis", ".pytest_cache", ".mypy_cache",
    ".ruff_cache", ".ipynb_checkpoints", ".ds_store", "__pycache__", "__macosx", "node_modules",
    "build", "dist",
}  # fmt: skip
EXERCISE = re.compile(r"(exercises|solutions)/ch\d\d_\w+/ex\d\d_\w+\.py")
NO_PLACE = (
    "where does the new version come from? Name it once with: git remote add upstream URL, "
    "or each time with: kata update --from URL (or a folder, or a zip file)"
)


def default_place(root: Path) -> str:
    """The URL of the remote `upstream`, else of `origin`.

    Raises:
        CourseError: there is neither.
    """
    if (root / ".git").exists():
        for name in REMOTES:
            try:
                place = ask_git(["-C", str(root), "remote", "get-url", name]).decode().strip()
            except subprocess.CalledProcessError:
                continue
            inside = root / place  # a path can be relative, but not to where the command is typed
            return str(inside.resolve()) if "://" not in place and inside.exists() else place
    raise CourseError(NO_PLACE)


def read(place: str, ref: str = "") -> Upstream:
    """Read the new version.

    Args:
        place: a git URL or path, a folder, a zip file.
        ref: a branch, a tag or a commit of a git repository; empty for its default branch.

    Raises:
        CourseError: it cannot be read as a whole, or is no course; nothing was changed.
    """
    path = Path(place)
    is_git = not path.exists() or (path / ".git").exists() or (path / "HEAD").is_file()
    if ref and not is_git:
        raise CourseError(f"--ref belongs to a git repository, and {place} is none")
    found = fetch(place, ref) if is_git else _copied(path)
    tree = _checked(found.name, _without_top(found.tree))
    found.tree = tree | _generated(tree)
    return found


def _generated(tree: Tree) -> dict[str, bytes]:
    """The exercises, untouched, whatever somebody tried out in the place where they come from."""
    made = {}
    for path, data in tree.items():
        folder, _, inside = path.partition("/")
        if folder != "solutions" or not re.fullmatch(r"ch\d\d_\w+/\w+\.py", inside):
            continue
        if EXERCISE.fullmatch(path):
            try:
                data = stubs.stub_from(data.decode(), inside).encode()
            except (CourseError, SyntaxError, ValueError):  # then what lies in exercises/ counts
                continue
        made[f"exercises/{inside}"] = data
    return made


def _without_top(tree: Tree) -> Tree:
    """The files without the folder around them that archives of a repository have."""
    tops = {path.split("/")[0] for path in tree}
    if len(tops) != 1 or tops & {"exercises", "solutions"}:
        return tree
    return {path.partition("/")[2]: data for path, data in tree.items() if "/" in path}


def _checked(name: str, tree: Tree) -> dict[str, bytes]:
    if not any(map(EXERCISE.fullmatch, tree)) or not any(p.startswith("tests/") for p in tree):
        raise CourseError(
            f"{name} is no copy of this course: exercises/chNN_topic/exMM_name.py is missing"
        )
    cases: dict[str, str] = {}
    for path in tree:
        if twin := cases.get(path.casefold()):
            raise CourseError(
                f"{name} has two files of the same name: {shown(twin)}, {shown(path)}"
            )
        cases[path.casefold()] = path
    return dict(tree)


# ------------------------------------------------------------------------- a folder or a zip file


def _is_left_out(name: str) -> bool:
    return name.lower() in LEFT_OUT or name.endswith((".pyc", ".egg-info"))


def _copied(path: Path) -> Upstream:
    name = shown(str(path))
    if path.is_file() and path.suffix.lower() != ".zip":
        raise CourseError(f"{name} is neither a git repository, nor a folder, nor a zip file")
    tree: dict[str, bytes] = {}
    with HandIn(path.resolve(), _is_left_out) as found:
        if found.problems:  # a file that is not seen would count as removed
            raise CourseError(f"{name} was not used: {found.problems[0]}")
        check_size([entry.size for entry in found.entries], name)
        for entry in found.entries:
            path_inside = safe(entry.path.as_posix(), name)
            try:
                tree[path_inside] = entry.read(LARGEST_FILE)
            except Unreadable as error:
                raise CourseError(f"{name} was not used: {shown(path_inside)}: {error}") from None
    return Upstream(name, tree)
