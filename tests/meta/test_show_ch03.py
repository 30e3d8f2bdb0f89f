"""`kata show 3`: the capstone of chapter 3, on the references and on broken copies of them."""

import os
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kata.course import Course, find_root
from kata.data import RealData
from kata.show import NotReady
from kata.show.ch03 import AFTER, AGREE, DIFFER, MODEL, PATTERNS, show

COURSE = Course(find_root(Path(__file__).resolve()))
CHAPTER = "ch03_attention"
REAL = RealData(dict(os.environ)).find(MODEL)


@pytest.fixture(autouse=True)
def no_real_files(monkeypatch):
    monkeypatch.delenv("KATA_DATA", raising=False)


@pytest.fixture
def real_model(monkeypatch):
    if REAL is None:
        pytest.skip(f"not run: no {MODEL} (set KATA_DATA to the folder that holds it)")
    monkeypatch.setenv("KATA_DATA", str(REAL.parent))


@pytest.fixture
def tree(tmp_path):
    """A copy of the references that a test may break."""
    return Path(shutil.copytree(COURSE.solutions_dir, tmp_path / "answers"))


def break_file(tree, name, old, new):
    path = tree / CHAPTER / name
    source = path.read_text("utf-8")
    assert old in source
    path.write_text(source.replace(old, new, 1), "utf-8")


def run(tree):
    console = Console(file=StringIO(), width=100)
    (page,) = show(COURSE, tree, tree.parent / "out", console)
    assert page.name == "ch03.png"
    assert page.read_bytes()[:4] == b"\x89PNG"
    return " ".join(console.file.getvalue().split())


def test_without_a_model_one_learns_to_copy(tree):
    terminal = run(tree)
    assert "trained just now" in terminal
    assert f"of its weight to {AFTER}" in terminal


def test_the_references_agree_with_transformers(tree, real_model):
    terminal = run(tree)
    assert f"{AGREE} in all 40 heads" in terminal
    assert all(pattern in terminal for pattern in PATTERNS)


def test_the_first_difference_is_named(tree, real_model):
    break_file(tree, "ex08_rope.py", "angles.sin()", "-angles.sin()")
    break_file(tree, "ex01_causal_mask.py", "keys <=", "keys <")
    assert f"{DIFFER}, first in layer 0, head 0, where token 0" in run(tree)


def test_a_model_that_sees_the_future_learns_nothing(tree):
    break_file(tree, "ex04_multi_head_attention.py", "if self.causal:", "if False:")
    assert f"No head has learned to look at {AFTER}" in run(tree)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ex03_split_heads.py", "# solution", 'raise NotImplementedError("x")', "^3.3 .* to do"),
        ("ex13_attention_map.py", "# solution", 'raise NotImplementedError("x")', "^3.13 .*to do"),
        ("ex13_attention_map.py", "return figure", "return None", "^3.13: .* returned None"),
        ("ex13_attention_map.py", "range(n_heads)", "range(1)", "^3.13: .* with 1 picture"),
        ("ex13_attention_map.py", "import Tensor", "import Tensor as", "^3.13 .*SyntaxError"),
        ("ex02_scaled_dot_product_attention.py", "# solution", "return q", "^3.2: .* returned"),
        ("ex04_multi_head_attention.py", "self.c_attn =", "self.attn =", "^3.4 .*c_attn"),
        ("ex01_causal_mask.py", "# solution", 'raise KeyError("oops")', "^3.1 .*KeyError.*oops"),
    ],
)
def test_what_is_not_ready_is_named(tree, monkeypatch, name, old, new, message):
    monkeypatch.setattr("kata.show.ch03.STEPS", 2)
    break_file(tree, name, old, new)
    with pytest.raises(NotReady, match=message):
        run(tree)


def test_rope_that_keeps_no_shape_is_named(tree, real_model):
    break_file(
        tree, "ex08_rope.py", "return torch.cat(turned, dim=-1)", "return torch.stack(turned)"
    )
    with pytest.raises(NotReady, match=r"^3\.8: `apply_rope` returned"):
        run(tree)
