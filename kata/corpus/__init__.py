"""The texts that the project brings along, written for it: to train on, and to tune with."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent

PATH = _FOLDER / "sella.txt"
"""A play of 31 thousand characters; chapter 7 trains on it."""

PAIRS_PATH = _FOLDER / "pairs.jsonl"
"""A JSON object per line, with the strings `prompt` and `response`; chapter 8 tunes with them."""
