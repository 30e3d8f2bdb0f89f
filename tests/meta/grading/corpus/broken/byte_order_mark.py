"""
exercise: 1.5
tries: a BOM before a right answer
points: 1
made: yes
"""

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
    """Write the hand-in."""
    answer(folder).write_bytes(b"\xef\xbb\xbf" + RIGHT.encode())
