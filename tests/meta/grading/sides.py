"""The two sides of the boundary for tests: a learner's code in this process, or in a worker."""

import base64
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import torch
from torch import nn

from kata.grade import GUARD
from kata.grading.model import Submission
from kata.load import PREFIX
from kata.wrong import Bank
from tests.meta.minicourse import PROJECT

TREE = Path(__file__).parent / "tree"
FILE = TREE / "ch01_demo" / "ex01_double.py"
HEAD = "import collections, itertools, math, os, sys\nimport torch\nfrom torch import nn\n"


class Names:
    """What a learner's file defines, through a peer."""

    def __init__(self, peer):
        self.peer = peer

    def __getattr__(self, name):
        return self.peer.request("attribute", name=name)


def here(code):
    """The names that a learner's code defines, in this process."""
    module = types.ModuleType(f"{PREFIX}0.ch01_demo.ex01_double")
    exec(compile(HEAD + code, str(FILE), "exec"), vars(module))
    return module


def start(code):
    """What a worker is told, to have the same names."""
    data = base64.b64encode((HEAD + code).encode()).decode()
    names = {"chapter": "ch01_demo", "name": "ex01_double", "title": "1.1 Demo"}
    return names | {"tree": str(TREE), "texts": {"ch01_demo/ex01_double": [str(FILE), data]}}


class Double:
    """What a test hands over in the place of something large."""

    table = (1, 2)

    def __init__(self):
        self.calls = []
        self.secret = 42

    def __call__(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        return len(self.calls)

    def twice(self, x):
        return 2 * x

    @property
    def size(self):
        return 7


class Model(nn.Module):
    """A model of a test's own, which counts its calls."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("steps", torch.zeros(()))
        self.width = 2
        self.calls = 0

    def forward(self, x, *, shift=0.0):
        self.calls += 1
        return self.inner(x) * self.scale + shift


def grads(*tensors):
    """The gradients of these, as lists."""
    return [None if x.grad is None else x.grad.tolist() for x in tensors]


# ------------------------------------------------------------------------------------- grading


def grade(station, tree, folder, *numbers, **options):
    """What a station says about a folder of answers."""
    exercises = [station.course.find(number) for number in numbers]
    return station.grade(Submission("anna", tree, tree), folder, exercises, **options)


def plain(course, tree, *numbers):
    """The verdict file of the same without a judge, as `pytest --grade` makes it."""
    exercises = [course.find(number) for number in numbers]
    files = [course.tests_dir / e.chapter / f"test_{e.name}.py" for e in exercises]
    verdicts, root = tree / "plain.json", course.root
    args = ["-c", str(root / "pyproject.toml"), f"--rootdir={root}", f"--answers={tree}", "-q"]
    args += ["--grade", f"--grade-json={verdicts}", "-p", "no:cacheprovider", *map(str, files)]
    # A session inside of this one would leave its modules behind.
    command = [sys.executable, "-m", "pytest", *args]
    here = os.environ | {GUARD: os.devnull, "PYTHONPATH": str(PROJECT)}
    subprocess.run(command, cwd=root, env=here, capture_output=True, check=False)
    return json.loads(verdicts.read_text("utf-8"))


def learner(course, number, mistake=""):
    """A learner's file: the solution, with the wrong version of this name in it."""
    exercise = course.find(number)
    text = (course.solutions_dir / exercise.path).read_text("utf-8")
    if not mistake:
        return text
    wrong = Bank(course, exercise).file.read_text("utf-8")
    wrong = re.sub(r"^from (kata\.wrong|solutions\S*) import .*\n", "", wrong, flags=re.M)
    target = mistake.rsplit("__", 1)[0]
    names = f"{target}.__name__ = {target}.__qualname__ = {target!r}\n"
    return f"{text}\n\nwrong = lambda **_: lambda f: f\n{wrong}\n\n{target} = {mistake}\n{names}"


def write(course, tree, answers):
    """Write the answers to exercises, by number."""
    for number, text in answers.items():
        path = tree / course.find(number).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tree
