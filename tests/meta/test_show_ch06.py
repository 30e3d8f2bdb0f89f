"""`kata show 6`: the capstone of chapter 6, on the references and on broken copies of them."""

import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kata.course import Course, find_root
from kata.show import NotReady
from kata.show.ch06 import EXPERTS, SENTENCE, TEXT, VOCAB, _words, show

COURSE = Course(find_root(Path(__file__).resolve()))
CHAPTER = "ch06_moe"


@pytest.fixture
def tree(tmp_path):
    """A copy of the references that a test may break."""
    return Path(shutil.copytree(COURSE.solutions_dir, tmp_path / "answers"))


@pytest.fixture
def hurried(monkeypatch):
    """Hardly any training, for tests in which nothing has to be learned."""
    monkeypatch.setattr("kata.show.ch06.STEPS", 2)


def break_file(tree, name, old, new):
    path = tree / CHAPTER / name
    source = path.read_text("utf-8")
    assert old in source
    path.write_text(source.replace(old, new, 1), "utf-8")


def run(tree):
    console = Console(file=StringIO(), width=1000)
    (page,) = show(COURSE, tree, tree.parent / "out", console)
    assert page.name == "ch06.html"
    return console.file.getvalue(), page.read_text("utf-8")


def test_the_sentence_is_new_and_its_words_are_not():
    assert SENTENCE not in " ".join(TEXT.split())
    assert {word.lower() for word in _words(SENTENCE)} <= set(VOCAB)


def test_the_loss_spreads_the_work(tree):
    terminal, page = run(tree)
    assert "Your balancing loss spreads the work. With it the busiest expert gets " in terminal
    assert re.search("and [1-4] of 6 experts have next to nothing to do", terminal)
    assert "<strong>✓ Your balancing loss spreads the work.</strong>" in page


def test_every_word_shows_both_of_its_experts(tree, hurried):
    terminal, page = run(tree)
    tokens = re.findall(r'<span class="token" title="(.+?): ([A-F]) \d+%.*?, ([A-F]) \d+%', page)
    words = _words(SENTENCE)
    assert [word for word, *_ in tokens] == words * 2  # without the loss and with it
    assert all(first != second for _, first, second in tokens)
    pairs = re.findall(r"(\S+)/\(?([A-F])\)?\(?([A-F])\)?(?!\S)", terminal)
    assert pairs == tokens


def test_the_load_is_shown_before_and_after(tree, hurried):
    terminal, page = run(tree)
    shares = re.findall(r"expert [A-F].*?(\d+)%.*?(\d+)%.*?(\d+)%", terminal)
    assert len(shares) == EXPERTS
    assert all(97 <= sum(map(int, column)) <= 103 for column in zip(*shares, strict=True))
    for expert in range(EXPERTS):
        assert page.count(f'<span class="e e{expert}" style="width:') <= 3


def test_what_finds_no_room_is_struck_out(tree, hurried):
    _, page = run(tree)
    assert len(re.findall(r'class="e e\d full" style="flex:', page)) == page.count("(no room)") > 0


def test_the_page_needs_nothing_from_outside(tree, hurried):
    _, page = run(tree)
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script", page)
    assert "prefers-color-scheme: dark" in page


def test_a_loss_without_gradient_is_told(tree):
    old = "return n_experts * (fraction * mean_prob).sum()"
    break_file(tree, "ex03_load_balancing_loss.py", old, f"{old}.detach()")
    terminal, page = run(tree)
    assert "The balancing loss did not spread the work." in terminal
    assert "pytest tests/ch06_moe" in terminal
    assert "<strong>✗ The balancing loss did not spread the work.</strong>" in page


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ex01_topk_router.py", "# solution", 'raise NotImplementedError("x")', "^6.1 .* to do"),
        ("ex03_load_balancing_loss.py", "# solution", 'raise NotImplementedError("x")',
         "^6.3 .* to do"),
        ("ex04_capacity_dispatch.py", "# solution", 'raise NotImplementedError("x")',
         "^6.4 .* to do"),
        ("ex02_moe_layer.py", "return y.reshape(x.shape)", "return y[0]", "^6.2: .* returned"),
        ("ex02_moe_layer.py", "self.gate =", "self.router =", "^6.2 .*gate"),
        ("ex01_topk_router.py", "(x.dtype), idx,", "(x.dtype), idx + 9,", "^6.1: .* no experts"),
        ("ex01_topk_router.py", "(x.dtype), idx, probs", "(x.dtype), idx", "^6.1 .*ValueError"),
        ("ex04_capacity_dispatch.py", "return slot < capacity, slot", "return slot, slot",
         "^6.4: .* not booleans"),
        ("ex04_capacity_dispatch.py", "# solution", 'raise KeyError("oops")',
         "^6.4 .*KeyError.*oops"),
    ],
)  # fmt: skip
def test_what_is_not_ready_is_named(tree, hurried, name, old, new, message):
    break_file(tree, name, old, new)
    with pytest.raises(NotReady, match=message):
        run(tree)
