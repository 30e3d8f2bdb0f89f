"""Every hostile and broken hand-in of the corpus gets what it must, and leaves nothing behind."""

import json
import subprocess
import sys

import pytest

from tests.meta.minicourse import PROJECT

if sys.platform != "linux":
    pytest.skip("not run: the corpus attacks what Linux protects", allow_module_level=True)

from tests.meta.grading import hand_ins

CASES = [pytest.param(case, id=f"{case.kind}/{case.name}") for case in hand_ins.cases()]
MINUTES = 15


@pytest.fixture(scope="session")
def graded(once, tmp_path_factory):
    """The whole corpus, graded once by a process that looks around afterwards."""

    def grade():
        folder = tmp_path_factory.mktemp("corpus")
        log = folder / "log.txt"
        with log.open("w") as output:
            done = subprocess.run(
                [sys.executable, "-m", "tests.meta.grading.hand_ins", str(folder)],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                timeout=60 * MINUTES,
                check=False,
            )
        assert done.returncode == 0, log.read_text("utf-8")[-2000:]
        document = json.loads((folder / "outcomes.json").read_text("utf-8"))
        return document | {"log": log.read_text("utf-8")}

    return once("corpus", grade)


@pytest.mark.timeout(60 * MINUTES)
@pytest.mark.parametrize("case", CASES)
def test_gets_what_it_must(graded, case):
    outcome = hand_ins.Outcome(**graded["outcomes"][f"{case.kind}/{case.name}"])
    assert hand_ins.problems(case, outcome) == []


@pytest.mark.timeout(60 * MINUTES)
def test_nothing_is_left_behind(graded):
    assert graded["left"] == []


@pytest.mark.timeout(60 * MINUTES)
def test_no_setting_of_the_grader_is_changed(graded):
    assert graded["changed"] == []


@pytest.mark.timeout(60 * MINUTES)
def test_nothing_that_an_answer_prints_is_printed(graded):
    assert "kata_" not in graded["log"]


def test_corpus_is_large_enough():
    kinds = [case.kind for case in hand_ins.cases()]
    assert (kinds.count("hostile") >= 60, kinds.count("broken") >= 40) == (True, True)


def test_every_wanted_verdict_is_a_possible_one():
    assert all(case.verdicts <= hand_ins.ANY | {"missing"} for case in hand_ins.cases())
