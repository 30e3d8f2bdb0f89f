"""Real data is found through the environment, and never needed."""

import hashlib

import pytest

from kata.data import ENCODING_FILES, RealData


def cache(folder, *names):
    """A folder like tiktoken's cache, with empty files."""
    for name in names:
        for url in ENCODING_FILES[name]:
            (folder / hashlib.sha1(url.encode()).hexdigest()).touch()


def test_a_file_is_found_below_the_folder(tmp_path):
    (tmp_path / "texts").mkdir()
    file = tmp_path / "texts" / "a.txt"
    file.touch()
    real = RealData({"KATA_DATA": str(tmp_path)})
    assert real.path("texts/a.txt") == real.find("texts/a.txt") == file
    assert real.find("texts") == file.parent


@pytest.mark.parametrize("environ", [{}, {"KATA_DATA": ""}, {"KATA_DATA": "/nowhere"}])
def test_a_file_that_is_not_there_skips_the_test(environ, tmp_path, monkeypatch):
    (tmp_path / "a.txt").touch()
    monkeypatch.chdir(tmp_path)  # the working directory is not the folder
    real = RealData(environ)
    assert real.find("a.txt") is None
    with pytest.raises(pytest.skip.Exception) as caught:
        real.path("a.txt")
    assert str(caught.value) == "not run: no a.txt (set KATA_DATA to the folder that holds it)"


def test_an_encoding_needs_all_its_files(tmp_path):
    cache(tmp_path, "gpt2", "cl100k_base")
    real = RealData({"TIKTOKEN_CACHE_DIR": str(tmp_path)})
    assert real.has_encoding("gpt2")
    assert real.has_encoding("cl100k_base")
    assert not real.has_encoding("o200k_base")
    next(tmp_path.iterdir()).unlink()
    assert not (real.has_encoding("gpt2") and real.has_encoding("cl100k_base"))


@pytest.mark.parametrize("environ", [{}, {"TIKTOKEN_CACHE_DIR": ""}])
def test_an_encoding_that_is_not_there_skips_the_test(environ):
    with pytest.raises(pytest.skip.Exception) as caught:
        RealData(environ).encoding("gpt2")
    assert str(caught.value) == "not run: no gpt2 (set TIKTOKEN_CACHE_DIR to tiktoken's cache)"
