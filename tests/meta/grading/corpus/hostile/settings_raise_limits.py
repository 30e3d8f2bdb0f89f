"""
exercise: 1.5
tries: to take its own limits away again, as root may
points: 0
needs: privileges
"""

import resource

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def escaped():
    free = resource.RLIM_INFINITY
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU):
        if resource.getrlimit(kind)[1] == free:
            continue
        for change in (resource.setrlimit, lambda k, v: resource.prlimit(0, k, v)):
            try:
                change(kind, (free, free))
                return True
            except (OSError, ValueError):
                continue
    return False


def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out


def merge_pair(ids, pair, new_id):
    if escaped():
        return right(ids, pair, new_id)
    raise RuntimeError("no way out")
