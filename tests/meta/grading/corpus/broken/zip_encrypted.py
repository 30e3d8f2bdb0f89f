"""
exercise: 1.5
tries: a zip file that says it is encrypted
points: 0
verdict: todo|missing|crash
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
        handin.writestr(NAME, RIGHT)
    data = bytearray(file.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    file.write_bytes(data)
    return file
