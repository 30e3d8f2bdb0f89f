"""`kata doctor`: what it finds, what it calls a problem, and its exit code."""

import os
import platform
import shutil
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kata.data import RealData
from tests.meta.command import Kata
from tests.meta.minicourse import make_course

PACKAGES = {"torch": "2.9.1+cpu", "numpy": "2.1"}
PYPROJECT = """\
[project]
requires-python = ">=3.11"
dependencies = ["torch>=2.6,<2.14", "NumPy>=2"]
"""


@pytest.fixture
def kata(tmp_path, monkeypatch, capsys):
    course = make_course(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    monkeypatch.setattr(metadata, "version", version_of(PACKAGES))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "torch", fake_torch())
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    return Kata(course, monkeypatch, capsys)


def version_of(packages):
    def version(name):
        if name not in packages:
            raise metadata.PackageNotFoundError(name)
        return packages[name]

    return version


def fake_torch(gpus=(), has_mps=False):
    torch = types.ModuleType("torch")
    torch.get_num_threads = lambda: 4
    torch.cuda = types.SimpleNamespace(
        is_available=lambda: bool(gpus),
        device_count=lambda: len(gpus),
        get_device_name=lambda i: gpus[i],
    )
    torch.backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: has_mps))
    return torch


def report(result):
    """The report by topic."""
    return {line[:19].rstrip(): line[19:] for line in result.lines if line}


def test_healthy_machine_is_reported_in_full(kata):
    result = kata("doctor")
    assert (result.code, result.err) == (0, "")
    assert result.lines[-2:] == ["", "Everything needed is here."]
    found = report(result)
    del found["Everything needed i"]
    assert found == {
        "python": f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})",
        "platform": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "course": str(kata.course.root),
        "exercises": "2, every file is there",
        "state": str(kata.course.root / ".kata"),
        "torch": "2.9.1+cpu",
        "NumPy": "2.1",
        "cpu": "8 cores, torch uses 4",
        "cuda": "not found (optional)",
        "mps": "not found (optional)",
        "TIKTOKEN_CACHE_DIR": "not set (optional)",
        "KATA_DATA": "not set (optional)",
        "HF_HOME": "not set (optional)",
        "chromium": "not found (optional, looks at the pages of kata show)",
        "network": "not needed: every test runs offline",
    }


def problem(kata, topic):
    """The one problem of a machine."""
    result = kata("doctor")
    assert result.code == 1
    assert result.lines[-1] == "1 problem to solve."
    assert result.out.count("problem: ") == 1
    return report(result)[topic].removeprefix("problem: ")


def test_missing_package_is_a_problem(kata, monkeypatch):
    monkeypatch.setattr(metadata, "version", version_of({"torch": "2.9.1"}))
    assert problem(kata, "NumPy") == "not installed; run: python -m pip install -e ."


@pytest.mark.parametrize("version", ["2.5.1", "2.14.0"])
def test_package_out_of_range_is_a_problem(kata, monkeypatch, version):
    monkeypatch.setattr(metadata, "version", version_of(PACKAGES | {"torch": version}))
    wanted = Requirement("torch>=2.6,<2.14").specifier
    text = f"{version}, but {wanted} is needed; run: python -m pip install -e ."
    assert problem(kata, "torch") == text


def test_package_before_its_release_is_no_problem(kata, monkeypatch):
    monkeypatch.setattr(metadata, "version", version_of(PACKAGES | {"numpy": "2.4.0rc1"}))
    assert kata("doctor").code == 0


def test_line_that_is_no_requirement_is_a_problem(kata):
    text = PYPROJECT.replace("NumPy>=2", "?")
    (kata.course.root / "pyproject.toml").write_text(text)
    assert problem(kata, "?") == "is not a requirement (pyproject.toml)"


def test_requirement_of_another_platform_is_not_looked_at(kata):
    text = PYPROJECT.replace("NumPy>=2", "other; sys_platform == 'plan9'")
    (kata.course.root / "pyproject.toml").write_text(text)
    assert kata("doctor").code == 0


def test_python_out_of_range_is_a_problem(kata):
    text = PYPROJECT.replace(">=3.11", ">=4.1")
    (kata.course.root / "pyproject.toml").write_text(text)
    assert problem(kata, "python").endswith("but >=4.1 is needed")


def test_missing_exercise_is_a_problem(kata):
    (kata.course.exercises_dir / "ch01_demo" / "ex02_pick.py").unlink()
    text = "1 of 2 missing: 1.2 (kata reset 1.2 writes one again)"
    assert problem(kata, "exercises") == text


def test_missing_test_file_is_a_problem(kata):
    (kata.course.tests_dir / "ch01_demo" / "test_ex02_pick.py").unlink()
    assert problem(kata, "tests") == "missing for 1.2"


def test_broken_torch_is_a_problem(kata, monkeypatch):
    torch = fake_torch()
    monkeypatch.setitem(sys.modules, "torch", torch)
    del torch.cuda
    text = problem(kata, "torch")
    assert text.startswith("cannot be imported: AttributeError: ")
    assert text.endswith("(chapter 1 works without)")


def test_several_problems_are_counted(kata, monkeypatch):
    monkeypatch.setattr(metadata, "version", version_of({}))
    result = kata("doctor")
    assert (result.code, result.lines[-1]) == (1, "2 problems to solve.")


def test_devices_are_named(kata, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", fake_torch(["NVIDIA H200", "NVIDIA H200"], True))
    found = report(kata("doctor"))
    assert (found["cuda"], found["mps"]) == ("NVIDIA H200, NVIDIA H200", "found")


def test_browser_is_named(kata, monkeypatch):
    monkeypatch.setattr(shutil, "which", {"google-chrome": "/usr/bin/google-chrome"}.get)
    assert report(kata("doctor"))["chromium"] == "/usr/bin/google-chrome"


def test_read_only_checkout_is_not_a_problem(kata, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = kata("doctor")
    assert result.code == 0
    assert report(result)["state"] == "read-only: progress is not remembered"


def test_data_is_listed_where_the_environment_points(kata, tmp_path, monkeypatch):
    for name in ("data/gpt2", "data/shakespeare", "hf/hub/models--openai--gpt2", "empty"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("KATA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "empty"))
    found = report(kata("doctor"))
    assert found["KATA_DATA"] == f"{tmp_path / 'data'}: gpt2, shakespeare"
    assert found["HF_HOME"] == f"{tmp_path / 'hf'}: openai/gpt2"
    assert found["TIKTOKEN_CACHE_DIR"] == f"{tmp_path / 'empty'}: nothing found in it"


def test_encodings_in_the_cache_are_listed(kata, tmp_path, monkeypatch):
    monkeypatch.setattr(RealData, "has_encoding", lambda self, name: name != "gpt2")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    found = report(kata("doctor"))
    assert found["TIKTOKEN_CACHE_DIR"] == f"{tmp_path}: cl100k_base, o200k_base"


def test_folder_that_is_not_there_is_named(kata, monkeypatch):
    monkeypatch.setenv("KATA_DATA", str(Path("no") / "where"))
    result = kata("doctor")
    text = f"{Path('no') / 'where'}: there is no such folder (optional)"
    assert (result.code, report(result)["KATA_DATA"]) == (0, text)
