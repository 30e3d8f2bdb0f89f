import json

import pytest

from kata.check import raises
from kata.corpus import PATH

pytestmark = pytest.mark.timeout(60)  # importing `datasets` takes seconds

TEXTS = {
    "blank lines": "\n\nOne\n\n\n  two  \n",
    "no newline at the end": "One\ntwo",
    "characters of all kinds": "Été\t\u201c\U0001f600\u201d\u2028\x0c\x85 end\n \n",
    "one character": "x",
    "nothing": "",
}


def written(file, text):
    """The file, with this text in it."""
    file.write_bytes(text.encode())
    return file


def data_set(folder, rows):
    """A new folder that `load_dataset` can read."""
    folder.mkdir(exist_ok=True)
    written(folder / "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


@pytest.fixture(autouse=True)
def attempts(monkeypatch):
    """The hosts that were asked for, on a machine without a network, where pauses take no time."""
    hosts = []

    def unknown(host, *args, **kwargs):
        hosts.append(host)
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return hosts


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache for `datasets` that is not the learner's own."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_the_projects_own_text_is_the_default(answer):
    expected = PATH.read_text(encoding="utf-8")
    assert answer.load_corpus("embedded", "all") == expected
    assert answer.load_corpus() == expected[: len(expected) * 9 // 10]


@pytest.mark.parametrize(("length", "end"), [(10, 9), (19, 17), (26, 23), (1, 0)])
def test_nine_tenths_of_the_characters_are_for_training(answer, tmp_path, length, end):
    text = "ab\ncd\n\nefghi j\nklmno\npqrst\nuvw"[:length]
    file = str(written(tmp_path / "text.txt", text))
    assert answer.load_corpus(file, "train") == text[:end]
    assert answer.load_corpus(file, "validation") == text[end:]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_character_of_a_file_is_kept(answer, tmp_path, text):
    file = str(written(tmp_path / "text.txt", text))
    assert answer.load_corpus(file, "all") == text


@pytest.mark.parametrize("name", ["corpus", "notes.md", "data.json", "play [1].txt"])
def test_a_file_may_have_any_name(answer, tmp_path, name):
    file = written(tmp_path / name, "One\n\n two")
    assert answer.load_corpus(file, "all") == "One\n\n two"


def test_agrees_with_a_dataset_of_lines(answer, tmp_path):
    from datasets import Dataset

    file = str(written(tmp_path / "text.txt", "\nOne\n\n  two \nthree"))
    lines = Dataset.from_text(file, keep_linebreaks=True, cache_dir=str(tmp_path / "cache"))
    assert answer.load_corpus(file, "all") == "".join(lines["text"])


def test_rows_of_a_folder_follow_one_another(answer, attempts, cache, tmp_path):
    folder = data_set(tmp_path / "stories", [{"id": i, "text": t} for i, t in enumerate("cab")])
    attempts.clear()
    assert answer.load_corpus(folder, "all") == "c\na\nb\n"
    assert answer.load_corpus(folder, "validation") == "\n"
    assert attempts == []


def test_a_row_that_ends_with_a_newline_gets_no_other(answer, cache, tmp_path):
    rows = ["One\n", "", " two \n\n", "three"]
    folder = data_set(tmp_path / "lines", [{"text": row} for row in rows])
    assert answer.load_corpus(folder, "all") == "One\n\n two \n\nthree\n"


@pytest.mark.in_worker("counts the attempts to reach the network")
@pytest.mark.parametrize(("offline", "allowed"), [(False, 1), (True, 0)])
def test_a_hub_that_cannot_be_reached_is_asked_once(
    answer, attempts, monkeypatch, offline, allowed
):
    for module in ("datasets.config", "huggingface_hub.constants"):
        monkeypatch.setattr(f"{module}.HF_HUB_OFFLINE", offline)
    attempts.clear()
    with raises(ConnectionError):
        answer.load_corpus("llm-katas/no-such-data-set")
    assert min(len(attempts), 2) <= allowed, f"too many attempts to reach {attempts[0]}"


@pytest.mark.parametrize("said", ["script", "embedded", "text file"])
def test_a_loading_script_is_an_error_with_advice(answer, tmp_path, said):
    folder = tmp_path / "tiny_shakespeare"
    folder.mkdir(exist_ok=True)
    written(folder / "tiny_shakespeare.py", "import datasets\n")
    with raises(ValueError, match=said):
        answer.load_corpus(str(folder))


def test_a_data_set_without_text_is_an_error(answer, cache, tmp_path):
    folder = data_set(tmp_path / "table", [{"prompt": "One", "response": "two"}])
    with raises(ValueError, match="prompt"):
        answer.load_corpus(folder)


@pytest.mark.parametrize("split", ["test", "Train", ""])
def test_an_unknown_split_is_an_error(answer, split):
    with raises(ValueError):
        answer.load_corpus("embedded", split)
