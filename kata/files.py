"""Writing files so that a crash, a full disk or a second process never leaves half of one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Replace the file at once: a reader sees the old text or the new one, nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes a file that only its owner can read; this one takes the old one's place.
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(beside, mode)
        os.replace(beside, path)
    except BaseException:  # Ctrl-C can come when it has taken its place already
        Path(beside).unlink(missing_ok=True)
        raise


def remove_folder(folder: Path) -> None:
    """Remove a folder and all that is in it, however deep; what cannot be removed stays."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:  # it descends by recursion, `rm` does not
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False)


def write_json(path: Path, value: Any) -> None:
    """The same for a JSON document."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
