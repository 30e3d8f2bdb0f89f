"""The last lines of every run: a bar for each chapter, and the one thing to do next."""

import json
import os
import shutil

import pytest

from kata import progress
from kata.verdict import Verdict

NEXT = (
    "next: exercises/ch01_demo/{file}:{line}  {title}  "
    "(stuck? kata hint {n}   start over? kata reset {n})"
)
NEXT_1 = {"file": "ex01_double.py", "line": 18, "title": "1.1 Twice a number", "n": "1.1"}
NEXT_2 = {
    "file": "ex02_pick.py",
    "line": 20,
    "title": "1.2 Twice the value at a place",
    "n": "1.2",
}


def following(where, **changes):
    return NEXT.format(**(where | changes))


def saved_at(path, seconds):
    os.utime(path, (seconds, seconds))


def test_the_first_exercise_to_do_comes_next(lab):
    assert lab.run().summary() == [
        "1 demo           [....................] 0 of 2 done",
        following(NEXT_1),
    ]


def test_after_a_pass_the_next_one_comes(lab):
    lab.answer("1.1")
    assert lab.run().summary() == [
        "1 demo           [##########..........] 1 of 2 done",
        following(NEXT_2),
    ]


def test_a_pass_is_remembered_when_another_exercise_is_run(lab):
    lab.answer("1.1")
    lab.run()
    assert lab.run("tests/ch01_demo/test_ex02_pick.py").summary() == [
        "1 demo           [##########..........] 1 of 2 done",
        following(NEXT_2),
    ]


def test_a_pass_is_forgotten_when_its_file_is_edited(lab):
    lab.answer("1.1")
    lab.run()
    lab.answer("1.1", "return 0")
    summary = lab.run("tests/ch01_demo/test_ex02_pick.py").summary()
    assert summary[0] == "1 demo           [....................] 0 of 2 done"
    assert summary[1].startswith("next: exercises/ch01_demo/ex01_double.py:")


PARTS = [
    ("-k", "three"),
    ("-n", "2", "-k", "three"),
    ("--deselect", "tests/ch01_demo/test_ex01_double.py::test_negative_number_is_refused"),
]


@pytest.mark.parametrize("args", PARTS, ids=" ".join)
def test_an_exercise_is_not_done_when_a_part_of_its_tests_passes(lab, args):
    lab.answer("1.1", "return 2 * x")
    outcome = lab.run_outside(*args)
    assert outcome.exit == 0
    assert outcome.summary()[0].endswith("0 of 2 done")
    assert outcome.summary()[-1].startswith("next: exercises/ch01_demo/ex01_double.py")
    assert progress.read(lab.course).get("demo/double") is None


def test_one_test_by_its_name_is_a_part(lab):
    lab.answer("1.1")
    lab.run("tests/ch01_demo/test_ex01_double.py::test_three_becomes_six")
    assert progress.read(lab.course).get("demo/double") is None
    lab.run("tests/ch01_demo/test_ex01_double.py")
    lab.run("tests/ch01_demo/test_ex01_double.py::test_three_becomes_six")
    assert progress.read(lab.course)["demo/double"] is Verdict.PASS


def test_a_part_that_fails_is_remembered(lab):
    lab.answer("1.1", "return 3 * x")
    lab.run("-k", "three")
    assert progress.read(lab.course)["demo/double"] is Verdict.WRONG


def test_an_exercise_chosen_by_name_is_whole(lab):
    lab.answer("1.1")
    lab.run("-k", "ex01_double")
    assert progress.read(lab.course)["demo/double"] is Verdict.PASS


def test_the_failing_exercise_saved_last_comes_next(lab):
    first, second = lab.answer("1.1", "return 0"), lab.answer("1.2", "return 0")
    saved_at(first, 1_000_000)
    saved_at(second, 2_000_000)
    assert lab.run().summary()[1] == following(NEXT_2, line=11)
    saved_at(first, 3_000_000)
    assert lab.run().summary()[1] == following(NEXT_1, line=9)


def test_a_failing_exercise_comes_before_one_to_do(lab):
    lab.answer("1.2", "return 0")
    assert lab.run().summary()[1] == following(NEXT_2, line=11)


def test_a_broken_file_comes_next_with_its_first_line(lab):
    lab.answer_file("1.1", "# nothing here\n")
    assert lab.run().summary()[1] == following(NEXT_1, line=1)


def test_when_all_is_done_nothing_is_left(lab):
    lab.answer("1.1")
    lab.answer("1.2")
    assert lab.run().summary() == [
        "1 demo           [####################] 2 of 2 done",
        "next: nothing left to do here. `kata show` runs what you have built.",
    ]


def test_the_state_of_others_is_not_mixed_with_ones_own(lab):
    shutil.copytree(lab.course.solutions_dir, lab.root / "anna")
    lab.run("--answers=anna")
    assert lab.run("-k", "pick").summary()[0].endswith(" 0 of 2 done")
    assert lab.run("--answers=anna").summary()[0].endswith(" 2 of 2 done")


def test_a_damaged_state_is_forgotten(lab):
    lab.answer("1.1")
    lab.run()
    (lab.root / ".kata" / "state.json").write_text("{")
    assert lab.run("-k", "pick").summary()[0].endswith(" 0 of 2 done")
    state = json.loads((lab.root / ".kata" / "state.json").read_text())
    assert state["exercises"]["demo/pick"]["verdict"] == "todo"


def test_a_run_without_graded_tests_says_nothing(lab):
    (lab.course.tests_dir / "meta").mkdir()
    (lab.course.tests_dir / "meta" / "test_x.py").write_text("def test_x(): pass\n")
    outcome = lab.run("tests/meta")
    assert outcome.exit == 0
    assert "next:" not in outcome.text
    assert outcome.document["exercises"] == {}


def test_a_failure_outside_of_the_exercises_is_left_to_pytest(lab):
    (lab.course.tests_dir / "meta").mkdir()
    (lab.course.tests_dir / "meta" / "test_x.py").write_text("def test_x(): assert 'ab' == 'ac'\n")
    outcome = lab.run("tests/meta")
    assert "E   AssertionError: assert 'ab' == 'ac'" in outcome.text
    assert "FAILED tests/meta/test_x.py::test_x" in outcome.text


def test_a_test_file_without_an_exercise_is_told_how_to_be_named(lab):
    (lab.course.tests_dir / "ch01_demo" / "test_ex09_none.py").write_text("def test_x(answer): 0\n")
    outcome = lab.run("tests/ch01_demo/test_ex09_none.py")
    assert outcome.exit == 1
    assert (
        "UsageError: test_ex09_none.py asks for an answer, but no exercise belongs to it: "
        "tests/ch05_decoding/test_ex04_top_p.py grades ch05_decoding/ex04_top_p.py"
    ) in outcome.text


def test_a_fixture_that_uses_the_answer_is_refused(lab):
    lab.test_file(
        "import pytest\n"
        "@pytest.fixture\n"
        "def six(answer): return answer.double(3)\n"
        "def test_six(six): assert six == 6\n"
    )
    outcome = lab.run("tests/ch01_demo/test_ex01_double.py")
    assert outcome.exit == 1
    assert "test_ex01_double.py: the fixture 'six' uses `answer`. Only the test " in outcome.text
