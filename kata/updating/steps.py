"""Carrying a plan out, so that it can be interrupted anywhere: copies first, then one file a time.

Every file is looked at once more right before it is replaced; one that somebody has saved since the
plan was made is left alone. Doing the same again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from kata import backup, files
from kata.course import Course
from kata.updating.model import Step


def keep(course: Course, steps: Iterable[Step]) -> Path | None:
    """Copy every file that will be replaced or removed, under its own path.

    Returns:
        The folder of the copies, or None when there is nothing to keep.

    Raises:
        OSError: not all could be copied; nothing else has happened.
    """
    old = {step.path: step.old for step in steps if step.old is not None}
    if not old:
        return None
    folder = _new_folder(backup.folder(course))
    for path, data in old.items():
        backup.save(folder / path, data)
    for place in {parent for path in old for parent in Path(path).parents}:
        backup.sync_folder(folder / place)
    backup.sync_folder(folder.parent)
    return folder


def _new_folder(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    name = f"update_{backup.stamp()}"
    for number in count(1):
        folder = parent / (f"{name}_{number}" if number > 1 else name)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError  # count() does not end


def carry_out(root: Path, steps: Sequence[Step]) -> list[str]:
    """Write and remove the files of the plan, in its order.

    Returns:
        The files that somebody has changed since the plan was made: they are as they were.

    Raises:
        OSError: a file cannot be written; what comes after it was not touched.
    """
    changed = []
    for step in steps:
        try:
            if step.new is not None:
                files.write(root / step.path, step.new, expected=step.old)
            elif step.old is not None and (root / step.path).exists():
                files.remove(root / step.path, step.old)
        except files.Changed:
            changed.append(step.path)
    return changed
