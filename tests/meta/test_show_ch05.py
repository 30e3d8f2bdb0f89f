"""`kata show 5`: the capstone of chapter 5, on the references and a tiny random model."""

import os
import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kata.course import Course, find_root
from kata.data import RealData
from kata.show import NotReady, ch05, ch05_page, weights
from tests.meta import random_llama

COURSE = Course(find_root(Path(__file__).resolve()))
CHAPTER = "ch05_decoding"
REAL = os.environ.get("KATA_DATA", "")  # the tests themselves run without it
PROMPT = weights.PROMPT + weights.OPENING
WORDS = [*dict.fromkeys(f"▁{word}" for word in PROMPT.split()), "s", ".", "<0x0A>", "▁cat", "▁the"]
TODO = 'raise NotImplementedError("x")'


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch):
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    monkeypatch.setattr(weights, "download", lambda *_: pytest.fail("the hub was asked"))


@pytest.fixture
def tree(tmp_path):
    """A copy of the references that a test may break."""
    return Path(shutil.copytree(COURSE.solutions_dir, tmp_path / "answers"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A random Llama where KATA_DATA has the real one, and less to write."""
    folder = tmp_path / "data" / weights.FOLDER
    random_llama.write_model(folder, WORDS, max_position_embeddings=96)
    monkeypatch.setenv("KATA_DATA", str(folder.parent))
    monkeypatch.setattr(ch05, "NEW_TOKENS", 6)
    return folder


@pytest.fixture
def published(tree, folder, monkeypatch):
    """What the random Llama writes is the published story."""
    story = greedy(run(tree)[0])
    monkeypatch.setattr(weights, "PUBLISHED", weights.OPENING + story)
    return story


def run(tree, **options):
    console = Console(file=StringIO(), width=1000, **options)
    (page,) = ch05.show(COURSE, tree, tree.parent / "out", console)
    return console.file.getvalue(), page.read_text("utf-8")


def greedy(terminal):
    """The greedy text, as it was printed."""
    text = re.search(r"\ngreedy: temperature=0\.0\n(.*)\n", terminal)[1]
    return text.replace(" ⏎ ", "\n")


def rewrite(tree, number, code):
    """Let the file end in code of a learner's; `right` is what it replaces."""
    path = tree / COURSE.find(number).path
    name = re.match(r"(?:def|class) (\w+)", code)[1]
    path.write_text(f"{path.read_text('utf-8')}\n\nright = {name}\n\n\n{code}\n", "utf-8")


# --------------------------------------------------------------------------------- what is shown


def test_every_strategy_is_told_with_its_settings(tree, folder):
    terminal, page = run(tree)
    assert f"\n{PROMPT} ...\n" in terminal
    for name, fields in ch05.STRATEGIES.items():
        seed = "" if fields.get("temperature") == 0 else ", seed 5"
        settings = ", ".join(f"{field}={value}" for field, value in fields.items()) + seed
        assert f"\n{name}: {settings}\n" in terminal
        assert f"<td>{name} ({settings})</td>" in page
    assert re.search(r"\nbeam search: beams=4, length_penalty=1.0, score -\d\.\d{4}\n", terminal)


def test_the_references_pass_every_comparison(tree, published):
    terminal, page = run(tree)
    assert "✗" not in terminal + page
    assert "All 14 comparisons came out right." in terminal
    assert "<strong>✓ All 14 comparisons came out right.</strong>" in page
    assert len(re.findall("<li>✓ 5", page)) == 14


def test_another_story_than_the_published_one_is_reported(tree, published, monkeypatch):
    monkeypatch.setattr(weights, "PUBLISHED", weights.OPENING + published[:-3] + "###")
    terminal, page = run(tree)
    words = f"✗ 5.10 generate: greedy, it writes {published[-3:]!r}, the published story goes on"
    assert f"{words} '###'" in terminal
    assert "<strong>✗ 1 of 14 comparisons failed.</strong> 5.10 generate" in page


def test_a_model_without_a_published_story_is_not_compared(tree, folder, monkeypatch):
    monkeypatch.setenv(weights.VARIABLE, str(folder))
    assert "All 13 comparisons came out right." in run(tree)[0]


def test_texts_that_end_at_once_are_empty(tree, folder):
    ends = [*range(len(random_llama.SPECIAL + WORDS))]
    random_llama.write_config(folder, WORDS, max_position_embeddings=96, eos_token_id=ends)
    terminal, page = run(tree)
    assert greedy(terminal) == ""
    assert "<td class=number>0 of 0</td>" in page


@pytest.mark.skipif(not Path(REAL, weights.FOLDER).is_dir() or not REAL, reason="no real model")
def test_the_references_pass_with_the_real_model(tree, monkeypatch):
    monkeypatch.setenv("KATA_DATA", REAL)
    monkeypatch.setattr(ch05, "NEW_TOKENS", 30)
    terminal, page = run(tree)
    assert "All 14 comparisons came out right." in terminal
    assert "keeps 11 tokens of 512, which had 80% of the probability" in page
    assert weights.find_checkpoint(RealData(), weights.OPENING).prompt == [
        *weights.PROMPT_IDS,
        *weights.OPENING_IDS,
    ]


def test_the_prompt_is_a_beginning_of_the_published_story():
    assert weights.PUBLISHED.startswith(weights.OPENING)


# ---------------------------------------------------------------------------------------- the page


def test_the_page_needs_nothing_from_outside(tree, folder):
    _, page = run(tree)
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script", page)
    assert "prefers-color-scheme: dark" in page


def test_what_a_filter_drops_can_be_read(tree, folder):
    charts = run(tree)[1].split('<div class="panel"><h3>')[1:]
    titles = [chart.partition("<")[0] for chart in charts]
    hot = ["temperature 0.5", "temperature 1", "temperature 1.5"]
    assert titles == [*hot, "top-k 5", "top-p 0.8", "min-p 0.1", "typical 0.5"]
    lines = re.findall(r"<tr.*", charts[3])
    dropped = [line for line in lines if 'class="out"' in line]
    assert len(lines) == ch05.ROWS + 1
    assert len(dropped) == ch05.ROWS - 5
    assert all(line.endswith("→ out</td></tr>") for line in dropped)
    assert not any('class="out"' in chart for chart in charts[:3])
    assert "keeps 5 tokens of" in charts[3]


def test_numbers_count_words_that_come_again():
    story = ch05_page.Story("greedy", "", [], "A cat, a dog.\nA cat, a dog", -0.5)
    assert story.cells[1:] == ["A cat, a dog. ⏎ A cat, a dog", "3 of 8", "2", "-0.50"]


# ------------------------------------------------------------------------------ wrong and not ready


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        ("5.1", "def next_token_topk(logits, k):\n    probs, ids = right(logits, k)\n"
         "    return probs / 2, ids", "5.1 next_token_topk"),
        ("5.2", "def apply_temperature(logits, temperature):\n    return logits * temperature",
         "5.2 apply_temperature(1.5): keeps"),
        ("5.4", "def top_p_filter(logits, p, min_keep=1):\n    return right(logits, p / 4)",
         "5.4 top_p_filter(0.8): keeps"),
        ("5.8", "def no_repeat_ngram_filter(logits, ids, n):\n    return logits",
         "5.8 no_repeat_ngram_filter(2): keeps"),
        ("5.9", "def process_logits(logits, ids, config):\n    return logits",
         "5.9 process_logits"),
        ("5.10", "def generate(*args, **options):\n    return right(*args, **options) * 0 + 4",
         "5.10 generate: greedy, it writes"),
        ("5.11", "def generate_cached(*args, **options):\n"
         "    return right(*args, **options) * 0 + 4", "5.11 generate_cached"),
        ("5.13", "def beam_search(*args):\n    return [(i, 2 * s) for i, s in right(*args)]",
         "5.13 beam_search: its score is"),
        ("5.13", "def beam_search(log_prob_fn, start, beams, *rest):\n"
         "    return right(log_prob_fn, [3], beams, *rest)", "5.13 beam_search: with one beam"),
        ("5.15", "def stream_text(ids, decode):\n    yield from list(right(ids, decode))[1:]",
         "5.15 stream_text"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_reported_by_number(tree, published, number, code, message):
    rewrite(tree, number, code)
    terminal, page = run(tree)
    assert f"\n✗ {message}" in terminal
    assert f"<li>✗ {message}" in page
    assert "comparisons failed. Do the tests pass? pytest tests/ch05_decoding" in terminal


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        ("5.4", f"def top_p_filter(logits, p):\n    {TODO}", r"^5\.4 .* to do"),
        ("5.4", "def top_p_filter(logits, p):\n    return logits[0]", r"^5\.4: .* not a tensor of"),
        ("5.4", "def top_p_filter(logits, p):\n    return q", r"^5\.4 .* NameError"),
        ("5.9", f"def process_logits(logits, ids, config):\n    {TODO}", r"^5\.9 .* to do"),
        ("5.10", "def generate(*_, **__):\n    return 3", r"^5\.10: `generate` returned 3, not a"),
        ("5.11", f"def generate_cached(*_, **__):\n    {TODO}", r"^5\.11 .* to do"),
        ("5.11", "def generate_cached(*a, **k):\n    return right(*a, **k) - 99", r"are no ids"),
        ("5.13", "def beam_search(*_):\n    return []", r"^5\.13 .* cannot use \(IndexError"),
        ("5.15", f"def stream_text(ids, decode):\n    {TODO}", r"^5\.15 .* to do"),
        ("4.4", "class LlamaModel:\n    def __init__(self, config):\n        self.x = y",
         r"^4\.4 .* NameError"),
        ("4.4", "class LlamaModel(right):\n    new_caches = None", "^4.4: .* no `new_caches`"),
    ],
)  # fmt: skip
def test_what_is_not_ready_is_named(tree, folder, number, code, message):
    rewrite(tree, number, code)
    with pytest.raises(NotReady, match=message):
        run(tree)


def test_a_wrong_filter_is_reported_before_it_breaks_the_rest(tree, folder):
    rewrite(tree, "5.4", "def top_p_filter(logits, p):\n    return logits - float('inf')")
    console = Console(file=StringIO(), width=1000)
    with pytest.raises(NotReady):
        ch05.show(COURSE, tree, tree.parent / "out", console)
    assert "✗ 5.4 top_p_filter(0.8): keeps 0 of" in console.file.getvalue()


@pytest.mark.parametrize("most", [0, 2])
def test_a_stream_that_stops_early_is_nobody_elses_mistake(tree, published, most):
    code = (
        "def stream_text(ids, decode):\n    for _, i in zip(range(MOST), ids):\n        yield '?'"
    )
    rewrite(tree, "5.15", code.replace("MOST", str(most)))
    terminal, _ = run(tree)
    assert re.findall(r"✗ 5\.\d+", terminal) == ["✗ 5.15"]


def test_a_missing_exercise_is_named(tree, folder):
    (tree / COURSE.find("5.13").path).unlink()
    with pytest.raises(NotReady, match=r"^5\.13 .* is missing"):
        run(tree)


def test_what_is_to_do_is_said_before_anything_is_downloaded(tree):
    rewrite(tree, "5.13", f"def beam_search(*_):\n    {TODO}")
    with pytest.raises(NotReady, match=r"^5\.13 .* to do"):
        run(tree)


def test_chapter_4_may_still_be_to_do(tree, folder):
    rewrite(tree, "4.4", f"class LlamaModel:\n    def __init__(self, config):\n        {TODO}")
    terminal, page = run(tree)
    assert "on the Llama of solutions/ (yours of chapter 4 is to do) with the weights" in terminal
    assert "yours of chapter 4 is to do" in page
