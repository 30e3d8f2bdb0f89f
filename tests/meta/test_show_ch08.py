"""`kata show 8`: the capstone of chapter 8, on the references and on broken copies of them."""

import json
import re
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kata.corpus import PAIRS_PATH, PATH
from kata.course import Course, find_root
from kata.show import NotReady, ch08, tiny
from solutions.ch01_tokenizers.ex02_char_tokenizer import CharTokenizer
from solutions.ch07_training.ex10_train_tiny_lm import TinyLM, TrainConfig, build_model

pytestmark = pytest.mark.timeout(60)  # the first step of an optimizer imports a compiler

COURSE = Course(find_root(Path(__file__).resolve()))
PAIRS = [json.loads(line) for line in PAIRS_PATH.read_text("utf-8").splitlines()]
FEW = ["Who mends clocks?", "Who owns the inn?", "Say ahoy.", "Count to five.", "Who are you?"]
SMALL = {"n_layer": 1, "n_embd": 32, "steps": 5, "warmup": 1, "eval_every": 5, "eval_tokens": 200}
TODO = 'raise NotImplementedError("x")'


@pytest.fixture
def tree(tmp_path):
    """A copy of the references that a test may break."""
    return Path(shutil.copytree(COURSE.solutions_dir, tmp_path / "answers"))


@pytest.fixture(autouse=True)
def few(tmp_path, monkeypatch):
    """A few pairs, and a small model."""
    monkeypatch.delenv(ch08.VARIABLE, raising=False)
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(p) + "\n" for p in PAIRS if p["prompt"] in FEW), "utf-8")
    monkeypatch.setattr(ch08, "PAIRS_PATH", path)
    monkeypatch.setattr(ch08, "BASE", ch08.BASE | SMALL)
    monkeypatch.setattr(ch08, "NEW_TOKENS", 36)


@pytest.fixture
def hurried(monkeypatch):
    """Hardly any tuning, for tests in which nothing has to be learned."""
    monkeypatch.setattr(ch08, "EPOCHS", 1)
    monkeypatch.setattr(ch08, "NEW_TOKENS", 4)


def run(tree):
    console = Console(file=StringIO(), width=1000)
    (page,) = ch08.show(COURSE, tree, tree.parent / "out", console)
    assert page.name == "ch08.html"
    return console.file.getvalue(), page.read_text("utf-8")


def break_file(tree, number, old, new):
    path = tree / COURSE.find(number).path
    source = path.read_text("utf-8")
    assert old in source
    path.write_text(source.replace(old, new, 1), "utf-8")


def saved_model(tree, text, **changes):
    """A random model where `kata show 7` leaves the one that it has trained."""
    config = replace(TrainConfig(**ch08.BASE), context=64, **changes)
    tokenizer = CharTokenizer(text)
    path = tiny.folder(tree, tree.parent / "out") / "model.pt"
    path.parent.mkdir(parents=True)
    model = build_model(config, tokenizer.vocab_size + config.n_special)
    TinyLM(model, tokenizer, config, []).save(path)


# ------------------------------------------------------------------------------- the prompts


def test_held_out_prompts_say_a_trained_one_in_other_words():
    prompts = {pair["prompt"] for pair in PAIRS}
    assert set(ch08.HELD_OUT.values()) <= prompts
    assert not set(ch08.HELD_OUT) & prompts
    assert set(ch08.SHOWN) <= prompts


def test_the_embedded_corpus_has_all_their_characters():
    texts = [*ch08.HELD_OUT, *(pair["prompt"] + pair["response"] for pair in PAIRS)]
    assert set("".join(texts)) <= set(PATH.read_text("utf-8"))


# ----------------------------------------------------------------------------- what is shown


def test_the_references_learn_to_answer(tree, monkeypatch):
    monkeypatch.setattr(ch08, "EPOCHS", 150)  # of one step each
    terminal, page = run(tree)
    assert "It has learned to answer. After tuning it answers 5 of 5 prompts word" in terminal
    assert "<strong>✓ It has learned to answer.</strong>" in page
    assert re.search(r"Count to five\. +│ .+ │ One, two, three, four, five\. +│ ✓", terminal)
    assert re.search(r"5 pairs answered exactly +│ +0 │ +5 │", terminal)
    losses = re.search(r"loss on the responses of the 5 pairs +│ +([\d.]+) │ +([\d.]+)", terminal)
    assert float(losses[1]) > 2 > 1 > float(losses[2])


def test_both_texts_of_each_prompt_are_on_the_page(tree, hurried):
    terminal, page = run(tree)
    rows = re.findall(r"^│ (\S.*?\S) +│ (.*?) +│ (.*?) +│ [✓✗] │$", terminal, re.M)
    assert [prompt for prompt, *_ in rows][:2] == ["Count to five.", "Who are you?"]
    assert {prompt for prompt, *_ in rows[2:]} == {
        new for new, old in ch08.HELD_OUT.items() if old in FEW
    }
    assert page.count("before: it goes on") == page.count("after: it answers</h4>") == len(rows)


def test_what_has_a_label_is_underlined(tree, hurried):
    _, page = run(tree)
    learned = "".join(re.findall(r'<span class="learned">(.*?)</span>', page))
    assert learned == "Anna Brand owns the inn.&lt;|im_end|&gt;"
    assert "&lt;|im_start|&gt;user\nWho owns the inn?&lt;|im_end|&gt;\n" in page


def test_the_page_needs_nothing_from_outside(tree, hurried):
    _, page = run(tree)
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script", page)
    assert "prefers-color-scheme: dark" in page


def test_too_little_tuning_is_told(tree, hurried):
    terminal, page = run(tree)
    assert "It has not learned to answer. After tuning it answers 0 of 5" in terminal
    assert "pytest tests/ch08_tuning" in terminal
    assert "<strong>✗ It has not learned to answer.</strong>" in page


def test_labels_on_the_prompt_are_told(tree, hurried):
    break_file(tree, "8.2", "[IGNORED] * len(prompt_ids)", "prompt_ids")
    terminal, page = run(tree)
    assert "The loss is not that of the responses. Your 8.1 to 8.4 say that" in terminal
    assert "<strong>✗ The loss is not that of the responses.</strong>" in page


def test_named_models_are_compared_too(tree, hurried, monkeypatch):
    path = tree / COURSE.find("8.10").path
    code = """

def load_text_model(name, device="cpu"):
    says = torch.eye(128)[ord(name)]
    ask = lambda messages, add_generation_prompt: [1]
    model = lambda ids: says.expand(*ids.shape, 128)
    return TextModel(model, lambda text: [1], lambda ids: bytes(ids).decode(), ask)
"""
    path.write_text(path.read_text("utf-8") + code, "utf-8")
    monkeypatch.setenv(ch08.VARIABLE, "b c")
    terminal, page = run(tree)
    for prompt in ch08.HUB_PROMPTS:
        assert f"b and c: {prompt}\ncompletion: {'b' * 40}\nchat: {'c' * 40}\n" in terminal
    assert "<h2>b and c</h2>" in page
    monkeypatch.setenv(ch08.VARIABLE, "b")
    with pytest.raises(NotReady, match="names 1 models"):
        run(tree)


# ----------------------------------------------------------------------------- which model it is


def test_without_a_trained_model_one_is_trained(tree, hurried):
    terminal, page = run(tree)
    assert "There is no trained model yet" in terminal
    assert "Your own model, trained just now, for a short time (" in terminal + page


def test_the_model_of_show_7_is_tuned(tree, hurried):
    saved_model(tree, PATH.read_text("utf-8"))
    terminal, _ = run(tree)
    assert "Your own model, which `kata show 7` has trained (" in terminal


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        ("abc", {}, "unknown character 'u'"),
        (PATH.read_text("utf-8"), {"n_special": 0}, "has no ids for control tokens"),
        (PATH.read_text("utf-8"), {"architecture": "gpt2"}, "size mismatch|Error"),
    ],
)
def test_a_model_that_cannot_be_tuned_is_not_used(tree, hurried, text, changes, reason):
    saved_model(tree, text, **changes)
    terminal, _ = run(tree)
    assert re.search(f"{reason}.* Here one is trained for a short time", terminal)
    assert "Your own model, trained just now" in terminal


@pytest.mark.parametrize("number", ["7.10", "4.4", "7.15"])
def test_the_references_stand_in_for_a_model_that_is_to_do(tree, hurried, number):
    break_file(tree, number, "# solution", TODO)
    terminal, _ = run(tree)
    assert f"The model of solutions/ (your {number} is to do), trained just now" in terminal


# ---------------------------------------------------------------------------------- not ready


@pytest.mark.parametrize(
    ("number", "old", "new", "message"),
    [
        ("8.1", "    check(messages)\n    start", f"    {TODO}\n    start", "^8.1 .* to do"),
        ("8.2", "# solution", TODO, "^8.2 .* to do"),
        ("8.3", "# solution", TODO, "^8.3 .* to do"),
        ("8.4", "# solution", TODO, "^8.4 .* to do"),
        ("8.10", "# solution", TODO, "^8.10 .* to do"),
        ("5.10", "# solution", TODO, "^5.10 .* to do"),
        ("7.2", "# solution", TODO, "^7.2 .* to do"),
        ("8.1", "return ids +", "return 'x' +", "^8.1 .*TypeError"),
        ("8.1", "return ids +", "return [-1] +", "^8.1: `encode_chat` returned"),
        ("8.2", "return prompt_ids", "return None, prompt_ids", "^8.2 .*ValueError"),
        ("8.3", "pad_batch([labels", "pad_batch([labels[1:]", "^8.3: `sft_collate` returned"),
        ("8.4", "return loss.item()", "return float('nan')", "^8.4: `sft_step` returned nan"),
        ("8.4", "return loss.item()", "pass", "^8.4: `sft_step` returned None"),
        ("8.10", "rows = []", "raise KeyError('oops')", "^8.10 .*KeyError.*oops"),
        ("8.10", '{"prompt": prompt,', "{", "^8.10 .*KeyError"),
    ],
)
def test_what_is_not_ready_is_named(tree, hurried, number, old, new, message):
    break_file(tree, number, old, new)
    with pytest.raises(NotReady, match=message):
        run(tree)
