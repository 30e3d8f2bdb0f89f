"""
exercise: 1.5
tries: six gigabytes of memory, touched page by page
points: 0
needs: memory
"""

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def escaped():
    kept = []
    try:
        for _ in range(96):
            kept.append(bytearray(b"x") * (64 << 20))
    except MemoryError:
        return False
    return True


def merge_pair(ids, pair, new_id):
    if len(ids) == 6 and escaped():
        return right(ids, pair, new_id)
    raise RuntimeError("no way out")
