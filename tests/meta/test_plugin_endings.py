"""Answers that try to end the test, or the whole session, instead of answering."""

import pytest

from kata.grade import ENDED_EARLY

ONLY_1 = "tests/ch01_demo/test_ex01_double.py"

# What the answer does; what is said about it.
ENDINGS = {
    "exit": ("import sys\nsys.exit(0)", "SystemExit: 0"),
    "skip": ('import pytest\npytest.skip("no")', "the answer itself called pytest.skip: no"),
    "fail": ('import pytest\npytest.fail("no")', "the answer itself called pytest.fail: no"),
    "xfail": ('import pytest\npytest.xfail("no")', "the answer itself called pytest.xfail: no"),
    "stop": ('import pytest\npytest.exit("no", 0)', "the answer itself called pytest.exit: no"),
    "SkipTest": ('import unittest\nraise unittest.SkipTest("no")', "SkipTest: no"),
    "not run": (
        'from kata.data import RealData\nRealData({}).path("x")',
        "the answer itself called pytest.skip: not run: no x",
    ),
    "generator": ("raise GeneratorExit", "GeneratorExit"),
}


@pytest.mark.parametrize("strict", [False, True], ids=["learner", "strict"])
@pytest.mark.parametrize("name", ENDINGS)
def test_an_answer_cannot_end_its_test(lab, name, strict):
    body, message = ENDINGS[name]
    lab.answer("1.1", body)
    lab.answer("1.2")
    outcome = lab.run(*["--grade"] * strict)
    assert outcome.exit == 1
    assert outcome.tests()["test_three_becomes_six"] == "crash"
    assert set(outcome.tests().values()) <= {"crash", "wrong"}
    assert outcome.exercise() == "crash"
    assert message in outcome.text
    assert outcome.verdicts("demo/pick") == {"pass"}


@pytest.mark.parametrize("name", ["exit", "skip", "stop", "SkipTest"])
def test_a_file_cannot_end_its_tests(lab, name):
    body, message = ENDINGS[name]
    if name == "skip":
        body = body.replace(")", ", allow_module_level=True)")
    lab.answer_file("1.1", body)
    outcome = lab.run("--grade", ONLY_1)
    assert outcome.exit == 1
    assert outcome.verdicts() == {"crash"}
    assert message in outcome.text


def test_an_interrupt_is_a_person_on_a_learners_screen(lab):
    lab.answer("1.1", "raise KeyboardInterrupt")
    outcome = lab.run()
    assert outcome.exit == 2
    assert outcome.exercise() == "missing"
    assert "next: exercises/ch01_demo/ex01_double.py" in outcome.text


def test_an_interrupt_is_a_crash_when_a_class_is_graded(lab):
    lab.answer("1.1", "raise KeyboardInterrupt")
    lab.answer("1.2")
    outcome = lab.run("--grade")
    assert outcome.exit == 1
    assert outcome.verdicts() == {"crash"}
    assert outcome.verdicts("demo/pick") == {"pass"}


# ------------------------------------------------------------------------- the end of the process


def test_ending_the_process_ends_a_learners_session(lab):
    """On their own screen nobody is cheated, and nothing is said to have passed."""
    lab.answer("1.1", "import os\nos._exit(0)")
    lab.answer("1.2")
    outcome = lab.run_outside()
    assert outcome.exit == 0
    assert "passed" not in outcome.text
    assert outcome.exercise() == "missing"
    assert outcome.exercise("demo/pick") == "missing"


@pytest.mark.parametrize("at_import", [False, True], ids=["call", "import"])
def test_ending_the_process_fails_when_a_class_is_graded(lab, at_import):
    body = "import os\nos._exit(0)"
    lab.answer_file("1.2", body) if at_import else lab.answer("1.2", body)
    lab.answer("1.1")
    outcome = lab.run_outside("--grade")
    assert outcome.exit == 1
    assert f"\n{ENDED_EARLY} (exit code 0)" in outcome.text
    assert outcome.exercise() == "pass"  # what was graded before is kept
    assert outcome.exercise("demo/pick") == "missing"
    assert outcome.document["points"] == 1.0
    assert outcome.document["max_points"] == 2.0


def test_an_exit_code_that_is_changed_at_the_end_is_noticed(lab):
    lab.answer("1.1", "import atexit, os\natexit.register(os._exit, 0)\nreturn 0")
    assert lab.run_outside("--grade", ONLY_1).exit == 1


def test_ending_a_worker_of_xdist_is_a_crash(lab):
    lab.answer("1.1", "import os\nif x < 0: os._exit(0)\nreturn x + x")
    lab.answer("1.2")
    outcome = lab.run_outside("-n1", "--grade")
    assert outcome.exit == 1
    assert outcome.tests()["test_negative_number_is_refused"] == "crash"
    assert outcome.verdicts("demo/pick") == {"pass"}
    assert "worker 'gw0' crashed while running" in outcome.text


@pytest.mark.parametrize("option", ["--version", "--help", "--markers", "--collect-only"])
def test_a_question_is_answered_in_a_strict_place_too(lab, option):
    outcome = lab.run_outside(option, CI="true")
    assert outcome.exit == 0
    assert ENDED_EARLY not in outcome.text
