"""What VS Code and PyCharm are shown: each is asked through a plugin of its own, as they do it."""

import json
import os
import subprocess
import sys

import pytest

from tests.meta.minicourse import PROJECT

# What the plugins of the editors look at, in a few lines each.
VS_CODE = """\
import json, pathlib, sys
import pytest

found = {"tests": [], "errors": [], "results": {}}


def pytest_exception_interact(node, call, report):
    found["errors"].append(call.excinfo.exconly())


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_report_teststatus(report, config):
    if report.when == "call" or (report.when == "setup" and report.skipped):
        outcome = "success" if report.passed else "failure" if report.failed else "skipped"
        found["results"][report.nodeid] = [outcome, report.longreprtext if report.failed else ""]
    yield


def pytest_sessionfinish(session):
    found["tests"] = [item.nodeid for item in session.items]
    slow = {"transformers", "datasets", "tiktoken", "matplotlib"}
    found["slow"] = sorted(slow & set(sys.modules))
    pathlib.Path(session.config.rootpath, "seen.json").write_text(json.dumps(found))
"""
PYCHARM = """\
import json, pathlib


def pytest_configure(config):
    config.option.verbose = 2
    config.pluginmanager.register(Reporter(config), "pycharm-reporter")


class Reporter:
    def __init__(self, config):
        self.config, self.item, self.seen = config, None, {}

    def pytest_runtest_protocol(self, item):
        self.item = item

    def pytest_assertrepr_compare(self, config, op, left, right):
        self.item.compared = [left, right]

    def pytest_runtest_logreport(self, report):
        if report.failed or report.skipped:
            skip = isinstance(report.longrepr, tuple)
            text = report.longrepr[2] if skip else str(report.longrepr)
            name = report.nodeid.partition("::")[2]
            self.seen[name] = [report.outcome, text, getattr(self.item, "compared", None)]

    def pytest_sessionfinish(self):
        pathlib.Path(self.config.rootpath, "seen.json").write_text(json.dumps(self.seen))
"""
ONLY_1 = "tests/ch01_demo/test_ex01_double.py"
THREE = "test_three_becomes_six"


@pytest.fixture
def vs_code(lab, pytester):
    """Runs pytest as VS Code does, and returns the exit code and what its plugin has seen."""
    pytester.syspathinsert()
    (lab.root / "vs_code_plugin.py").write_text(VS_CODE, "utf-8")

    def run(*args):
        outcome = lab.run("-p", "vs_code_plugin", f"--rootdir={lab.root}", *args)
        return outcome.exit, json.loads((lab.root / "seen.json").read_text("utf-8"))

    yield run
    sys.modules.pop("vs_code_plugin", None)


@pytest.fixture
def pycharm(lab):
    """Runs pytest as PyCharm does, its plugin before all others, and returns what that has seen."""
    (lab.root / "pycharm_plugin.py").write_text(PYCHARM, "utf-8")
    code = "import sys, pytest, pycharm_plugin; pytest.main(sys.argv[1:], [pycharm_plugin])"

    def run(file=""):
        where = lab.root / file
        args = [where.name if file else "", "--no-header", "--no-summary", "-q"]
        subprocess.run(
            [sys.executable, "-c", code, *filter(None, args)],
            cwd=where.parent if file else where,  # the folder of what was clicked on
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(lab.root)])},
            capture_output=True,
            check=False,
        )
        return json.loads((lab.root / "seen.json").read_text("utf-8"))

    return run


def settings(name):
    return json.loads((PROJECT / ".vscode" / name).read_text("utf-8"))


# --------------------------------------------------------------------------------------- VS Code


def test_vs_code_is_told_all_that_it_would_ask():
    found = settings("settings.json")
    assert found["python.testing.pytestEnabled"] is True
    assert found["python.testing.unittestEnabled"] is False
    assert found["python.testing.pytestArgs"] == []  # `testpaths` says what there is
    assert not any("interpreter" in name.lower() for name in found)  # differs on each machine
    assert settings("extensions.json") == {"recommendations": ["ms-python.python"]}


def test_vs_code_hides_nothing_that_a_learner_edits():
    hidden = settings("settings.json")["files.exclude"]
    for name in hidden:
        pattern = name.removeprefix("**/")
        found = [p for p in (PROJECT / "exercises").rglob(pattern) if p.name != "__pycache__"]
        assert found == []
    assert "**/__pycache__" in hidden


def break_nothing(lab):
    pass


def break_the_syntax(lab):
    lab.answer_file("1.1", "def double(x:\n")


def break_the_encoding(lab):
    (lab.course.exercises_dir / "ch01_demo" / "ex01_double.py").write_bytes(b"\xff\xfe caf\xe9")


def lose_the_file(lab):
    (lab.course.exercises_dir / "ch01_demo" / "ex01_double.py").unlink()


def lose_the_chapter(lab):
    for path in (lab.course.exercises_dir / "ch01_demo").iterdir():
        path.unlink()
    (lab.course.exercises_dir / "ch01_demo").rmdir()


def end_the_process(lab):
    lab.answer_file("1.1", "import os\nos._exit(3)\n")


@pytest.mark.parametrize(
    "accident",
    [
        break_nothing,
        break_the_syntax,
        break_the_encoding,
        lose_the_file,
        lose_the_chapter,
        end_the_process,
    ],
)
def test_vs_code_lists_every_test_after(vs_code, lab, accident):
    accident(lab)
    code, seen = vs_code("--collect-only")
    assert code == 0
    assert seen["errors"] == []
    assert len(seen["tests"]) == 9
    assert seen["tests"][0] == f"{ONLY_1}::{THREE}"


def test_vs_code_shows_the_words_of_a_failure(vs_code, lab):
    lab.answer("1.1", "return x * x")
    _, seen = vs_code()
    outcome, text = seen["results"][f"{ONLY_1}::{THREE}"]
    assert outcome == "failure"
    assert text.startswith("1.1 Twice a number: wrong answer\n\n  >>> double(3)\n  9\n")
    assert "looks like: The number was multiplied by itself." in text
    todo = [r for name, r in seen["results"].items() if "ex02_pick" in name]
    assert todo == [["skipped", ""]] * 4


@pytest.mark.timeout(300)
def test_vs_code_lists_the_real_course_quickly(tmp_path):
    plugin = VS_CODE.replace("session.config.rootpath", repr(str(tmp_path)))
    (tmp_path / "editor_plugin.py").write_text(plugin, "utf-8")
    code = f"import sys, pytest; sys.path.insert(0, {str(tmp_path)!r}); sys.exit(pytest.main())"
    args = ["-p", "editor_plugin", "--collect-only", "-q", f"--rootdir={PROJECT}"]
    done = subprocess.run(
        [sys.executable, "-c", code, *args, "-p", "no:cacheprovider"],
        cwd=PROJECT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text("utf-8"))
    assert (seen["errors"], seen["slow"]) == ([], [])  # what costs seconds is imported in a test
    listed = {name.partition("::")[0] for name in seen["tests"]}
    there = {p.relative_to(PROJECT).as_posix() for p in PROJECT.glob("tests/ch*/test_*.py")}
    assert listed == there


# --------------------------------------------------------------------------------------- PyCharm


def test_pycharm_shows_our_words_and_the_answer_that_came(pycharm, lab):
    lab.answer("1.1", "return x + 1")  # what no wrong version gives
    seen = pycharm()
    outcome, text, compared = seen[THREE]
    assert (outcome, compared) == ("failed", [4, 6])
    assert text.startswith("1.1 Twice a number: wrong answer\n\n  >>> double(3)\n  4\n")
    assert seen["test_first_place_is_one"] == ["skipped", "todo", None]


def test_pycharm_compares_nothing_where_nothing_was(pycharm, lab):
    lab.answer("1.1", "raise ValueError('x must not be negative')")
    seen = pycharm()
    outcome, text, compared = seen[THREE]
    assert (outcome, compared) == ("failed", None)
    assert text.startswith("1.1 Twice a number: it crashed\n")


def test_a_long_list_is_not_compared_line_by_line(pycharm, lab):
    lab.test_file(
        "def test_long(answer):\n"
        "    assert [answer.double(x) for x in range(20_000)] == list(range(20_000))\n"
    )
    lab.answer("1.1")
    outcome, text, _ = pycharm(ONLY_1)["test_long"]
    assert outcome == "failed"
    assert "first difference at [1]" in text  # and not that the time is up


def test_full_texts_are_shown_to_who_asks(lab):
    lab.answer("1.1", "return x + 1")
    assert "wrong answer" not in lab.run("-vv", ONLY_1).text
    assert "wrong answer" in lab.run("-v", ONLY_1).text
