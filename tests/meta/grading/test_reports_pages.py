"""The pages of a student and of the class: sound HTML that shows everything and obeys nothing."""

import re
from html.parser import HTMLParser

import pytest

from kata.grading.marks import marks
from kata.grading.model import Protection
from kata.grading.points import LateRule, Points, Worth
from kata.grading.reports import class_page, student_page, words
from kata.verdict import Verdict
from tests.meta.grading.sample import (
    DOUBLE,
    HOSTILE,
    PICK,
    SENTENCE,
    anna,
    graded,
    mallory,
    outcome,
    row,
)
from tests.meta.minicourse import make_course

VOID = {"meta", "br"}
TAGS = {
    *("html", "head", "title", "style", "body", "main", "h1", "h2", "h3", "p", "div", "span", "i"),
    *("b", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "a", "code"),
    *("pre", "section", "footer", "details", "summary", "ul", "ol", "li", "strong", "abbr"),
    *VOID,
}


class Page(HTMLParser):
    """A page taken apart: complains about anything that is not as it should be."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.text, self.rows = [], [], [], "", []
        self.captions, self.tables = 0, 0
        self.feed(html)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))
        assert self.captions == self.tables

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name not in ("src", "srcset", "action", "formaction", "data"), name
            if name == "style":
                assert re.fullmatch(r"width:\d+\.\d%", value)
            if name == "id":
                self.ids.append(value)
            if name == "href":
                self.links.append(value)
        if tag == "th":
            assert dict(attrs)["scope"] in ("row", "col")
        self.tables += tag == "table"
        self.captions += tag == "caption"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return make_course(tmp_path_factory.mktemp("course"))


@pytest.fixture
def student(course):
    def student(hand_in, **fields):
        points = Points(list(course.exercises), title="Assignment 1", **fields)
        return Page(student_page.render(hand_in, marks(hand_in, points), points))

    return student


@pytest.fixture
def whole_class(course):
    def whole_class(*hand_ins, **fields):
        points = Points(list(course.exercises), title="Assignment 1", **fields)
        results = [(hand_in, marks(hand_in, points)) for hand_in in hand_ins]
        return Page(class_page.render(results, points))

    return whole_class


def perfect(name="zoe", **fields):
    rows = {slug: row({"test_a": outcome("pass")}) for slug in (DOUBLE, PICK)}
    return graded(rows, name, **fields)


# ---------------------------------------------------------------------------------- of a student


def test_student_sees_points_and_verdicts(student):
    page = student(anna())
    assert "Assignment 1 · anna" in page.text
    assert "0.6 of 2" in page.text
    assert page.rows == [
        ["exercise", "verdict", "tests", "points"],
        ["1.1 Twice a number", "✗wrong", "3 of 5", "0.6 of 1"],
        ["1.2 Twice the value at a place", "–todo", "0 of 3", "0 of 1"],
    ]


def test_student_sees_the_call_the_difference_the_mistake_and_where_to_look(student):
    page = student(anna())
    for said in (
        ">>> double(3)\n9",
        "expected 6",
        f"Looks like: {SENTENCE}",
        "at exercises/ch01_demo/ex01_double.py:18\n    return table[x]",
        "Your code: exercises/ch01_demo/ex01_double.py",
        "The tests: tests/ch01_demo/test_ex01_double.py",
        "kata hint 1.1",
        "3 tests passed",
        "negative number is refused",
        "the same in 2 other tests",
        "✗ wrong: it ran, and its answer is not the right one",
        "Graded with these protections: file access. Not active here: own namespaces.",
    ):
        assert said in page.text


def test_links_of_a_page_lead_somewhere(student):
    page = student(anna())
    assert page.links == ["#e1.1", "#e1.2"]
    assert page.ids == ["e1.1", "e1.2"]


def test_student_who_has_it_all_sees_so(student):
    page = student(perfect())
    assert "All 2 exercises passed." in page.text
    assert (page.links, page.ids) == ([], [])


def test_student_sees_what_lateness_costs(student):
    from datetime import UTC, datetime

    due = datetime(2026, 11, 30, 12, tzinfo=UTC)
    page = student(anna(submitted="2026-11-30T13:00:00Z"), due=due, late=LateRule(0.5))
    assert "Handed in 1 h late: 50 % off." in page.text
    assert "before lateness0.6" in page.text


def test_student_is_told_that_a_person_looks_and_no_more(student):
    page = student(perfect(tampered=["1.2: a canary passed."]))
    assert ["1.2 Twice the value at a place", "⚑to check", "1 of 1", "0 of 1"] in page.rows
    assert "A person will look at this before it gets points." in page.text
    assert "canary" not in page.text


def test_student_is_told_that_only_the_whole_counts(student):
    assert words.WHOLE in student(anna(), worth={DOUBLE: Worth(1.0, partial=False)}).text
    assert words.WHOLE not in student(anna()).text


def test_every_verdict_has_a_sign_and_words():
    assert set(words.MARKS) == set(words.MEANINGS) == set(Verdict)
    assert len(set(words.MARKS.values()) | {words.CHECK}) == len(Verdict) + 1


def test_a_hostile_hand_in_is_only_text(student):
    page = student(mallory())
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>red nul\\x00" in page.text
    assert "\\u202etxt.exe\\u202c" in page.text
    assert "characters left out]" in page.text
    assert page.links == ["#e1.1", "#e1.2"]


# ---------------------------------------------------------------------------------- of the class


def test_class_page_shows_the_mistakes_of_the_class(whole_class):
    page = whole_class(anna(), anna(name="ben"), perfect())
    assert f"{SENTENCE}2 studentsanna, ben1.1 Twice a number" in page.text
    assert page.links[:2] == ["anna/report.html", "ben/report.html"]


def test_class_page_shows_every_exercise(whole_class):
    page = whole_class(anna(), anna(name="ben"), perfect(), perfect("yan"))
    assert ["1.1 Twice a number", "2 of 4", "2 wrong", "0.8 of 1"] in page.rows
    assert ["1.2 Twice the value at a place", "2 of 4", "2 todo", "0.5 of 1"] in page.rows
    assert ["90 to 100 %", "", "2"] in page.rows
    assert ["30 to 40 %", "", "2"] in page.rows


def test_class_page_shows_every_student(whole_class):
    page = whole_class(perfect(), anna())
    assert ["anna", "0.6", "", "✗wrong", "–todo"] in page.rows
    assert ["zoe", "2", "", "✓pass", "✓pass"] in page.rows
    assert "mean1.3 of 2" in page.text
    assert page.links[-1] == "grades.csv"


def test_class_page_marks_who_needs_a_human(whole_class):
    page = whole_class(
        perfect("a", tampered=["A canary passed."]),
        perfect("b", complete=False),
        perfect("c", problems=["ex01.py is empty"]),
        perfect("d"),
    )
    before = page.text.partition("The mistakes of the class")[0]
    assert "A canary passed." in before
    assert words.UNFINISHED in before
    assert "ex01.py is empty" in before
    assert ["a", "0", "", "⚑to check", "⚑to check"] in page.rows
    assert "d/report.html" not in page.links[:3]


def test_class_page_shows_protections_in_full(whole_class):
    page = whole_class(anna(), perfect(protections=[Protection("file access", False, "old Linux")]))
    assert ["file access", "active", "Landlock"] in page.rows
    assert ["own namespaces", "not active", "bubblewrap is not installed"] in page.rows
    assert ["file access", "not active", "old Linux"] in page.rows
    assert page.text.count("1 hand-in") == 2
    assert "All hand-ins: none." in whole_class(anna(protections=[])).text


def test_class_page_counts_hidden_tests(whole_class):
    hidden = {DOUBLE: frozenset({"test_three_becomes_six"})}
    page = whole_class(anna(), anna(name="ben"), hidden_tests=hidden)
    assert ["1.1 Twice a number", "three becomes six", "0 of 2"] in page.rows


def test_class_page_names_what_is_wrong_with_the_points_file(whole_class):
    page = whole_class(anna(), problems=["points.toml: seed: got 'x', wanted a whole number"])
    assert "points.toml: seed: got 'x', wanted a whole number" in page.text


@pytest.mark.parametrize("hand_ins", [[], [mallory()], [mallory(), anna(), graded({})]])
def test_class_page_stands_anything(whole_class, hand_ins):
    page = whole_class(*hand_ins)
    assert not any(":" in link or link.startswith(("/", "..")) for link in page.links)


def test_a_name_cannot_leave_the_folder(whole_class):
    page = whole_class(anna(name="../../etc"), anna(name="javascript:alert(1)"), anna(name="a#b?"))
    assert "..%2F..%2Fetc/report.html" in page.links
    assert "javascript%3Aalert%281%29/report.html" in page.links
    assert "a%23b%3F/report.html" in page.links


def test_a_large_class_is_a_page_of_a_few_megabytes(whole_class):
    hand_ins = [anna(name=f"s{i}") for i in range(300)]
    page = whole_class(*hand_ins)
    assert len(page.rows) > 300


def test_pages_fetch_nothing_and_run_nothing(course):
    points = Points(list(course.exercises))
    result = marks(mallory(), points)
    for text in (
        student_page.render(mallory(), result, points),
        class_page.render([(mallory(), result)], points),
    ):
        assert "default-src 'none'; style-src 'unsafe-inline'" in text
        assert "prefers-color-scheme: dark" in text
        assert 'name="viewport"' in text
        assert not re.search(r"@import|url\(|<script|<link|<img|<iframe", text)
        assert HOSTILE not in text
