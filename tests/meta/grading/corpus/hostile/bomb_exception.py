"""
exercise: 1.5
tries: exceptions of fifty megabytes: the message, notes, a chain of causes, a group of thousands
points: 0
"""


def merge_pair(ids, pair, new_id):
    if len(ids) == 6:
        raise ValueError("A" * 50_000_000)
    if len(ids) == 3:
        error = ValueError("notes")
        for _ in range(10_000):
            error.add_note("B" * 5000)
        raise error
    if len(ids) == 4:
        raise ExceptionGroup("C" * 1_000_000, [ValueError("c" * 1000) for _ in range(20_000)])
    error = first = ValueError("chain")
    for _ in range(100_000):
        error.__cause__ = ValueError("link")
        error = error.__cause__
    error.__cause__ = first
    raise first
