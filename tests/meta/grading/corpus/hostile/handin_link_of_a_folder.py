"""
exercise: 1.5
tries: a link in the place of the chapter's folder, with a relative path
points: 0
made: yes
"""

import os


def make(folder):
    """Write the hand-in."""
    from tests.meta.minicourse import PROJECT

    (folder / "exercises").mkdir()
    chapter = PROJECT / "solutions" / "ch01_tokenizers"
    (folder / "exercises" / "ch01_tokenizers").symlink_to(os.path.relpath(chapter, folder / "exercises"))
