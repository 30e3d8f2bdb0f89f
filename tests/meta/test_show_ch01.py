"""`kata show 1`: the capstone of chapter 1, on the references and on broken copies of them."""

import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kata.course import Course, find_root
from kata.show import NotReady
from kata.show.ch01 import TEXT, show

COURSE = Course(find_root(Path(__file__).resolve()))
CHAPTER = "ch01_tokenizers"


@pytest.fixture(autouse=True)
def no_real_files(monkeypatch):
    monkeypatch.delenv("KATA_DATA", raising=False)
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)


@pytest.fixture
def tree(tmp_path):
    """A copy of the references that a test may break."""
    return Path(shutil.copytree(COURSE.solutions_dir, tmp_path / "answers"))


ENCODED = "return list(chain"  # the last line of `encode`


def break_file(tree, name, old, new):
    path = tree / CHAPTER / name
    source = path.read_text("utf-8")
    assert old in source
    path.write_text(source.replace(old, new, 1), "utf-8")


def run(tree, **options):
    console = Console(file=StringIO(), width=100, **options)
    (page,) = show(COURSE, tree, tree.parent / "out", console)
    return console.file.getvalue(), page.read_text("utf-8")


def test_the_references_agree_with_tiktoken(tree):
    terminal, page = run(tree)
    assert "The ids agree" in terminal
    assert "The ids agree" in page
    assert "trained just now" in terminal


def test_the_page_needs_nothing_from_outside(tree):
    _, page = run(tree)
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script", page)
    assert "prefers-color-scheme: dark" in page


def test_without_colours_bars_separate_the_tokens(tree):
    assert "The|" in run(tree)[0]
    coloured, _ = run(tree, color_system="256", force_terminal=True)
    assert "The|" not in coloured
    assert "\x1b[30;48;5;153m" in coloured


def test_the_first_difference_is_named(tree):
    break_file(tree, "ex09_pretokenize.py", ENCODED, "return list(text.encode())  #")
    terminal, page = run(tree)
    assert "The ids differ: they do so first at token" in terminal
    assert "✗ The ids differ" in page


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ex07_bpe_encode.py", "# solution", 'raise NotImplementedError("x")', "^1.7 .* to do"),
        ("ex07_bpe_encode.py", "# solution", 'raise KeyError("oops")', "^1.7 .*KeyError.*oops"),
        ("ex15_compare_encodings.py", "return rows", "return None", "^1.15 .*TypeError"),
        ("ex15_compare_encodings.py", "def tokens_to_html", "def page", "no `tokens_to_html`"),
        ("ex09_pretokenize.py", ENCODED, "return None  #", "^1.9: `encode` returned None"),
        (
            "ex09_pretokenize.py",
            ENCODED,
            "return list(text.encode())[:6]  #",
            "^1.9: .* not a text",
        ),
        ("ex09_pretokenize.py", "import regex", "import regex as", "^1.9 .*SyntaxError"),
    ],
)
def test_what_is_not_ready_is_named(tree, name, old, new, message):
    break_file(tree, name, old, new)
    with pytest.raises(NotReady, match=message):
        run(tree)


def test_a_missing_file_is_named(tree):
    (tree / CHAPTER / "ex15_compare_encodings.py").unlink()
    with pytest.raises(NotReady, match=r"^1\.15 .* is missing"):
        run(tree)


def test_the_text_has_what_tells_tokenizers_apart():
    assert {"🌟", "天", "\n", " "} <= set(TEXT)
