"""What reports say: in which words, and what is taken out of texts that nobody can trust."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kata.files import write_text
from kata.grading.marks import marks
from kata.grading.model import Graded
from kata.grading.points import LateRule, Points
from kata.grading.reports import (
    OF_A_STUDENT,
    class_page,
    gradebook,
    words,
    write_class,
    write_student,
)
from tests.meta.grading.sample import DOUBLE, PICK, SENTENCE, anna, graded, mallory, outcome, row
from tests.meta.minicourse import make_course

ANY_TEXT = st.text(st.characters(), max_size=200)  # lone surrogates and control characters too


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return make_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def points(course):
    return Points(list(course.exercises), title="Assignment 1")


# ---------------------------------------------------------------------------------- plain text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        ("\x9b2Jgone", "gone"),
        ("a\x1bcb", "ab"),
        ("a\r\nb\tc", "a\nb   c"),
        ("over\rwritten", "over\\rwritten"),
        ("\x00\x07\x08", "\\x00\\x07\\x08"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\ud800\ufffe", "\\ud800\\ufffe"),
        ("naïve 日本 🌟", "naïve 日本 🌟"),
        (3, "3"),
    ],
)
def test_nothing_that_obeys_is_left(text, shown):
    assert words.plain(text) == shown


def test_megabytes_are_cut_in_the_middle():
    shown = words.plain("a" * 5_000_000 + "end", 100)
    assert shown == f"{'a' * 50}\n[4,999,903 characters left out]\n{'a' * 47}end"


def test_a_name_is_one_short_line():
    assert words.line("two\nlines\tand  more") == "two lines and more"
    assert words.line("x" * 1000) == "x" * 197 + "..."


@given(ANY_TEXT)
def test_every_text_becomes_printable(text):
    shown = words.plain(text)
    assert all(c == "\n" or c.isprintable() for c in shown)
    assert "\n" not in words.line(text)
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("points", "shown"), [(1.0, "1"), (0.5, "0.5"), (2 / 3, "0.67"), (0, "0"), (10, "10")]
)
def test_numbers_are_short(points, shown):
    assert words.number(points) == shown


# -------------------------------------------------------------------------- what a student reads


def shown_of(graded, points, i=0):
    return list(words.shown(graded, marks(graded, points).exercises[i]))


def test_a_failure_has_the_call_the_difference_and_the_mistake(points):
    test = shown_of(anna(), points)[0]
    assert test.name == "three becomes six"
    assert test.text == (
        f">>> double(3)\n9\n\ngot      9\nexpected 6\n\nlooks like: {SENTENCE}"
    ).replace("got      9\n", "")
    assert test.headline == "expected 6"


def test_a_crash_names_the_line_and_no_folder_of_the_grader(points):
    test = shown_of(anna(), points)[4]
    assert test.name == "agrees with the reference [10]"
    assert test.text == (
        ">>> double(10)\nKeyError: 10\n\n"
        "at exercises/ch01_demo/ex01_double.py:18\n    return table[x]"
    )
    assert test.headline == "KeyError: 10"


def test_tests_that_say_the_same_are_one(points):
    [(first, same)] = words.distinct(shown_of(anna(), points, 1))
    assert (first.name, first.text) == ("first place is one", "nothing is written yet")
    assert same == ["last value can be picked", "place zero is refused"]


def test_hidden_tests_are_one_without_their_words(course):
    hidden = {DOUBLE: frozenset({"test_three_becomes_six", "test_negative_number_is_refused"})}
    tests = shown_of(anna(), Points(list(course.exercises), hidden_tests=hidden))
    assert len(tests) == 4
    assert (tests[-1].name, tests[-1].text) == (
        "hidden tests",
        "1 of 2 passed. They are not shown.",
    )
    assert (tests[-1].earned, tests[-1].possible) == (0.2, 0.4)
    assert "six" not in "".join(test.text for test in tests)


def test_tests_without_a_verdict_are_one(points):
    half = graded({DOUBLE: row({"test_a": outcome("pass")}, "missing", expected=3)})
    test = shown_of(half, points)[-1]
    assert (test.name, test.possible) == ("2 tests without a verdict", pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "0 of 2 exercises passed."),
        ({"complete": False}, words.UNFINISHED),
        ({"tampered": ["a canary"]}, f"This hand-in: {words.WITHHELD}."),
        ({"tampered": ["1.2: a canary"]}, f"1.2: {words.WITHHELD}."),
        ({"problems": ["\x1b[1mex09.py\x1b[0m is empty"]}, "ex09.py is empty"),
    ],
)
def test_all_that_changes_the_points_is_said_first(points, fields, said):
    graded = anna(**fields)
    overview = words.overview(graded, marks(graded, points))
    assert said in overview
    assert "canary" not in "".join(overview)  # a student is not told how one is found out


def test_protections_are_said_in_a_sentence():
    assert words.protected(anna()) == (
        "Graded with these protections: file access. Not active here: own namespaces."
    )
    assert words.protected(anna(protections=[])) == "Graded without protections."


# ------------------------------------------------------------------------------ all the writers


def results_of(points, *hand_ins):
    return [(graded, marks(graded, points)) for graded in hand_ins]


def test_every_report_is_written_and_replaced(points, tmp_path):
    for hand_in in (anna(), mallory()):
        [(graded, result)] = results_of(points, hand_in)
        files = write_student(tmp_path / "anna", graded, result, points)
        assert sorted(p.name for p in (tmp_path / "anna").iterdir()) == sorted(OF_A_STUDENT)
        assert {file.name for file in files} == set(OF_A_STUDENT)
    write_class(tmp_path, results_of(points, anna(), mallory()), points)
    assert (tmp_path / class_page.FILE).exists()
    assert (tmp_path / gradebook.FILE).exists()


EMPTY = [
    Graded("nobody", {}),
    Graded("nobody", {}, complete=True, tampered=["x"]),
    graded({DOUBLE: row({}), PICK: row({"test_a": outcome("not run", "not run: no cuda")})}),
]


@pytest.mark.parametrize("hand_in", EMPTY)
@pytest.mark.parametrize("name", OF_A_STUDENT)
def test_a_hand_in_with_nothing_to_say_has_every_report(points, hand_in, name):
    text = OF_A_STUDENT[name](hand_in, marks(hand_in, points), points)
    assert text or name.startswith("annotations")


@pytest.mark.parametrize("name", OF_A_STUDENT)
def test_no_report_carries_a_hostile_character_or_grows_without_end(points, tmp_path, name):
    [(graded, result)] = results_of(points, mallory())
    text = OF_A_STUDENT[name](graded, result, points)
    assert all(c == "\n" or c.isprintable() for c in text)
    assert len(text) < 100_000
    write_text(tmp_path / "x", text)


@pytest.mark.parametrize("name", OF_A_STUDENT)
def test_what_is_hidden_is_in_no_report_that_a_student_sees(course, name):
    hidden = {DOUBLE: frozenset({"test_three_becomes_six"})}
    points = Points(list(course.exercises), hidden_tests=hidden)
    [(graded, result)] = results_of(points, anna(tampered=["1.2: a canary passed"]))
    text = OF_A_STUDENT[name](graded, result, points)
    if name == "gradescope.json":
        tests = json.loads(text)["tests"]
        text = json.dumps([test for test in tests if test.get("visibility") != "hidden"])
    for secret in ("three becomes six", "expected 6", "multiplied", "canary"):
        assert secret not in text


def test_the_class_is_the_same_in_any_order(course, tmp_path):
    points = Points(list(course.exercises), late=LateRule(0.1))
    results = results_of(points, anna(), mallory(), anna(name="zoe"))
    assert class_page.render(results, points) == class_page.render(results[::-1], points)
    assert class_page.render([], points)
    assert gradebook.render([], points).count("\n") == 1
