"""
exercise: 1.5
tries: a right answer with prints everywhere and a main
points: 1
"""

import sys

print("loading", __name__)


def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def merge_pair(ids, pair, new_id):
    print("debug:", ids, pair, new_id, file=sys.stderr)
    result = right(ids, pair, new_id)
    print(result)
    return result


if __name__ == "__main__":
    assert merge_pair([1, 2], (1, 2), 3) == [4]
