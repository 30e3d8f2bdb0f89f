"""
exercise: 1.5
tries: a folder with a letter in it
points: 0
verdict: todo|missing|crash
made: yes
"""


def make(folder):
    """Write the hand-in."""
    (folder / "sorry.txt").write_text("I was ill.")
