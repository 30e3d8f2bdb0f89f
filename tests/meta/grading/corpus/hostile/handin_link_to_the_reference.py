"""
exercise: 1.5
tries: a link in the place of the answer, so that the judge reads the reference for it
points: 0
made: yes
"""

import os
from pathlib import Path


def make(folder):
    """Write the hand-in."""
    from tests.meta.minicourse import PROJECT

    answer = folder / "exercises" / "ch01_tokenizers" / "ex05_merge_pair.py"
    answer.parent.mkdir(parents=True)
    answer.symlink_to(PROJECT / "solutions" / "ch01_tokenizers" / "ex05_merge_pair.py")
    (folder / "link").symlink_to(Path(os.sep))
