"""`kata show 4`: the capstone of chapter 4, on the references and a tiny random model."""

import os
import re
import shutil
import struct
from io import StringIO
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from rich.console import Console

from kata.course import Course, find_root
from kata.show import NotReady, weights
from kata.show.ch04 import show
from tests.meta import random_llama

COURSE = Course(find_root(Path(__file__).resolve()))
CHAPTER = "ch04_models"
REAL = os.environ.get("KATA_DATA", "")  # the tests themselves run without it
WORDS = ["▁Once", "▁upon", "▁a", "▁time", "▁the", "▁cat", "s", ".", "<0x0A>"]
TOKENS = random_llama.SPECIAL + WORDS


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
    """A random Llama in Hugging Face's layout, where KATA_DATA has the real one."""
    folder = tmp_path / "data" / weights.FOLDER
    random_llama.write_model(folder, WORDS)
    monkeypatch.setenv("KATA_DATA", str(folder.parent))
    return folder


def break_file(tree, name, old, new):
    path = tree / CHAPTER / name
    source = path.read_text("utf-8")
    assert old in source
    path.write_text(source.replace(old, new, 1), "utf-8")


def run(tree, **options):
    console = Console(file=StringIO(), width=1000, **options)
    (page,) = show(COURSE, tree, tree.parent / "out", console)
    return console.file.getvalue(), page.read_text("utf-8")


def told(terminal):
    """What was told, the beginning included."""
    return terminal[terminal.index(weights.PROMPT) :].split("\n\nYour Llama")[0]


# -------------------------------------------------------------------------------- the story


def test_the_published_story_is_recognised(tree, folder, monkeypatch):
    story = told(run(tree)[0])
    monkeypatch.setattr(weights, "PUBLISHED", story.removeprefix(weights.PROMPT))
    terminal, page = run(tree)
    last = f"to the last of its {len(story)} characters."
    assert f"Your Llama tells the published story, {last}" in terminal
    assert f"<strong>✓ Your Llama tells the published story</strong>, {last}" in page


def test_the_first_difference_is_named(tree, folder, monkeypatch):
    story = told(run(tree)[0])
    monkeypatch.setattr(weights, "PUBLISHED", story.removeprefix(weights.PROMPT)[:-3] + "###")
    terminal, page = run(tree)
    assert f"yours goes on with {story[-3:]!r}, the published one with '###'" in terminal
    assert "<strong>✗ Your Llama tells another story than the published one</strong>. After" in page


def test_every_token_gets_a_bar(tree, folder):
    terminal, page = run(tree)
    assert "35 tokens in" in terminal  # the 40 of the context without the prompt
    assert len(re.findall(r'<span class="token" style="--p:[01]\.\d{3}" title=', page)) == 35


def test_the_page_needs_nothing_from_outside(tree, folder):
    _, page = run(tree)
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script", page)
    assert "prefers-color-scheme: dark" in page


@pytest.mark.skipif(not Path(REAL, weights.FOLDER).is_dir() or not REAL, reason="no real model")
def test_the_references_tell_the_published_story(tree, monkeypatch):
    monkeypatch.setenv("KATA_DATA", REAL)
    terminal, _ = run(tree)
    assert weights.PROMPT + weights.PUBLISHED in terminal
    assert "tells the published story" in terminal


def test_the_end_token_ends_the_story(tree, folder):
    random_llama.write_config(folder, WORDS, eos_token_id=[*range(12)])
    assert "0 tokens in" in run(tree)[0]


# ------------------------------------------------------------------------------- the weights


def test_another_model_can_be_named(tree, folder, monkeypatch):
    monkeypatch.setenv(weights.VARIABLE, str(folder))
    terminal, _ = run(tree)
    assert "There is no published text of this model to compare with." in terminal


def test_the_hub_has_them_interleaved(tree, folder, tmp_path, monkeypatch):
    story = told(run(tree)[0])
    files = {"pt": tmp_path / "stories.pt", "bin": tmp_path / "tok.bin"}
    write_meta_checkpoint(files["pt"])
    write_pieces(files["bin"])
    monkeypatch.delenv("KATA_DATA")
    monkeypatch.setattr(weights, "download", lambda _, name: files[name.rpartition(".")[2]])
    monkeypatch.setattr(weights, "PROMPT_IDS", [1, 3, 4, 5, 6])
    terminal, _ = run(tree)
    assert told(terminal) == story
    assert "with the weights of karpathy/tinyllamas" in terminal


def write_meta_checkpoint(path):
    """The random weights as Meta's own code would have saved them."""
    theirs = {ours: meta for meta, ours in weights._META_NAMES.items()}
    state = {}
    for name, weight in random_llama.random_weights(WORDS).items():
        stem, heads = name.removesuffix(".weight"), 4 if "q_proj" in name else 2
        if stem.endswith(("q_proj", "k_proj")):
            weight = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
        _, _, number, rest = stem.split(".", 3) if "layers" in stem else ("", "", "", stem)
        state["_orig_mod." + (f"layers.{number}." if number else "") + theirs[rest] + ".weight"] = (
            weight
        )
    state["_orig_mod.output.weight"] = state["_orig_mod.tok_embeddings.weight"]
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "max_seq_len": 40}
    torch.save({"model": state, "model_args": {"vocab_size": 12, **sizes}}, path)


def write_pieces(path):
    pieces = [token.replace("▁", " ").encode() for token in TOKENS]
    lines = [struct.pack("<fI", 0.0, len(piece)) + piece for piece in pieces]
    path.write_bytes(struct.pack("<I", 8) + b"".join(lines))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2'"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "kind of RoPE 'llama3'"),
        ({"head_dim": 16}, "head_dim 16, not 8"),
        ({"attention_bias": True}, "biases True"),
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
    ],
)
def test_another_kind_of_model_is_refused(tree, folder, changes, message):
    random_llama.write_config(folder, WORDS, **changes)
    with pytest.raises(NotReady, match=f"4.4: the weights are of another model: {message}"):
        run(tree)


def test_old_configurations_have_theta_at_the_top():
    values = random_llama.VALUES | {"rope_theta": 500.0, "rope_parameters": None}
    assert weights.config_values(values)["rope_theta"] == 500.0


def test_a_missing_file_is_named(tree, folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(NotReady, match=r"lacks tokenizer\.json"):
        run(tree)


class Unplugged:
    """A session without a network, and a hub that does not have the file."""

    status_code = 404

    def __init__(self, connected):
        self.connected = connected

    def head(self, *_, **__):
        if self.connected:
            return self
        raise OSError("no route to host\nand more")


@pytest.mark.parametrize(
    ("offline", "connected", "reason"),
    [
        (True, True, "HF_HUB_OFFLINE is set"),
        (False, False, "no route to host"),
        (False, True, "the answer for a.bin is 404"),
    ],
)
def test_without_weights_it_says_what_to_set(monkeypatch, offline, connected, reason):
    monkeypatch.undo()  # the real `download`
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", not_in_the_cache)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: Unplugged(connected))
    with pytest.raises(NotReady) as error:
        weights.download("some/one", "a.bin")
    assert "Set KATA_DATA to a folder that holds stories260K/" in str(error.value)
    assert str(error.value).endswith(f"({reason})")


def not_in_the_cache(*_, local_files_only=False):
    assert local_files_only
    raise LocalEntryNotFoundError("not here")


def test_a_name_that_cannot_be_one_is_refused(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(NotReady, match="no folder and no repository"):
        weights.download("/no/such/folder", "config.json")


# --------------------------------------------------------------------------------- not ready


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ex04_llama_model.py", "# solution", 'raise NotImplementedError("x")', "^4.4 .* to do"),
        ("ex04_llama_model.py", "self.norm(x)", "self.norm(y)", "^4.4 .*NameError"),
        ("ex04_llama_model.py", "return self.lm_head", "self.lm_head", "^4.4: .*returned None"),
        ("ex09_load_llama_state_dict.py", "def greedy_story", "def tell", "no `greedy_story`"),
        ("ex09_load_llama_state_dict.py", "tensor.copy_(", "tensor.copy(", "^4.9 .*Attribute"),
        ("ex09_load_llama_state_dict.py", "return text[len(ids) :]", "return text", "^4.9: .*one"),
        ("ex09_load_llama_state_dict.py", '    text = ids', '    raise NotImplementedError("x")',
         "^4.9 .* to do"),
    ],
)  # fmt: skip
def test_what_is_not_ready_is_named(tree, folder, name, old, new, message):
    break_file(tree, name, old, new)
    with pytest.raises(NotReady, match=message):
        run(tree)


def test_a_missing_exercise_is_named(tree, folder):
    (tree / CHAPTER / "ex09_load_llama_state_dict.py").unlink()
    with pytest.raises(NotReady, match=r"^4\.9 .* is missing"):
        run(tree)


def test_what_is_to_do_is_said_before_anything_is_downloaded(tree):
    name, todo = "ex09_load_llama_state_dict.py", 'raise NotImplementedError("x")'
    break_file(tree, name, "config = model.config", todo)
    with pytest.raises(NotReady, match=r"^4\.9 .* to do"):
        run(tree)
