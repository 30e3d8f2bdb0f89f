"""Ways to run the tests: which files are graded, strictly or not, in parallel, by an editor."""

import json
import os
import shutil
import xml.etree.ElementTree as ElementTree

import pytest

ONLY_1 = "tests/ch01_demo/test_ex01_double.py"
PICK = (
    "from .ex01_double import double\n\n\ndef pick(values, place):\n"
    "    if not 1 <= place <= len(values):\n        raise IndexError('place must be from 1')\n"
    "    return double(values[place - 1])\n"
)


# ------------------------------------------------------------------------------- which files


def test_answers_of_another_folder_are_graded(lab):
    shutil.copytree(lab.course.exercises_dir, lab.root / "anna")
    lab.answer("1.1")
    outcome = lab.run("--answers=anna")
    assert outcome.exit == 0
    assert outcome.exercise() == "todo"
    assert "next: anna/ch01_demo/ex01_double.py:18  1.1 Twice a number " in outcome.text
    assert outcome.document["answers"] == "anna"
    assert not (lab.root / ".kata").exists()  # this is not the learner's own progress


def test_answers_outside_of_the_course_are_graded(lab, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(lab.course.solutions_dir, elsewhere, dirs_exist_ok=True)
    outcome = lab.run(f"--answers={elsewhere}", "--grade")
    assert outcome.exit == 0
    assert outcome.document["answers"] == str(elsewhere)
    assert outcome.document["points"] == 2.0


def test_answers_that_are_not_there_are_a_usage_error(lab):
    outcome = lab.run_outside("--answers=nobody")
    assert outcome.exit == 4
    assert f"ERROR: --answers: there is no folder {lab.root / 'nobody'}\n" in outcome.text


def test_imports_come_from_the_reference(lab):
    lab.answer("1.1", "return 0")
    lab.answer_file("1.2", PICK)
    outcome = lab.run()
    assert outcome.exercise() == "wrong"
    assert outcome.exercise("demo/pick") == "pass"


def test_imports_come_from_the_same_tree_with_own(lab):
    lab.answer("1.1", "return 0")
    lab.answer_file("1.2", PICK)
    assert lab.run("--own").exercise("demo/pick") == "wrong"


def test_own_does_not_change_the_reference(lab):
    lab.test_file(
        "def test_reference(answer, reference):\n"
        "    assert reference.pick([1], 1) == 2\n"
        "    assert answer.pick([1], 1) == 2\n",
        "1.2",
    )
    lab.answer("1.1", "return 0")
    lab.answer_file("1.2", PICK)
    outcome = lab.run("--own", "-k", "reference", "tests/ch01_demo/test_ex02_pick.py")
    assert "  >>> pick([1], 1)\n  0\n" in outcome.text


def test_a_helper_file_of_the_learner_is_found(lab):
    (lab.course.exercises_dir / "ch01_demo" / "helper.py").write_text(
        "def twice(x): return x + x\n"
    )
    lab.answer("1.1", "from .helper import twice\nif x < 0: raise ValueError(x)\nreturn twice(x)")
    assert lab.run("-k", "three").verdicts() == {"pass"}
    assert lab.run("--own", "-k", "three").verdicts() == {"pass"}


def test_an_edit_of_the_same_size_and_time_is_seen(lab):
    path = lab.answer("1.1", "return 2 * x")
    before = path.stat()
    assert lab.run("-k", "three").verdicts() == {"pass"}
    lab.answer("1.1", "return 3 * x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert lab.run("-k", "three").verdicts() == {"wrong"}


def test_nothing_is_written_beside_the_answers(lab):
    lab.answer("1.1")
    lab.answer_file("1.2", PICK)
    lab.run()
    lab.run_outside("--own")
    found = {p.name for p in lab.course.exercises_dir.rglob("*") if p.is_file()}
    assert found == {"ex01_double.py", "ex02_pick.py", "README.md"}


def test_no_state_survives_from_one_test_to_the_next(lab):
    lab.answer_file(
        "1.1", "calls = []\n\ndef double(x):\n    calls.append(x)\n    return len(calls)\n"
    )
    lab.test_file("\n".join(f"def test_{i}(answer): assert answer.double(0) == 1" for i in "abc"))
    assert lab.run(ONLY_1).verdicts() == {"pass"}


def test_an_answer_may_change_the_working_directory(lab):
    lab.answer("1.1", f"import os\nos.chdir({str(lab.root.parent)!r})\nreturn x + x")
    outcome = lab.run_outside("--grade-json=verdicts.json", ONLY_1)
    assert outcome.exercise() == "wrong"
    assert outcome.verdict_file.exists()


# ---------------------------------------------------------------------------------- strictness


@pytest.mark.parametrize("by", ["option", "environment"])
def test_grading_passes_when_all_is_right(lab, by, monkeypatch):
    lab.answer("1.1")
    lab.answer("1.2")
    if by == "environment":
        monkeypatch.setenv("CI", "true")
    outcome = lab.run(*["--grade"] * (by == "option"))
    assert outcome.exit == 0
    assert outcome.document["counts"]["pass"] == 2


def test_a_run_that_stops_early_leaves_exercises_without_a_verdict(lab):
    lab.answer("1.1", "return 0")
    outcome = lab.run("--grade", "-x")
    assert outcome.exit == 1
    assert outcome.exercise() == "wrong"
    assert outcome.exercise("demo/pick") == "missing"
    assert "\nno verdict: 2 exercises (demo/double, demo/pick)\n" in outcome.text


def test_a_test_file_that_cannot_be_read_leaves_exercises_without_a_verdict(lab):
    lab.answer("1.1")
    lab.answer("1.2")
    lab.test_file("import does_not_exist\n")
    outcome = lab.run("--grade")
    assert outcome.exit == 2
    assert outcome.exercise() == outcome.exercise("demo/pick") == "missing"
    outcome = lab.run("--grade", "--continue-on-collection-errors")
    assert outcome.exit == 1
    assert outcome.exercise() == "missing"
    assert outcome.exercise("demo/pick") == "pass"


def test_a_test_file_that_is_gone_leaves_its_exercise_without_a_verdict(lab):
    lab.answer("1.1")
    lab.answer("1.2")
    (lab.root / ONLY_1).unlink()
    outcome = lab.run("--grade")
    assert outcome.exit == 1
    assert outcome.exercise() == "missing"
    assert "no verdict: 1 exercise (demo/double)" in outcome.text


def test_a_learner_is_not_bothered_about_missing_verdicts(lab):
    lab.answer("1.1")
    (lab.root / ONLY_1).unlink()
    outcome = lab.run()
    assert outcome.exit == 0
    assert "no verdict" not in outcome.text


@pytest.mark.parametrize("args", [[ONLY_1], [f"{ONLY_1}::test_three_becomes_six"], ["-k", "three"]])
def test_only_what_was_asked_for_needs_a_verdict(lab, args):
    lab.answer("1.1")
    outcome = lab.run("--grade", *args)
    assert outcome.exit == 0
    assert set(outcome.document["exercises"]) == {"demo/double"}


# ------------------------------------------------------------------------- parallel, editors, CI


def test_parallel_runs_say_the_same(lab):
    lab.answer("1.1", "if x < 0:\n    raise ValueError('x must not be negative')\nreturn x * x")
    plain, parallel = lab.run("--grade"), lab.run_outside("--grade", "-n2")
    assert plain.exit == parallel.exit == 1
    assert plain.document == parallel.document
    assert plain.summary() == parallel.summary()
    text = parallel.failure("test_three_becomes_six").split("\n", 1)  # "[gw0] linux -- ..."
    assert text[1] == plain.failure("test_three_becomes_six")
    assert "looks like: The number was multiplied by itself." in text[1]


def test_junit_reports_verdicts_and_words(lab):
    lab.answer("1.1", "if x < 0:\n    raise KeyError(x)\nreturn x * x")
    lab.run("--junit-xml=report.xml")
    cases = ElementTree.parse(lab.root / "report.xml").getroot().iter("testcase")
    by_name = {case.get("name"): case for case in cases}
    verdicts = {
        name: case.find("properties/property[@name='verdict']").get("value")
        for name, case in by_name.items()
    }
    assert verdicts["test_three_becomes_six"] == "wrong"
    assert verdicts["test_agrees_with_the_reference[0]"] == "pass"
    assert verdicts["test_first_place_is_one"] == "todo"
    failed = by_name["test_three_becomes_six"].find("failure")
    assert failed.get("message") == "1.1 Twice a number: wrong answer"
    assert "  >>> double(3)\n  9\n\n  expected 6\n" in failed.text
    assert by_name["test_first_place_is_one"].find("skipped") is not None


def test_an_editor_finds_every_test_although_a_file_is_broken(lab):
    lab.answer_file("1.1", "def double(x:\n")
    outcome = lab.run("--collect-only")
    assert outcome.exit == 0
    listed = [line for line in outcome.text.splitlines() if "::" in line]
    assert len(listed) == 9
    assert "tests/ch01_demo/test_ex01_double.py::test_three_becomes_six" in listed
    assert "next:" not in outcome.text


def test_the_editor_of_one_broken_file_still_runs_the_others(lab):
    lab.answer_file("1.1", "def double(x:\n")
    lab.answer("1.2")
    outcome = lab.run()
    assert outcome.verdicts() == {"crash"}
    assert outcome.verdicts("demo/pick") == {"pass"}


# ---------------------------------------------------------------------------- the verdict file


def test_verdict_file_holds_points_and_words(lab):
    lab.answer("1.1", "if x < 0:\n    raise ValueError('x must not be negative')\nreturn x * x")
    document = lab.run().document
    double = document["exercises"].pop("demo/double")
    tests = double.pop("tests")
    sentence = "The number was multiplied by itself. Twice means two times the number."
    assert double == {
        "number": "1.1",
        "title": "Twice a number",
        "verdict": "wrong",
        "passed": 3,
        "expected": 5,
        "points": 0.6,
        "max_points": 1.0,
        "diagnosis": [sentence],
    }
    assert tests["test_three_becomes_six"] == {
        "verdict": "wrong",
        "message": "got      9\nexpected 6",
        "where": "",
        "calls": [">>> double(3)", "9"],
        "looks_like": [sentence],
    }
    assert document.pop("exercises")["demo/pick"]["points"] == 0.0
    assert document == {
        "schema": 1,
        "answers": "exercises",
        "points": 0.6,
        "max_points": 2.0,
        "counts": {
            "pass": 0,
            "wrong": 1,
            "crash": 0,
            "timeout": 0,
            "todo": 1,
            "not run": 0,
            "missing": 0,
        },
    }


def test_verdict_file_is_whole_and_up_to_date_while_tests_run(lab):
    # Each answer notes what the verdict file says at that moment.
    note = "import json, pathlib\nfile = pathlib.Path('verdicts.json')\n" + (
        "row = {k: v['verdict'] for k, v in json.loads(file.read_text())['exercises'].items()}\n"
        "with open('notes.txt', 'a') as notes: notes.write(json.dumps(row) + '\\n')\n"
    )
    lab.answer("1.1", f"{note}return 0")
    lab.answer("1.2", f"{note}return 0")
    lab.run_outside("--grade-json=verdicts.json")
    notes = [json.loads(line) for line in (lab.root / "notes.txt").read_text().splitlines()]
    assert notes[0] == {"demo/double": "missing", "demo/pick": "missing"}
    assert notes[-1] == {"demo/double": "wrong", "demo/pick": "missing"}
    assert not list(lab.root.glob(".verdicts*"))
