"""
exercise: 1.5
tries: a zip file with nothing in it
points: 0
verdict: todo|missing|crash
made: yes
"""

import zipfile


def make(folder):
    """Write the hand-in, and return the zip file."""
    with zipfile.ZipFile(folder / "handin.zip", "w"):
        return folder / "handin.zip"
