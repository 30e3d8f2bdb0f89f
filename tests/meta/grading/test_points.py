"""The points file: what it means, and how every mistake in it is named while the rest holds."""

import math
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kata.grading import points as points_module
from kata.grading.points import LateRule, Points, Worth
from tests.meta.grading.sample import DOUBLE, PICK
from tests.meta.minicourse import make_course

OFFSET = "wanted a date and time with its offset, such as 2026-11-30T23:59:00+01:00"
AMOUNT = "wanted a number of points from 0 to 1000000"


@pytest.fixture
def course(tmp_path):
    return make_course(tmp_path / "course")


@pytest.fixture
def read(course, tmp_path):
    def read(text, encoding="utf-8"):
        (tmp_path / "points.toml").write_text(text, encoding)
        return Points.read(tmp_path / "points.toml", course)

    return read


@pytest.fixture
def hide(tmp_path):
    def hide(text, name="ch01_demo/test_ex01_double.py"):
        path = tmp_path / "hidden" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    return hide


# ------------------------------------------------------------------------------ what it can say


def test_without_a_file_every_exercise_counts_one_point(course):
    points = Points.default(course)
    assert points.selected == list(course.exercises)
    assert (points.due, points.hidden, points.seed, points.problems) == (None, None, 0, [])


def test_an_empty_file_says_the_same(read, course):
    points = read("")
    assert points.selected == list(course.exercises)
    assert points.worth == {DOUBLE: Worth(), PICK: Worth()}
    assert points.problems == []


def test_the_whole_file(read, hide, tmp_path):
    hide("def test_twice_a_hundred(answer): ...\n")
    points = read(
        """
        title = "Assignment 1"
        exercises = ["1.1", "1.2"]
        seed = 7
        due = 2026-11-30T23:59:00+01:00
        hidden = "hidden"
        visibility = "after_due_date"
        [default]
        points = 2
        partial = false
        [points]
        "1.1" = 3.5
        "demo/pick" = { points = 4, partial = true }
        [weights."1.1"]
        three_becomes_six = 2
        test_twice_a_hundred = 0.5
        [late]
        per_day = 0.1
        grace_minutes = 15
        days = 3
        """
    )
    assert points.problems == []
    assert [e.number for e in points.selected] == ["1.1", "1.2"]
    assert (points.title, points.seed, points.visibility) == ("Assignment 1", 7, "after_due_date")
    assert points.due == datetime(2026, 11, 30, 23, 59, tzinfo=timezone(timedelta(hours=1)))
    assert points.late == LateRule(0.1, 15, 3)
    assert points.worth == {DOUBLE: Worth(3.5, False), PICK: Worth(4, True)}
    assert points.weights == {DOUBLE: {"three_becomes_six": 2.0, "twice_a_hundred": 0.5}}
    assert points.hidden == tmp_path / "hidden"
    assert points.hidden_tests == {DOUBLE: frozenset({"test_twice_a_hundred"})}


@pytest.mark.parametrize(
    "chosen",
    ['"1.1-1.2"', '"1"', '"ch01"', '"demo"', '"1.2", "1.1"', '"double", "demo/pick", "1.1"'],
)
def test_exercises_are_named_as_it_suits(read, chosen):
    points = read(f"exercises = [{chosen}]")
    assert [e.number for e in points.selected] == ["1.1", "1.2"]  # in order, once
    assert points.problems == []


def test_numbers_need_no_quotes(read):
    points = read("[points]\n1.1 = 3\n[weights.1.1]\nthree_becomes_six = 2\n")
    assert points.problems == []
    assert points.worth[DOUBLE] == Worth(3.0)
    assert points.weights == {DOUBLE: {"three_becomes_six": 2.0}}


def test_points_of_a_chapter_are_those_of_each_exercise_and_the_last_line_holds(read):
    points = read('[points]\ndemo = 3\n"1.2" = 5\n')
    assert points.worth == {DOUBLE: Worth(3.0), PICK: Worth(5.0)}


def test_a_file_of_the_windows_editor_is_read(read):
    assert read('title = "Übung"\r\n', "utf-8-sig").title == "Übung"


def test_tests_are_hidden_with_all_their_cases(read, hide, course):
    hide("class TestMore:\n    def test_more(self, answer): ...\n\ndef helper(): ...\n")
    points = read('hidden = "hidden"')
    double = course.find("1.1")
    assert points.is_hidden(double, "test_more[3]")
    assert not points.is_hidden(double, "test_three_becomes_six")
    assert not points.is_hidden(course.find("1.2"), "test_more[3]")


# ----------------------------------------------------------------------------- what it says wrong


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exercise = ['1.1']", "there is no key exercise, wanted exercises"),
        (
            "due = 2026-11-30T00:00:00Z\n[late]\nper_week = 1",
            "there is no key late.per_week, wanted one of per_day, ",
        ),
        ("[default]\npartia = true", "there is no key default.partia, wanted partial"),
        ("[points]\n1.1 = {point = 1}", "there is no key points.1.1.point, wanted points"),
        ("title = 3", "title: got 3, wanted a text"),
        ("title = ' '", "title: got ' ', wanted a text"),
        ("seed = -1", "seed: got -1, wanted a whole number from 0"),
        ("seed = true", "seed: got True, wanted a whole number from 0"),
        ("seed = 1.5", "seed: got 1.5, wanted a whole number from 0"),
        ("due = 2026-11-30", f"due: got 2026-11-30, {OFFSET}"),
        ("due = 2026-11-30T10:00:00", f"due: got 2026-11-30T10:00:00, {OFFSET}"),
        ("due = 'today'", f"due: got 'today', {OFFSET}"),
        ("hidden = 'nowhere'", "hidden: got 'nowhere', wanted a folder, beside this file"),
        (
            "visibility = 'later'",
            "visibility: got 'later', wanted one of visible, after_due_date, after_published, "
            "hidden",
        ),
        ("visibility = []", "visibility: got [], wanted one of"),
        ("default = 2", "default: got 2, wanted a table with points and partial"),
        ("points = 2", "points: got 2, wanted a table of exercises with their points"),
        ("[points]\n1.1 = -1", f"points.1.1: got -1, {AMOUNT}"),
        ("[points]\n1.1 = 'two'", f"points.1.1: got 'two', {AMOUNT}"),
        ("[points]\n1.1 = true", f"points.1.1: got True, {AMOUNT}"),
        ("[points]\n1.1 = nan", f"points.1.1: got nan, {AMOUNT}"),
        ("[points]\n1.1 = inf", f"points.1.1: got inf, {AMOUNT}"),
        ("[points]\n1.1 = {partial = 1}", "points.1.1.partial: got 1, wanted true or false"),
        ("[points]\n1.11 = 1", "points.1.11: there is no exercise '1.11'; wanted 1.1?"),
        ("[points]\n'1.1-1.9' = 1", "points.1.1-1.9: there is no exercise '1.1-1.9'; wanted 1.1?"),
        (
            "[points]\n'1.2-1.1' = 1",
            "points.1.2-1.1: got '1.2-1.1', wanted the first exercise first: 1.1-1.2",
        ),
        ("exercises = ['doubl']", "exercises: there is no exercise 'doubl'; wanted double?"),
        ("exercises = ['9.9']", "exercises: there is no exercise '9.9'; `kata list` shows them"),
        ("exercises = ['']", "exercises: got [''], wanted a list of exercises, such as"),
        ("exercises = []", "exercises: got [], wanted a list of exercises, such as"),
        ("exercises = '1.1'", "exercises: got '1.1', wanted a list of exercises, such as"),
        ("exercises = [1.1]", "exercises: got [1.1], wanted a list of exercises, such as"),
        (
            "exercises = ['1.1']\n[points]\n1.2 = 3",
            "points.1.2: the assignment does not have 1.2",
        ),
        (
            "[weights.1.1]\nthree_becomes_sex = 1",
            "weights.1.1: there is no test three_becomes_sex, wanted three_becomes_six",
        ),
        ("[weights.1.1]\nthree_becomes_six = -1", "weights.1.1.three_becomes_six: got -1, wanted"),
        ("[weights]\n'1.1' = 3", "weights.1.1: got 3, wanted a table of tests with their weights"),
        (
            "due = 2026-11-30T00:00:00Z\n[late]\nper_day = 2",
            "late.per_day: got 2, wanted a fraction from 0 to 1",
        ),
        ("[late]\nper_day = 0.1", f"late: there is no due, {OFFSET}"),
    ],
)
def test_a_mistake_is_named_and_the_rest_holds(read, text, problem):
    points = read(f"{text}\n[more]\n")
    assert f"points.toml: {problem}" in "\n".join(points.problems)
    assert len(points.problems) == 2  # it, and [more]
    assert points.selected
    assert all(worth.points == 1.0 for worth in points.worth.values())


def test_all_mistakes_are_collected(read):
    points = read("seed = 'x'\ndue = 1\ntitle = 'A'\n[points]\n9.9 = 1\n1.2 = 3\n[late]\ndays = -1")
    assert len(points.problems) == 4
    assert (points.title, points.worth[PICK]) == ("A", Worth(3.0))


@pytest.mark.parametrize("text", [b"title = \n", b"\xff\xfe\x00", b"a = 1\na = 2", b"\x00"])
def test_a_file_that_is_not_toml_is_one_problem(course, tmp_path, text):
    path = tmp_path / "points.toml"
    path.write_bytes(text)
    points = Points.read(path, course)
    assert len(points.problems) == 1
    assert points.problems[0].startswith("points.toml is not a TOML file (")
    assert points.selected == list(course.exercises)


def test_a_file_that_is_not_there_is_an_error(course, tmp_path):
    with pytest.raises(FileNotFoundError):
        Points.read(tmp_path / "nothing.toml", course)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "ch01_demo/test_ex01_doubel.py",
            "",
            "ch01_demo/test_ex01_doubel.py is of no exercise, wanted ch01_demo/test_ex01_double.py",
        ),
        ("test_ex01_double.py", "", "test_ex01_double.py is of no exercise, wanted"),
        ("ch01_demo/test_ex01_double.py", "def test(:", "test_ex01_double.py is not Python: "),
        (
            "ch01_demo/test_ex01_double.py",
            "def test_three_becomes_six(answer): ...",
            "has a test test_three_becomes_six that students have too, wanted another name",
        ),
    ],
)
def test_hidden_tests_that_cannot_be_used_are_named(read, hide, name, text, problem):
    hide(text, name)
    [said] = read('hidden = "hidden"').problems
    assert problem in said


def anything():
    scalars = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(),
        st.datetimes(), st.sampled_from(["1.1", "1.1-1.2", "demo", "hidden"]),
    )  # fmt: skip
    keys = st.sampled_from(["1.1", "1", "demo", "points", "partial", "per_day", "days", "x"])
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    )


def test_no_value_anywhere_raises(course, tmp_path, monkeypatch):
    path = tmp_path / "points.toml"
    path.write_text("")

    @settings(max_examples=150, deadline=None)
    @given(st.dictionaries(st.sampled_from([*points_module.WANTED, "other"]), anything()))
    def check(data):
        monkeypatch.setattr(points_module.tomllib, "loads", lambda text: data)
        points = Points.read(path, course)
        assert points.selected
        assert all(math.isfinite(w.points) and w.points >= 0 for w in points.worth.values())

    check()
