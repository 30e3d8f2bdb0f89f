"""
exercise: 1.5
tries: to import the reference as a package, by its file, by runpy, by zipimport
points: 0
needs: file access
"""

import importlib
import importlib.util
import os
import runpy
import sys
from pathlib import Path

def course():
    """The folder of the course, found as an attacker finds it."""
    tool = str(getattr(sys.modules.get("kata"), "__file__", "."))
    for place in map(Path, [globals().get("__file__", "."), tool, os.getcwd(), *sys.path]):
        for folder in (place.absolute(), *place.absolute().parents):
            if (folder / "solutions").is_dir():
                return folder
    raise FileNotFoundError("the course")


def as_package(file):
    sys.path.insert(0, str(file.parents[2]))
    return importlib.import_module("solutions.ch01_tokenizers.ex05_merge_pair")


def as_file(file):
    spec = importlib.util.spec_from_file_location("reference", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_script(file):
    return type("Module", (), {k: staticmethod(v) for k, v in runpy.run_path(file).items() if callable(v)})


def merge_pair(ids, pair, new_id):
    file, problems = course() / "solutions" / "ch01_tokenizers" / "ex05_merge_pair.py", []
    for way in (as_package, as_file, as_script):
        try:
            return way(file).merge_pair(ids, tuple(pair), new_id)
        except BaseException as error:
            problems.append(repr(error))
    raise RuntimeError(problems)
