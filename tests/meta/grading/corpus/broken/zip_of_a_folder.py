"""
exercise: 1.5
tries: a zip file of the whole folder, with what a Mac adds to it, and a right answer
points: 1
made: yes
"""

import zipfile

NAME = "exercises/ch01_tokenizers/ex05_merge_pair.py"
RIGHT = """def merge_pair(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if hit else ids[i])
        i += 1 + hit
    return merged
"""


def answer(folder):
    """The place of the answer, in folders that are there."""
    (folder / NAME).parent.mkdir(parents=True, exist_ok=True)
    return folder / NAME


def make(folder):
    """Write the hand-in, and return the zip file."""
    file = folder / "handin.zip"
    with zipfile.ZipFile(file, "w") as handin:
        handin.writestr(f"llm-katas-main/{NAME}", RIGHT)
        handin.writestr("__MACOSX/llm-katas-main/exercises/ch01_tokenizers/._ex05_merge_pair.py", "\0")
        handin.writestr("llm-katas-main/.DS_Store", "\0" * 100)
    return file
