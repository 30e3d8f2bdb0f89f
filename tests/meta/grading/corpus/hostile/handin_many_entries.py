"""
exercise: 1.5
tries: a zip file of twenty thousand entries, some hundreds of folders deep, and a lying table of contents
points: 0
made: yes
"""

import zipfile


def make(folder):
    """Write the hand-in, and return the zip file."""
    file = folder / "handin.zip"
    with zipfile.ZipFile(file, "w") as handin:
        for number in range(20_000):
            handin.writestr(f"exercises/ch01_tokenizers/x{number}.py", "")
        handin.writestr("d/" * 500 + "ex05_merge_pair.py", "def merge_pair(*args): return 1\n")
        handin.writestr("exercises/ch01_tokenizers/ex05_merge_pair.py", "def merge_pair(*a): return 2\n")
        handin.infolist()[-1].file_size = 1 << 31
    return file
