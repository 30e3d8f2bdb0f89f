"""
exercise: 1.5
tries: the stub as it was handed out
points: 0
verdict: todo
"""


def merge_pair(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """Replace every occurrence of `pair` by `new_id`, from left to right."""
    raise NotImplementedError("merge_pair")  # your code here
