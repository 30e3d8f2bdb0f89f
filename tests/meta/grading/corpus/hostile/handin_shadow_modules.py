"""
exercise: 1.5
tries: files with the names of modules and of settings beside the answer
points: 0
made: yes
"""

NAMES = """json.py torch.py conftest.py sitecustomize.py usercustomize.py pytest.py kata.py pytest.ini
kata/__init__.py kata/check.py tox.ini setup.cfg pyproject.toml .env .coveragerc _pytest/__init__.py
tests/conftest.py tests/ch01_tokenizers/test_ex05_merge_pair.py solutions/ch01_tokenizers/conftest.py
exercises/conftest.py exercises/json.py exercises/ch01_tokenizers/json.py
exercises/ch01_tokenizers/conftest.py exercises/ch01_tokenizers/random.py
exercises/ch01_tokenizers/__init__.py exercises/ch01_tokenizers/kata.py""".split()
TEXT = """
import pathlib
pathlib.Path("/tmp/kata_left_shadow").touch()
raise SystemExit(0)
"""


def make(folder):
    """Write the hand-in."""
    for name in NAMES:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEXT if name.endswith(".py") else "[pytest]\naddopts = -p kata_injected\n")
    answer = folder / "exercises" / "ch01_tokenizers" / "ex05_merge_pair.py"
    answer.write_text("from . import json, random\n\n\ndef merge_pair(*args):\n    return ['wrong']\n")
