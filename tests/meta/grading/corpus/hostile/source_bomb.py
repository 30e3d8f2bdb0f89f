"""
exercise: 1.5
tries: an expression nested so deeply that a parser overflows its stack
points: 0
made: yes
"""


def make(folder):
    """Write the hand-in."""
    file = folder / "exercises" / "ch01_tokenizers" / "ex05_merge_pair.py"
    file.parent.mkdir(parents=True)
    deep = "-" * 200_000 + "1"
    file.write_text(f"def merge_pair(ids, pair, new_id):\n    return {deep}\n")
