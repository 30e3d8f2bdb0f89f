"""
exercise: 1.5
tries: to replace its own file by a right answer, so that the next test loads that
points: 0
needs: file access
"""

import os
import sys
from pathlib import Path

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def merge_pair(ids, pair, new_id):
    text = Path(__file__).read_text().replace("raise Runtime" + "Error", "return right(ids, pair, new_id) #")
    places = [Path(__file__), *Path(__file__).absolute().parents]
    places += [Path(p) / "ex05_merge_pair.py" for p in ("exercises/ch01_tokenizers", ".", "/tmp")]
    for place in places:
        try:
            place.write_text(text)
        except OSError:
            continue
    raise RuntimeError("not yet")
