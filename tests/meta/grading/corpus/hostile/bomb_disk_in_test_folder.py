"""
exercise: 1.11
tries: more files in the folder of the test than the quota of the scratch folder allows
at_most: 0.6
needs: disk space
"""

from pathlib import Path


def bytes_to_unicode():
    raise NotImplementedError("bytes_to_unicode")


class GPT2Tokenizer:
    def __init__(self, encoder, merges):
        raise NotImplementedError("GPT2Tokenizer")


def load_gpt2_bpe(encoder_file, *others):
    folder, block, written = Path(encoder_file).parent, b"x" * (32 << 20), 0
    for number in range(5):
        with open(folder / f"kata_left_{number}", "wb", 0) as file:
            written += file.write(block)
    raise MemoryError(f"kata_disk_bomb {written}")
