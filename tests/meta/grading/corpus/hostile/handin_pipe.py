"""
exercise: 1.5
tries: a named pipe in the place of the answer, at which a reader waits for ever
points: 0
made: yes
"""

import os


def make(folder):
    """Write the hand-in."""
    chapter = folder / "exercises" / "ch01_tokenizers"
    chapter.mkdir(parents=True)
    os.mkfifo(chapter / "ex05_merge_pair.py")
    (chapter / "ex06_train_bpe.py").symlink_to("/dev/zero")
    (chapter / "ex07_bpe_encode.py").symlink_to("ex07_bpe_encode.py")
