"""
exercise: 1.5
tries: a notebook in the place of the files
points: honest
made: yes
"""

import json

NAME = "exercises/ch01_tokenizers/ex05_merge_pair.py"
RIGHT = """def merge_pair(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if hit else ids[i])
        i += 1 + hit
    return merged
"""


def answer(folder):
    """The place of the answer, in folders that are there."""
    (folder / NAME).parent.mkdir(parents=True, exist_ok=True)
    return folder / NAME


def make(folder):
    """Write the hand-in."""
    cells = ["%matplotlib inline\n!pip install torch", "# 1.5\n" + RIGHT, "merge_pair([1, 2], (1, 2), 3)"]
    cells = [{"cell_type": "code", "source": [text], "metadata": {}, "outputs": []} for text in cells]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    (folder / "answers.ipynb").write_text(json.dumps(notebook))
