"""The catalogue: how it is read, and that each real exercise has all its parts."""

import doctest
import re
import tomllib

import pytest

from kata import hints, progress, stubs
from kata.course import Course, CourseError, chapter_title, find_root, read_title
from kata.load import Source, fresh
from kata.wrong import Bank
from tests.meta import minicourse
from tests.meta.conftest import PROJECT, each_exercise


@pytest.fixture
def course(tmp_path):
    return minicourse.make_course(tmp_path)


# ---------------------------------------------------------------------------------- how it is read


def test_an_exercise_knows_its_names(course):
    pick = course.find("1.2")
    assert (pick.number, pick.slug, pick.title) == (
        "1.2",
        "demo/pick",
        "Twice the value at a place",
    )
    assert (pick.difficulty, pick.minutes) == ("medium", 10)
    assert str(pick) == "1.2 Twice the value at a place"
    assert chapter_title("ch07_language_models") == "7 language models"


@pytest.mark.parametrize(
    "key",
    [
        "1.2",
        "demo/pick",
        "ex02_pick",
        "pick",
        "ch01_demo/ex02_pick",
        "exercises/ch01_demo/ex02_pick.py",
        "exercises\\ch01_demo\\ex02_pick.py",
        "tests/ch01_demo/test_ex02_pick.py",
    ],
)
def test_an_exercise_is_found_by_any_name(course, key):
    assert course.find(key).slug == "demo/pick"


def test_an_exercise_that_is_not_there_is_named(course):
    with pytest.raises(CourseError, match=r"no exercise '7\.7'; `kata list` shows them all"):
        course.find("7.7")


def test_a_name_of_several_exercises_is_told(course):
    other = course.solutions_dir / "ch02_more"
    other.mkdir()
    (other / "ex01_pick.py").write_text('"""2.1 Pick   [hard, ~60 min]\n"""\n')
    with pytest.raises(CourseError, match=r"'pick' is .* 1\.2 \(demo/pick\), 2\.1 \(more/pick\)"):
        Course(course.root).find("pick")


def test_exercises_are_in_order_and_by_chapter(course):
    assert [e.number for e in course.exercises] == ["1.1", "1.2"]
    assert list(course.chapters) == ["ch01_demo"]


def test_a_course_without_a_solution_reads_the_stub(course):
    (course.solutions_dir / "ch01_demo" / "ex01_double.py").unlink()
    assert Course(course.root).find("1.1").title == "Twice a number"


@pytest.mark.parametrize(
    "line",
    [
        '"""1.1 No minutes   [easy]',
        '"""1.1 One space [easy, ~5 min]',
        '"""1.1 Strange   [trivial, ~5 min]',
        '"""No number   [easy, ~5 min]',
        "",
    ],
)
def test_a_file_without_a_title_line_is_no_exercise(tmp_path, line):
    path = tmp_path / "ex01_x.py"
    path.write_text(line + "\n")
    assert read_title(path) is None


def test_a_title_line_survives_windows(tmp_path):
    path = tmp_path / "ex01_x.py"
    path.write_bytes('\ufeff"""1.1 Café   [easy, ~5 min]\r\n'.encode())
    title = read_title(path)
    assert title is not None
    assert title["title"] == "Café"


def test_test_files_belong_to_exercises(course):
    assert course.of_test_file("tests/ch01_demo/test_ex02_pick.py::test_x[a/b]").number == "1.2"
    assert course.of_test_file("C:\\x\\tests\\ch01_demo\\test_ex02_pick.py").number == "1.2"
    assert course.of_test_file("tests/ch01_demo/test_ex09_none.py") is None
    assert course.of_test_file("tests/meta/test_course.py") is None


def test_the_course_around_a_folder_is_found(course, tmp_path_factory):
    assert find_root(course.exercises_dir / "ch01_demo") == course.root
    assert find_root(tmp_path_factory.mktemp("elsewhere")) == PROJECT.root


# --------------------------------------------------------------------------- the real exercises


def test_there_are_exercises():
    assert PROJECT.exercises


@each_exercise
def test_number_in_the_title_is_that_of_the_file(exercise):
    title = read_title(PROJECT.solutions_dir / exercise.path)
    assert title is not None
    assert title["number"] == exercise.number


@each_exercise
def test_docstring_says_why_and_from_where(exercise):
    text = (PROJECT.solutions_dir / exercise.path).read_text("utf-8")
    docstring = text.split('"""')[1]
    _title, blank, *rest = docstring.split("\n")
    why = "\n".join(rest).partition("\n\nSource: ")[0].strip().splitlines()
    assert blank == ""
    assert 2 <= len(why) <= 8
    assert re.search(r"\n\nSource: (?s:.*)https?://\S+", docstring)


@each_exercise
def test_files_are_short(exercise):
    solution = (PROJECT.solutions_dir / exercise.path).read_text("utf-8")
    assert len(stubs.stub_of(PROJECT, exercise).splitlines()) <= 160
    assert len(solution.splitlines()) <= 250


@each_exercise
def test_there_are_three_hints_of_their_own(exercise):
    file = PROJECT.tests_dir / exercise.chapter / "hints.toml"
    table = tomllib.loads(file.read_text("utf-8"))[exercise.name]
    assert tuple(table) == hints.LEVELS
    assert all(len(text.split()) >= 5 for text in table.values())
    assert len(set(table.values())) == len(table)


@each_exercise
def test_there_are_wrong_versions_each_with_a_sentence(exercise):
    versions = Bank(PROJECT, exercise).versions()
    assert len(versions) >= 3
    for version in versions:
        assert re.fullmatch(r"\w+?__\w+", version.name)
        assert len(version.sentence) >= 20, version.name
        assert version.sentence.endswith((".", "!", "?", "`", ")")), version.name
        assert version.fails, version.name
        assert not version.caught_by & version.crashes, version.name


@each_exercise
def test_wrong_versions_replace_what_the_solution_has(exercise):
    source = Source(exercise, PROJECT.solutions_dir, (PROJECT.solutions_dir,))
    with fresh(source) as module:
        names = vars(module.get())
    assert {v.target for v in Bank(PROJECT, exercise).versions()} <= set(names)


@each_exercise
def test_examples_in_docstrings_are_true(exercise):
    source = Source(exercise, PROJECT.solutions_dir, (PROJECT.solutions_dir,))
    said = []
    with fresh(source) as module:
        finder = doctest.DocTestFinder()
        runner = doctest.DocTestRunner(verbose=False)
        for test in finder.find(module.get(), exercise.name):
            runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
    assert runner.tries > 0


@pytest.mark.parametrize(
    ("called", "line"),
    [("", 5), ("encode", 1), ("Tokenizer", 3), ("Tokenizer.decode", 4), ("Tokenizer.join", 3)],
)
def test_place_is_where_the_called_function_begins(course, called, line):
    pick = course.find("1.2")
    path = course.exercises_dir / pick.path
    path.write_text(
        "def encode(text):\n"
        "    return 1\n"
        "class Tokenizer(Base):\n"
        "    def decode(self):\n"
        "        raise NotImplementedError\n"
    )
    place = progress.place(course, pick, course.exercises_dir, called)
    assert place == f"{path.relative_to(course.root)}:{line}"
