"""The page of the playground without a browser, the models it finds, and `kata playground`."""

import html
import json
import re
import shutil
import socket
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from kata import playground_models, serve, stubs
from kata.course import CourseError
from kata.parts import Parts
from kata.playground import Front, in_terminal, make_front, playground
from kata.playground_models import LETTERS, Loaded
from kata.show import NotReady
from tests.meta import random_llama
from tests.meta.command import Kata
from tests.meta.conftest import PROJECT

UTF8 = SimpleNamespace(
    encode=lambda text: list(text.encode()),
    decode=lambda ids: bytes(ids).decode("utf-8", "replace"),
)
SECONDS = 15


def alphabet(ids):
    """Each character is followed by the next one, and now and then by the one after that."""
    size, following = 128, torch.tensor([0.0, 2.0, 1.0])
    logits = torch.full((*ids.shape, size), -20.0)
    places = (ids[..., None] + torch.arange(3)) % size
    return logits.scatter(-1, places, following.expand(*ids.shape, 3))


def slow(ids):
    time.sleep(0.005)
    return alphabet(ids)


LOADERS = {
    "alphabet": lambda: Loaded(alphabet, UTF8),
    "slow": lambda: Loaded(slow, UTF8, context=8),
}


@pytest.fixture(scope="module")
def parts():
    with Parts(PROJECT, PROJECT.solutions_dir) as parts:
        yield parts


@pytest.fixture
def front(parts):
    return Front(parts, dict(LOADERS))


def text_of(widget):
    return html.unescape(re.sub("<[^>]*>", "", widget.value))


def press(front, button="generate", **controls):
    """Set controls, press a button, and wait."""
    for name, value in controls.items():
        front.controls[name].value = value
    getattr(front, button).click()
    front.wait(SECONDS)
    assert not front._thread.is_alive()


# --------------------------------------------------------------------------------------- writing


def test_generate_writes_after_the_prompt(front):
    press(front, prompt="ab", max_new_tokens=4)
    assert text_of(front.output) == "abcdef"
    assert text_of(front.status).startswith("Done: 4 characters in ")


def test_output_is_replaced(front):
    press(front, prompt="ab", max_new_tokens=4)
    press(front, prompt="uv", max_new_tokens=2)
    assert text_of(front.output) == "uvwx"


def test_what_is_typed_is_no_html(front):
    press(front, prompt="<b>9", max_new_tokens=4)
    assert front.output.value.count("<b>") == 0
    assert text_of(front.output) == "<b>9:;<="


def test_seed_and_strategy_are_listened_to(front):
    press(front, prompt="ab", strategy="temperature", seed=1)
    first = text_of(front.output)
    press(front, seed=2)
    assert text_of(front.output) != first
    press(front, seed=1)
    assert text_of(front.output) == first
    press(front, strategy="top_k", k=1, max_new_tokens=3)
    assert text_of(front.output) == "abcde"


def test_controls_that_do_nothing_are_hidden(front):
    def shown():
        return [n for n, control in front.controls.items() if control.layout.display != "none"]

    assert shown() == ["prompt", "model", "strategy", "max_new_tokens", "seed"]
    front.controls["strategy"].value = "top_p"
    assert "p" in shown() and "k" not in shown()
    front.tabs.selected_index = 1
    assert "k" in shown() and "strategy" not in shown() and "beams" not in shown()


def test_error_is_shown_and_the_next_text_clears_it(front):
    press(front, strategy="temperature", temperature=-1, max_new_tokens=2)
    assert text_of(front.error) == "ValueError: temperature must be finite and at least 0, got -1.0"
    press(front, prompt="ab", strategy="greedy")
    assert (text_of(front.error), text_of(front.output)) == ("", "abcd")


def test_empty_prompt_is_an_error(front):
    press(front, prompt="")
    assert text_of(front.error).startswith("ValueError: ")


# --------------------------------------------------------------------------------------- stopping


def started(front, **controls):
    for name, value in controls.items():
        front.controls[name].value = value
    front.generate.click()


def test_stop_ends_a_long_text(front):
    started(front, prompt="ab", model="slow", max_new_tokens=10**6)
    end = time.monotonic() + SECONDS
    while len(text_of(front.output)) < 12 and time.monotonic() < end:
        time.sleep(0.02)
    assert (front.generate.disabled, front.stop.disabled) == (True, False)
    front.generate.click()  # nothing happens
    front.stop.click()
    front.wait(SECONDS)
    assert (front.generate.disabled, front.stop.disabled) == (False, True)
    assert text_of(front.status).startswith("Stopped after ")
    assert text_of(front.output).startswith("abcdefghijkl")
    press(front, max_new_tokens=3)
    assert text_of(front.output) == "abcde"


def test_stop_ends_what_yields_nothing(front):
    started(front, prompt="ab", model="slow", strategy="beam", max_new_tokens=10**5)
    time.sleep(0.1)
    front.stop.click()
    front.wait(SECONDS)
    assert text_of(front.status) == "Stopped."


# -------------------------------------------------------------------------------------- comparing


def test_comparison_has_a_card_per_model_and_strategy(front):
    front.model_ticks["slow"].value = True
    press(front, "compare", prompt="ab", max_new_tokens=3)
    titles = re.findall("<h4>(.*?)</h4>", front.results.value)
    settings = ["greedy", "temperature=1", "top_k k=40 temperature=1", "top_p p=0.9 temperature=1"]
    assert titles == [f"{model}: {s}" for model in ("alphabet", "slow") for s in settings]
    assert "abcde" in text_of(front.results)
    assert "mean log-probability -" in text_of(front.results)


def test_wrong_setting_spoils_one_card_only(front):
    press(front, "compare", prompt="ab", max_new_tokens=3, p=2.0)
    assert front.results.value.count("kata-text") == 3
    assert text_of(front.results).count("ValueError: p must be") == 1


def test_chart_shows_the_next_token(front):
    press(front, "chart", prompt="ab")
    assert "data:image/svg+xml;base64," in front.results.value
    press(front, "chart", temperature=-1)
    assert text_of(front.error).startswith("ValueError: temperature must be")


def test_nothing_ticked_is_an_error(front):
    front.model_ticks["alphabet"].value = False
    press(front, "compare")
    assert text_of(front.error) == "ValueError: tick a model first"


# -------------------------------------------------------------------------------------- the models


@pytest.fixture
def tiny_file(parts, tmp_path):
    """An untrained model of 7.10, saved."""
    lm = parts["7.10"]
    config = lm.TrainConfig(n_layer=1, n_head=1, n_embd=8, context=8, n_special=2)
    tokenizer = parts["1.2"].CharTokenizer("abc ")
    model = lm.build_model(config, tokenizer.vocab_size + config.n_special)
    path = tmp_path / "tiny.pt"
    lm.TinyLM(model, tokenizer, config, []).save(path)
    return path


def test_model_of_chapter_7_can_be_added(front, tiny_file):
    front.more.value = str(tiny_file)
    press(front, "add")
    assert front.controls["model"].value == "tiny.pt"
    press(front, prompt="ab", strategy="temperature", max_new_tokens=40)
    assert re.fullmatch("ab[abc ]{40}", text_of(front.output)), text_of(front.error)


def test_model_that_is_not_there_is_an_error(front, tmp_path):
    for name in (tmp_path / "nothing", tmp_path / "nothing.pt"):
        front.more.value = str(name)
        press(front, "add")
        assert re.search("there is no (folder|file) ", text_of(front.error))
        assert list(front.controls["model"].options) == ["alphabet", "slow"]


def test_hub_name_without_a_network_is_an_error(parts, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NotReady, match="could not be had from huggingface"):
        playground_models.named(parts, "nobody/no-such-model")()


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("default")
def test_folder_of_hugging_face_is_a_model(parts, tmp_path):
    words = ["▁once", "▁upon", "▁time"]
    random_llama.write_model(tmp_path / "llama", words)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}
    (tmp_path / "llama" / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    loaded = playground_models.named(parts, str(tmp_path / "llama"))()
    assert (loaded.context, loaded.eos_id) == (40, 2)
    assert loaded.tokenizer.decode([*loaded.tokenizer.encode("once upon"), 5]).split() == [
        "once", "upon", "time",
    ]  # fmt: skip
    assert loaded.model(torch.tensor([[1, 3, 4]])).shape == (1, 3, 6)


def test_models_are_found_in_the_environment(parts, monkeypatch, tmp_path):
    monkeypatch.setenv(serve.MODELS, "first.pt")
    found = playground_models.find(parts, PROJECT, tmp_path, ["second"])
    assert list(found) == ["second", "first.pt", LETTERS]
    random_llama.write_model(tmp_path / "stories260K", ["▁once"])
    monkeypatch.setenv("KATA_DATA", str(tmp_path))
    found = playground_models.find(parts, PROJECT, tmp_path)
    assert list(found) == ["first.pt", "stories260K, in your Llama (4.4)", LETTERS]
    loaded = found["stories260K, in your Llama (4.4)"]()
    assert loaded.model(torch.tensor([loaded.tokenizer.encode("once")])).shape == (1, 2, 4)


def test_letters_need_no_training(parts):
    loaded = playground_models.letters(parts)
    ids = torch.tensor([loaded.tokenizer.encode("th")])
    assert loaded.tokenizer.decode([int(loaded.model(ids)[0, -1].argmax())]) == "e"


# ----------------------------------------------------------------------------------- whose code


def copied(tree, *numbers):
    """A learner's tree in which these exercises are done, and 10.1 is a stub."""
    for number in numbers:
        exercise = PROJECT.find(number)
        (tree / exercise.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT.solutions_dir / exercise.path, tree / exercise.path)
    stub = PROJECT.find("10.1")
    (tree / stub.path).write_text(stubs.stub_of(PROJECT, stub), "utf-8")
    return tree


def test_what_is_to_do_is_borrowed_and_named(tmp_path):
    parts = Parts(PROJECT, copied(tmp_path, "5.4", "10.3"))
    front = Front(parts, dict(LOADERS))
    press(front, prompt="ab", max_new_tokens=2)
    assert text_of(front.output) == "abcd"
    words = text_of(front.sources)
    assert re.match(
        r"2 of the \d+ exercises that this page has used are yours \(5.4, 10.3\)", words
    )
    assert re.search(r"borrowed from solutions/: .*\b10\.1\b", words)


def test_broken_file_is_told_in_place_of_the_page(tmp_path, monkeypatch):
    copied(tmp_path, "10.3")
    (tmp_path / PROJECT.find("10.3").path).write_text("def broken(:\n", "utf-8")
    monkeypatch.setenv(serve.ANSWERS, str(tmp_path))
    monkeypatch.chdir(PROJECT.root)
    words = text_of(playground())
    assert "The playground cannot start. 10.3 (The playground) raised SyntaxError" in words
    assert "ex03_playground.py:1" in words


def test_front_of_the_course_is_made(monkeypatch):
    monkeypatch.setenv(serve.ANSWERS, str(PROJECT.solutions_dir))
    front = make_front(root=PROJECT.root)
    assert LETTERS in front.controls["model"].options
    assert "are yours" in text_of(front.sources)


# ------------------------------------------------------------------------------------ the command


def test_notebook_is_small_and_runs(monkeypatch):
    path = PROJECT.exercises_dir / serve.NOTEBOOK
    document = json.loads(path.read_text("utf-8"))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)]
    monkeypatch.setenv(serve.ANSWERS, str(PROJECT.solutions_dir))
    monkeypatch.chdir(path.parent)
    *lines, last = "".join(code[0]["source"]).splitlines()
    names = {}
    exec("\n".join(lines), names)
    assert len(eval(last, names).children) > 3


def test_terminal_uses_the_learners_repl(tiny_file, monkeypatch):
    monkeypatch.setenv(serve.ANSWERS, str(PROJECT.solutions_dir))
    monkeypatch.chdir(PROJECT.root)
    lines, written = ["/max_new_tokens 5", "ab", "/quit"], []
    in_terminal([str(tiny_file)], lambda: lines.pop(0), written.append)
    assert re.fullmatch("[abc ]{5}\n", "".join(written))


@pytest.fixture
def kata(monkeypatch, capsys):
    return Kata(PROJECT, monkeypatch, capsys)


def test_missing_voila_is_said(kata, monkeypatch):
    monkeypatch.setitem(sys.modules, "voila.app", None)
    result = kata("playground")
    assert (result.code, result.out) == (2, "")
    assert result.err == f"kata: {serve.NO_VOILA}\n"


def test_answers_that_are_not_there_are_refused(kata, tmp_path):
    result = kata("playground", "--answers", str(tmp_path / "none"))
    assert (result.code, result.err) == (
        2,
        f"kata: --answers: there is no folder {tmp_path}/none\n",
    )


def test_notebook_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CourseError, match="there is no "):
        serve.serve(tmp_path / "no.ipynb", 0, print)


def test_port_that_is_taken_is_refused():
    with socket.socket() as taken:
        taken.bind((serve.LOOPBACK, 0))
        taken.listen()
        with pytest.raises(CourseError, match="is taken"):
            serve.check_port(taken.getsockname()[1])
