"""`kata show 7`: the capstone of chapter 7, on the references and on broken copies of them."""

import html
import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kata.corpus import PATH
from kata.course import Course, find_root
from kata.show import NotReady, ch07, tiny

COURSE = Course(find_root(Path(__file__).resolve()))
TITLES = ["before training", "after step 4", "after step 10"]
SMALL = {
    "n_layer": 1, "n_head": 2, "n_embd": 32, "context": 16, "max_lr": 1e-2, "warmup": 2,
    "eval_every": 4,
}  # fmt: skip

pytestmark = pytest.mark.timeout(60)  # the first optimizer of a process takes a while to import


@pytest.fixture
def tree(tmp_path):
    """A copy of the references that a test may break."""
    return Path(shutil.copytree(COURSE.solutions_dir, tmp_path / "answers"))


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """A smaller model, fewer steps and shorter texts; no text but the embedded one."""
    for name, value in {"STEPS": 32, "SAMPLED": (0.125, 0.3), "SHORT": 30, "LONG": 60}.items():
        monkeypatch.setattr(ch07, name, value)
    monkeypatch.setattr(ch07, "SETTINGS", ch07.SETTINGS | SMALL)
    monkeypatch.delenv(tiny.VARIABLE, raising=False)


def break_file(tree, name, old, new):
    path = tree / name
    source = path.read_text("utf-8")
    assert old in source
    path.write_text(source.replace(old, new, 1), "utf-8")


def run(tree):
    """What is printed, and the page."""
    console = Console(file=StringIO(), width=1000)
    try:
        picture, page = ch07.show(COURSE, tree, tree.parent / "out", console)
    except KeyboardInterrupt:
        return console.file.getvalue(), None
    assert picture.name == "ch07.png" and picture.read_bytes().startswith(b"\x89PNG")
    assert page.name == "ch07.html"
    return console.file.getvalue(), page.read_text("utf-8")


def model_file(tree):
    return tiny.trained(tree, tree.parent / "out")


@pytest.fixture
def interrupted(tree, monkeypatch):
    """Ctrl-C after step 6."""

    def row(self, values, bar):
        usual(self, values, bar)
        if values["step"] == 6:
            raise KeyboardInterrupt

    usual = ch07.Run.row
    with monkeypatch.context() as patch:
        patch.setattr(ch07.Run, "row", row)
        return run(tree)


def test_it_learns_and_shows_how(tree):
    terminal, page = run(tree)
    assert "It has learned to write. Its loss on text that it has never seen is " in terminal
    assert "<strong>✓ It has learned to write.</strong>" in page
    assert re.findall("^(.+): held-out loss", terminal, re.MULTILINE) == TITLES
    texts = re.findall("<pre>(.*?)</pre>", page, re.DOTALL)
    assert len(texts) == len(TITLES) + 1  # the longer one at the end
    assert all(html.unescape(text) in terminal for text in texts)
    losses = [float(loss) for loss in re.findall(r"<span>held-out loss ([\d.]+)", page)]
    assert losses == sorted(losses, reverse=True)
    size = len(set(PATH.read_text("utf-8")))
    assert f"<td>loss of guessing, ln {size}</td>" in page


def test_the_page_needs_nothing_from_outside(tree):
    _, page = run(tree)
    assert not re.search(r'src\s*=|href\s*=\s*"[^#]|url\([^#]|@import|<script', page)
    assert "prefers-color-scheme: dark" in page
    assert ">perplexity</text>" in page  # the right axis of 7.14
    assert "#000000" not in page and "<metadata" not in page


def test_the_model_is_kept_for_later_chapters(tree):
    from solutions.ch07_training.ex10_train_tiny_lm import TinyLM

    with pytest.raises(NotReady, match=r"^There is no trained model yet. `kata show 7`"):
        model_file(tree)
    terminal, _ = run(tree)
    assert f"The model is in {model_file(tree)}." in terminal
    lm = TinyLM.load(model_file(tree))
    assert lm.history[-1]["step"] == ch07.STEPS
    assert lm.config.n_special == tiny.N_SPECIAL


def test_what_was_interrupted_goes_on(tree, interrupted):
    import torch

    assert interrupted[0].endswith(
        "Stopped after step 6; `kata show 7` goes on from the last checkpoint.\n"
    )
    terminal, page = run(tree)
    assert "Going on after step 6." in terminal
    assert "before training" not in terminal and "after step 10" in terminal
    assert all(title.capitalize() in page for title in TITLES)
    resumed = torch.load(model_file(tree))["model"]
    shutil.rmtree(tree.parent / "out")
    run(tree)
    straight = torch.load(model_file(tree))["model"]
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_what_is_trained_is_shown_again(tree):
    terminal, page = run(tree)
    (folder,) = re.findall(r"To train another one, delete (.*)", terminal)
    break_file(tree, "ch07_training/ex15_muon.py", "if p.grad is None:", "if True:")
    again, same = run(tree)
    assert "It was trained before." in again
    assert page == same
    assert re.findall("^(.+): held-out loss", again, re.MULTILINE) == TITLES
    shutil.rmtree(folder)
    assert run(tree)[1] != page


def test_another_text_has_a_model_of_its_own(tree, monkeypatch):
    run(tree)
    text = tree.parent / "My poem.txt"
    text.write_text("Über allen Gipfeln\r\nist <Ruh>,\r\n" * 20, "utf-8", newline="")
    monkeypatch.setenv(tiny.VARIABLE, str(text))
    terminal, page = run(tree)
    assert "learns to write from My poem, character by character" in terminal
    assert "before training" in terminal
    assert not re.search("<Ruh", page)
    names = [path.name for path in model_file(tree).parent.iterdir() if path.is_dir()]
    assert sorted(name[:-9] for name in names) == ["my-poem", "the-harbour-of-sella"]


def test_a_text_may_be_too_short(tree, monkeypatch):
    text = tree.parent / "short.txt"
    text.write_text("too short")
    monkeypatch.setenv(tiny.VARIABLE, str(text))
    with pytest.raises(NotReady, match=r"^short has only 9 characters"):
        run(tree)


def test_shakespeare_is_read_where_it_is_found(tree, monkeypatch):
    path = tree.parent / tiny.SHAKESPEARE
    path.parent.mkdir()
    path.write_text("First Citizen:\nSpeak, speak.\n\n" * 20, "utf-8")
    monkeypatch.setenv("KATA_DATA", str(tree.parent))
    assert "from tiny Shakespeare" in run(tree)[0]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "ch07_training/tiny_lm.py",
            '/ config.max_lr}\n',
            '/ config.max_lr * 0} | {"max_lr": 0.0}\n',
            "It has not learned.",
        ),
        (
            "ch07_training/ex10_train_tiny_lm.py",
            "return math.log(evaluate",
            "return 0.5 * math.log(evaluate",
            "The validation loss is not right. 7.10 says ",
        ),
        (
            "ch03_attention/ex12_kv_cache.py",
            "if t > 1 or mask is not None:",
            "if False:",
            "Your model looks ahead.",
        ),
    ],
)  # fmt: skip
def test_what_went_wrong_is_told(tree, name, old, new, message):
    break_file(tree, name, old, new)
    terminal, page = run(tree)
    assert f"\n{message}" in terminal
    assert "Do the tests of this chapter pass? pytest tests/ch07_training" in terminal
    assert '<p class="verdict bad"><strong>✗' in page


TO_DO = 'raise NotImplementedError("x")'


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ch05_decoding/ex10_generate.py", "# solution", TO_DO, "^5.10 .* to do"),
        ("ch07_training/ex01_get_batch.py", "# solution", TO_DO, "^7.1 .* to do.* This show runs"),
        ("ch07_training/ex10_train_tiny_lm.py", "# solution", TO_DO, "^7.10 .* to do"),
        ("ch07_training/ex12_load_corpus.py", "# solution", TO_DO, "^7.12 .* to do"),
        ("ch07_training/ex14_plot_history.py", "# solution", TO_DO, "^7.14 .* to do"),
        ("ch07_training/ex15_muon.py", "# solution", TO_DO, "^7.15 .* to do"),
        ("ch07_training/ex14_plot_history.py", "    return figure", "    return None",
         "^7.14: `plot_history` returned None, not a figure"),
        ("ch07_training/ex12_load_corpus.py", '"all": text}', '"all": text.strip()}',
         "^7.12: .* returned .* characters that are not the text of "),
        ("ch07_training/ex09_checkpoint.py", 'state["model"]', 'state["weights"]',
         "^7.9 .* raised KeyError: 'weights'"),
        ("ch07_training/ex15_muon.py", "alpha=-lr", "alpha=-lr * 1e38",
         "^7.10: the held-out loss is nan after step 1. Do the tests of this chapter pass"),
    ],
)  # fmt: skip
def test_what_is_not_ready_is_named_before_any_long_work(tree, name, old, new, message):
    break_file(tree, name, old, new)
    with pytest.raises(NotReady, match=message):
        run(tree)
    assert not (tree.parent / "out").exists()


def test_a_checkpoint_of_another_configuration_can_be_left(tree, interrupted, monkeypatch):
    monkeypatch.setitem(ch07.SETTINGS, "n_embd", 16)
    with pytest.raises(NotReady, match=r"^7\.9 .*n_embd is 32.*To start again.*, delete (.*)"):
        run(tree)


def test_a_loss_that_is_not_a_number_ends_it(tree):
    late = "alpha=-lr * (1e38 if lr < 0.009 and p.shape[0] > 30 else 1.0)"
    break_file(tree, "ch07_training/ex15_muon.py", "alpha=-lr", late)
    with pytest.raises(NotReady, match=r"^7\.10 stopped: .*To start again .*, delete ") as error:
        run(tree)
    assert Path(str(error.value).rpartition(" delete ")[2], "checkpoint.pt").exists()
