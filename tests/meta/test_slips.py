"""The slips of every beginner, made in every exercise: each has a sentence of its own.

What an exercise returns to a test is changed on its way: nothing comes back, or a tuple, a list,
another dtype, another device. One run for each slip; an exercise is left alone once it was said.
"""

import ast
import json
import os
import subprocess
import sys

import pytest

from tests.meta.conftest import EXERCISES, PROJECT, REAL_DATA

pytestmark = pytest.mark.timeout(900)
SENTENCES = {
    "nothing": "got None: is a `return` missing?",
    "tuple": "got a tuple: a comma too many, or a second value after `return`?",
    "list": "got a list: torch.tensor or torch.stack makes a tensor of it",
    "dtype": "takes the dtype of the input",
    "device": "takes the device of the input",
}
# Appended to a solution: what it returns to the outermost caller is changed.
SLIP = """

import functools as _functools

_depth = []


def _slipped(value):
    kind = {slip!r}
    if kind == "nothing":
        return None
    if type(value).__name__ != "Tensor":
        return value
    if kind == "tuple":
        return (value,)
    if kind == "list":
        return value.tolist() if value.dim() else value
    if kind == "device":
        return value.to("meta")
    return value.double() if value.is_floating_point() and value.dtype.itemsize < 8 else value


def _slipping(function):
    @_functools.wraps(function)
    def wrapper(*args, **kwargs):
        _depth.append(1)
        try:
            value = function(*args, **kwargs)
        finally:
            _depth.pop()
        return value if _depth else _slipped(value)

    return wrapper

"""
# A plugin: once the sentence was said, the tests that are left of an exercise are not run.
ONE_IS_ENOUGH = """
import json, sys
import pytest
import kata.session

kata.session.DIAGNOSIS_SECONDS = -1  # no wrong version is run
sentence, file = sys.argv[1:3]
said, failed = set(), {}


class Plugin:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        if item.path.name in said:
            pytest.skip("said")

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.partition("::")[0].rpartition("/")[2]
        if report.failed:
            message = report.kata["message"] if hasattr(report, "kata") else str(report.longrepr)
            failed.setdefault(name, []).append(message)
            if sentence in message:
                said.add(name)


pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[3:]], plugins=[Plugin()])
with open(file, "w", encoding="utf-8") as out:
    json.dump(failed, out)
"""


def slip(exercise, kind):
    """The solution of an exercise with this slip in each of its functions and methods."""
    text = (PROJECT.solutions_dir / exercise.path).read_text("utf-8")
    places = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            places.append(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            plain = [n.name for n in methods if n.name[:2] != "__" and not n.decorator_list]
            places += [f"{node.name}.{name}" for name in plain]
    lines = [f"{place} = _slipping({place})" for place in places]
    return "\n".join([text, SLIP.format(slip=kind), *lines, ""])


@pytest.fixture
def failures(once, tmp_path):
    """The messages of each exercise under a slip, by the name of the test file."""

    def run(kind):
        answers = tmp_path / kind
        for exercise in PROJECT.exercises:
            path = answers / exercise.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(slip(exercise, kind), "utf-8")
        out = tmp_path / f"{kind}.json"
        subprocess.run(
            [sys.executable, "-c", ONE_IS_ENOUGH, SENTENCES[kind], out, f"--answers={answers}"],
            cwd=PROJECT.root,
            env=os.environ | REAL_DATA,
            capture_output=True,
            check=True,
        )
        return json.loads(out.read_text("utf-8"))

    return lambda kind: once(f"slip-{kind}", lambda: run(kind))


@pytest.mark.parametrize("kind", SENTENCES)
@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_slip_has_its_own_sentence(failures, exercise, kind):
    messages = failures(kind).get(f"test_{exercise.name}.py", [])
    assert not messages or any(SENTENCES[kind] in message for message in messages), messages


@pytest.mark.parametrize(("kind", "least"), [("nothing", 100), ("tuple", 50), ("dtype", 40)])
def test_the_slips_are_made_in_most_exercises(failures, kind, least):
    assert len(failures(kind)) >= least
