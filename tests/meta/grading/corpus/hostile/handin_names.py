"""
exercise: 1.5
tries: names of files with escapes, markup, line ends, and paths that lead out
points: 0
made: yes
"""

NAMES = [
    "ex05_\x1b]0;kata_injected\x07.py",
    "ex05_<script>kata_injected<\\script>.py",
    "ex05_\n::error::kata_injected.py",
    "ex05_merge_pair.py ",
    "ex05_merge_pair.py\u202e",
    "..\\..\\ex05_merge_pair.py",
    "x" * 200 + ".py",
]


def make(folder):
    """Write the hand-in."""
    chapter = folder / "exercises" / "ch01_tokenizers"
    chapter.mkdir(parents=True)
    for name in NAMES:
        (chapter / name).write_text("def merge_pair(*args):\n    return []\n")
    (chapter / "ex05_merge_pair.py").write_text("def merge_pair(*args):\n    return ['wrong']\n")
