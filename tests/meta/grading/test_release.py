"""`kata release`: the students' repository lacks some solutions, and the rest of it still runs."""

import json
import os
import subprocess

import pytest

from kata import hints, stubs
from kata.course import Course, CourseError
from kata.grading.release import given_away, release
from kata.grading.similar import Reader
from tests.meta import minicourse
from tests.meta.command import Kata
from tests.meta.conftest import PROJECT, Lab


def track(course):
    """Make the folder of a course a git checkout that knows its files."""
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=course.root, check=True)
    return course


def left_out(course, *numbers):
    return [course.find(number) for number in numbers]


@pytest.fixture
def full(tmp_path):
    return track(minicourse.make_course(tmp_path / "instructor"))


@pytest.fixture
def copy_without(full, tmp_path):
    """Makes the students' copy."""

    def make(*numbers):
        release(full, tmp_path / "students", left_out(full, *numbers))
        return Course(tmp_path / "students")

    return make


@pytest.fixture
def lab_without(pytester):
    """A learner's lab in a copy that lacks solutions."""

    def make(*numbers):
        full = track(minicourse.make_course(pytester.path / "instructor"))
        release(full, pytester.path / "students", left_out(full, *numbers))
        os.chdir(pytester.path / "students")
        return Lab(Course(pytester.path / "students"), pytester)

    return make


# -------------------------------------------------------------------------------- what is in it


def test_solution_is_replaced_by_its_stub(full, copy_without):
    copy = copy_without("1.1")
    first, second = copy.exercises
    assert (copy.solutions_dir / first.path).read_text() == stubs.stub_of(full, first)
    assert (copy.solutions_dir / second.path).read_text() == (
        full.solutions_dir / second.path
    ).read_text()
    assert "return x + x" not in "".join(
        p.read_text() for p in copy.root.rglob("*.py") if p.is_file()
    )


def test_everything_else_is_there(full, copy_without):
    copy = copy_without("1.1")
    files = {p.relative_to(copy.root).as_posix() for p in copy.root.rglob("*") if p.is_file()}
    assert files == {
        "pyproject.toml",
        "exercises/ch01_demo/README.md",
        "exercises/ch01_demo/ex01_double.py",
        "exercises/ch01_demo/ex02_pick.py",
        "solutions/ch01_demo/ex01_double.py",
        "solutions/ch01_demo/ex02_pick.py",
        "tests/ch01_demo/hints.toml",
        "tests/ch01_demo/test_ex01_double.py",
        "tests/ch01_demo/test_ex02_pick.py",
        "tests/ch01_demo/wrong_ex02_pick.py",
    }


def test_written_files_are_named(full, tmp_path):
    files = release(full, tmp_path / "students", [])
    found = {p.relative_to(tmp_path / "students") for p in (tmp_path / "students").rglob("*.*")}
    assert set(files) == {p for p in found if p.suffix}


def test_what_git_does_not_know_stays(full, copy_without):
    (full.root / "solutions" / "ch01_demo" / "notes.py").write_text("secret = 1\n")
    (full.root / ".kata").mkdir()
    (full.root / ".kata" / "state.json").write_text("{}")
    copy = copy_without()
    assert not (copy.solutions_dir / "ch01_demo" / "notes.py").exists()
    assert not (copy.root / ".kata").exists()
    assert not (copy.root / ".git").exists()


@pytest.mark.parametrize(
    "name",
    [
        "points.toml",
        "hidden/ch01_demo/test_ex01_double.py",
        "tests/hidden/ch01_demo/test_ex01_double.py",
        "tests/ch01_demo/hidden/test_ex01_double.py",
        "tests/meta/test_x.py",
        "benchmarks/bench_x.py",
        "hand-ins/anna.zip",
        ".ci/run",
        ".github/workflows/ci.yml",
    ],
)
def test_what_the_instructor_keeps_stays(full, copy_without, name):
    path = full.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x = 1\n")
    track(full)
    assert not (copy_without().root / name).exists()


def test_what_the_instructor_tried_out_stays(full, copy_without):
    minicourse.answer(full, "1.1")
    copy = copy_without("1.1")
    assert stubs.is_to_do(copy.exercises_dir / copy.exercises[0].path)


def test_wrong_versions_that_contain_the_answer_stay(full, copy_without):
    wrong = full.tests_dir / "ch01_demo" / "wrong_ex02_pick.py"
    text = (full.solutions_dir / "ch01_demo" / "ex01_double.py").read_text()
    body = text.partition("# solution\n")[2].replace("x", "y")
    wrong.write_text(f"{wrong.read_text()}\n\ndef my_double(y):\n{body}")
    assert [p.name for p in given_away(full, left_out(full, "1.1"))] == [
        "wrong_ex01_double.py",
        "wrong_ex02_pick.py",
    ]
    assert not (copy_without("1.1").tests_dir / "ch01_demo" / "wrong_ex02_pick.py").exists()


def test_hints_keep_all_levels(copy_without):
    copy = copy_without("1.1")
    assert len(hints.read(copy, copy.exercises[0])) == 3


# ------------------------------------------------------------------------------------- refusals


def test_folder_with_something_in_it_is_left_alone(full, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CourseError, match="is not empty: nothing was written"):
        release(full, tmp_path, [])
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_empty_folder_is_filled(full, tmp_path):
    (tmp_path / "students").mkdir()
    assert release(full, tmp_path / "students", [])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["instructor", "students"]


def test_course_that_is_no_checkout_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    course = minicourse.make_course(tmp_path / "instructor")
    with pytest.raises(CourseError, match="in a git checkout of the course"):
        release(course, tmp_path / "students", [])
    assert not (tmp_path / "students").exists()


def test_solution_that_is_not_there_cannot_be_left_out(copy_without, tmp_path):
    copy = track(copy_without("1.1"))
    with pytest.raises(CourseError, match=r"there is no solution of 1\.1 "):
        release(copy, tmp_path / "again", left_out(copy, "1.1"))


def test_nothing_half_is_left_when_it_fails(full, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.copy", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        release(full, tmp_path / "students", [])
    assert [p.name for p in tmp_path.iterdir()] == ["instructor"]


# ------------------------------------------------------------------- what a student sees in it


def test_untouched_copy_is_calm(lab_without):
    lab = lab_without("1.1")
    outcome = lab.run()
    assert outcome.exit == 0
    assert outcome.exercise() == outcome.exercise("demo/pick") == "todo"
    assert "only the instructor" not in outcome.text


def test_only_what_needs_the_solution_is_left_to_the_instructor(lab_without):
    lab = lab_without("1.1")
    lab.answer_file("1.1", minicourse.FILES["solutions/ch01_demo/ex01_double.py"])
    outcome = lab.run()
    assert outcome.tests() == {
        "test_three_becomes_six": "pass",
        "test_negative_number_is_refused": "pass",
        **{f"test_agrees_with_the_reference[{x}]": "not run" for x in (0, 2, 10)},
    }
    record = outcome.document["exercises"]["demo/double"]["tests"]
    assert record["test_agrees_with_the_reference[0]"]["message"] == (
        "not run: only the instructor can judge 1.1: its solution is not part of this copy"
    )
    assert "\nonly the instructor can judge all of 1.1\n" in outcome.text


def test_mistake_is_still_found(lab_without):
    lab = lab_without("1.1")
    lab.answer_file("1.1", "def double(x):\n    return x * x\n")
    outcome = lab.run("tests/ch01_demo/test_ex01_double.py")
    assert outcome.exercise() == "wrong"
    assert outcome.tests()["test_three_becomes_six"] == "wrong"


def test_strict_copy_does_not_count_what_it_cannot_judge(lab_without):
    lab = lab_without("1.1")
    lab.answer_file("1.1", minicourse.FILES["solutions/ch01_demo/ex01_double.py"])
    outcome = lab.run("--grade", "tests/ch01_demo/test_ex01_double.py")
    assert outcome.exit == 0
    assert outcome.document["exercises"]["demo/double"]["expected"] == 2


def test_exercise_that_builds_on_it_uses_the_students_own(lab_without):
    lab = lab_without("1.1")
    lab.answer_file("1.1", "def double(x):\n    return x + x\n")
    lab.answer("1.2")
    outcome = lab.run("tests/ch01_demo/test_ex02_pick.py")
    assert outcome.exercise("demo/pick") == "pass"


def test_exercise_that_builds_on_it_says_what_is_still_to_do(lab_without):
    lab = lab_without("1.1")
    lab.answer("1.2")
    outcome = lab.run("tests/ch01_demo/test_ex02_pick.py")
    tests = outcome.document["exercises"]["demo/pick"]["tests"]
    assert outcome.exit == 0
    assert outcome.tests("demo/pick")["test_place_zero_is_refused"] == "pass"
    assert tests["test_first_place_is_one"]["message"] == (
        "not run: 1.2 builds on 1.1, which is still to do: "
        "the solution of 1.1 is not part of this copy"
    )


def test_broken_file_of_the_students_stops_no_other_exercise(lab_without):
    lab = lab_without("1.1")
    lab.answer_file("1.1", "def double(x:\n")
    lab.answer_file("1.2", "def pick(values, place):\n    return 2 * values[place - 1]\n")
    outcome = lab.run()
    assert outcome.exercise() == "crash"
    assert outcome.tests("demo/pick")["test_first_place_is_one"] == "pass"


def test_test_that_imports_the_solution_itself_is_left_to_the_instructor(lab_without):
    lab = lab_without("1.1")
    lab.test_file(
        "from solutions.ch01_demo.ex01_double import double\n\n\n"
        "def test_first_place_is_one(answer):\n    assert answer.pick([10], 1) == double(10)\n",
        "1.2",
    )
    lab.answer_file("1.1", "def double(x):\n    return x + x\n")
    lab.answer("1.2")
    outcome = lab.run_outside("tests/ch01_demo/test_ex02_pick.py")
    record = outcome.document["exercises"]["demo/pick"]["tests"]["test_first_place_is_one"]
    assert record["message"] == (
        "not run: only the instructor can judge 1.2: the solution of 1.1 is not part of this copy"
    )


def test_diagnosis_of_other_exercises_still_works(lab_without):
    lab = lab_without("1.1")
    lab.answer_file("1.2", "def pick(values, place):\n    return 2 * values[place]\n")
    outcome = lab.run("-k", "first_place_is_one")
    assert "The first place was called 0." in outcome.text


def test_full_copy_judges_what_the_copy_could_not(lab_without, pytester):
    lab = lab_without("1.1")
    lab.answer_file("1.1", minicourse.FILES["solutions/ch01_demo/ex01_double.py"])
    full = Lab(Course(pytester.path / "instructor"), pytester)
    os.chdir(full.root)
    outcome = full.run("--grade", f"--answers={lab.course.exercises_dir}", "-k", "double")
    assert outcome.document["exercises"]["demo/double"]["passed"] == 5


# ------------------------------------------------------------------------- the command line in it


@pytest.fixture
def kata(copy_without, monkeypatch, capsys):
    return Kata(copy_without("1.1"), monkeypatch, capsys)


def test_solution_says_that_it_is_not_there(kata):
    result = kata("solution", "1.1", "--peek")
    assert (result.code, result.err) == (
        2,
        "kata: the solution of 1.1 Twice a number is not part of this copy\n",
    )


def test_other_solution_is_shown(kata):
    assert "return double(values[place - 1])" in kata("solution", "1.2", "--peek").out


def test_reset_writes_the_stub_again(kata):
    path = kata.course.exercises_dir / "ch01_demo" / "ex01_double.py"
    stub = path.read_text()
    path.write_text("def double(x):\n    return 0\n")
    assert kata("reset", "1.1", "--yes").code == 0
    assert path.read_text() == stub


@pytest.mark.parametrize("command", [["list"], ["hint", "1.1"], ["stubs", "--check"]])
def test_command_works_as_ever(kata, command):
    result = kata(*command)
    assert (result.code, result.err) == (0, "")


def test_list_as_json_has_every_exercise(kata):
    document = json.loads(kata("list", "--json").out)
    assert [e["state"] for e in document["exercises"]] == ["todo", "todo"]


# ------------------------------------------------------------------------------ the real course


def test_wrong_versions_of_few_others_are_kept_back():
    exercise = PROJECT.find("1.5")
    names = [path.name for path in given_away(PROJECT, [exercise])]
    assert f"wrong_{exercise.name}.py" in names
    assert len(names) <= 3


def test_share_of_an_answer_does_not_count_its_stub():
    exercise = PROJECT.find("5.4")
    stub = stubs.stub_of(PROJECT, exercise)
    reader = Reader(stub)
    solution = reader.read("", (PROJECT.solutions_dir / exercise.path).read_bytes())
    assert solution.share_in(solution) == 1.0
    assert solution.share_in(Reader().read("", stub.encode())) == 0.0
