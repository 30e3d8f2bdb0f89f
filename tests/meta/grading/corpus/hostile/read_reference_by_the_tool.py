"""
exercise: 1.5
tries: this tool's own loader and catalogue, which know where the references are
points: 0
needs: file access
"""

import os
import sys
from pathlib import Path

def course():
    """The folder of the course, found as an attacker finds it."""
    tool = str(getattr(sys.modules.get("kata"), "__file__", "."))
    for place in map(Path, [globals().get("__file__", "."), tool, os.getcwd(), *sys.path]):
        for folder in (place.absolute(), *place.absolute().parents):
            if (folder / "solutions").is_dir():
                return folder
    raise FileNotFoundError("the course")


def merge_pair(ids, pair, new_id):
    from kata.course import Course
    from kata.load import Source, fresh

    it = Course(course())
    exercise = it.find("1.5")
    with fresh(Source(exercise, it.solutions_dir, (it.solutions_dir,))) as module:
        return module.get().merge_pair(ids, tuple(pair), new_id)
