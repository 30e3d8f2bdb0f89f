"""GitHub's job page and annotations: rendered and unescaped again as GitHub does it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kata.course import Exercise
from kata.grading.marks import marks
from kata.grading.points import LateRule, Points
from kata.grading.reports import github
from tests.meta.grading.sample import DOUBLE, PICK, SENTENCE, anna, graded, mallory, outcome, row
from tests.meta.minicourse import make_course

LATE = {"submitted": "2026-11-30T13:00:00Z"}


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("course"))
    return Points(list(course.exercises), title="Assignment_1 *new*")


def summary(hand_in, points):
    return github.summary(hand_in, marks(hand_in, points), points)


def tokens(text):
    """All that Markdown sees in a text."""
    every = []
    for token in MarkdownIt("commonmark", {"linkify": False}).enable("table").parse(text):
        every += [token, *(token.children or [])]
    return every


def words_of(text):
    return "".join(t.content if t.type == "text" else "|" for t in tokens(text))


# -------------------------------------------------------------------------------------- job page


def test_page_begins_with_the_points_and_a_table(points):
    text = summary(anna(), points)
    seen = words_of(text)
    assert "Assignment_1 *new*: 0.6 of 2 points" in seen
    assert text.count("\n| ") == 4
    assert "✗|||1.1 Twice a number|||wrong|||3 of 5|||0.6 / 1" in seen
    assert "Graded with these protections: file access." in seen


def test_page_explains_each_exercise_that_did_not_pass(points):
    text = summary(anna(), points)
    assert f"> looks like: {SENTENCE}" in text.replace("\\", "")
    blocks = [t.content for t in tokens(text) if t.type == "fence"]
    assert blocks[0].startswith(">>> double(3)\n9\n\nexpected 6\n\nlooks like: The number was")
    assert "<details open><summary>✗ three becomes six</summary>" in text
    assert "<details open><summary>– first place is one and 2 tests more</summary>" in text
    assert "`exercises/ch01_demo/ex01_double.py`. Stuck? `kata hint 1.1`" in text


def test_page_has_no_mark_up_of_a_hand_in(points):
    every = tokens(summary(mallory(), points))
    assert not {"link_open", "image", "em_open", "strong_open"} & {t.type for t in every}
    html = "".join(t.content for t in every if t.type in ("html_block", "html_inline"))
    assert set(re.findall(r"</?(\w+)", html)) == {"details", "summary"}
    fences = [t for t in every if t.type == "fence"]
    assert any("</pre></details>" in t.content for t in fences)
    assert sum(t.type == "heading_open" for t in every) == 3


def test_page_is_no_longer_than_github_takes(points):
    noise = outcome("crash", "ü" * 2000, calls=["y" * 1000] * 6)
    tests = {f"test_{i}": noise | {"message": f"{i}{'ü' * 2000}"} for i in range(500)}
    text = summary(graded({DOUBLE: row(tests), PICK: row(tests)}), points)
    assert len(text.encode()) < 1024 * 1024
    assert "The rest is too long for this page." in text


@given(st.text(max_size=80))
def test_text_is_only_text(text):
    seen = [t for t in tokens(f"a {github._escaped(text)} b") if t.type != "text"]
    assert {t.type for t in seen} <= {"paragraph_open", "paragraph_close", "inline", "text_special"}


@given(st.text("`~\n a", max_size=60))
def test_a_block_ends_where_it_should(text):
    found = [t for t in tokens(f"{github._fenced(text)}\n\nafter") if t.type == "fence"]
    assert [t.content for t in found] == [f"{text}\n" if text else "\n"]


# ----------------------------------------------------------------------------------- annotations

COMMAND = re.compile(r"::(?P<name>[a-z]+) (?P<properties>[^:\n]*)::(?P<data>[^\n]*)")


def unescaped(text, codes):
    for code, character in codes.items():
        text = text.replace(code, character)
    return text.replace("%25", "%")


def commands(text):
    """The workflow commands of a log, as the runner reads them."""
    data = {"%0D": "\r", "%0A": "\n"}
    found = []
    for line in text.splitlines():
        match = COMMAND.fullmatch(line)
        assert match, line
        pairs = [pair.split("=", 1) for pair in match["properties"].split(",")]
        properties = {k: unescaped(v, data | {"%3A": ":", "%2C": ","}) for k, v in pairs}
        found.append((match["name"], properties, unescaped(match["data"], data)))
    return found


def annotated(hand_in, points):
    return commands(github.annotate(hand_in, marks(hand_in, points), points))


def test_each_exercise_that_did_not_pass_is_annotated(points):
    (name, properties, message), second = annotated(anna(), points)
    assert name == "error"
    assert properties == {
        "file": "exercises/ch01_demo/ex01_double.py",
        "line": "1",
        "title": "1.1 Twice a number: wrong",
    }
    assert message.startswith("three becomes six\n\n>>> double(3)\n9\n\nexpected 6")
    assert second[1]["title"] == "1.2 Twice the value at a place: todo"


def test_an_annotation_is_at_the_line_that_crashed(points):
    test = outcome("crash", "KeyError: 1", "/x/ch01_demo/ex01_double.py:18\n    return table[x]")
    [(_, properties, _), _] = annotated(graded({DOUBLE: row({"test_a": test})}), points)
    assert properties["line"] == "18"


def test_nothing_of_a_hand_in_is_a_command(points):
    found = annotated(mallory(), points)
    assert [name for name, *_ in found] == ["error", "error"]
    assert found[0][1]["line"] == "3"
    assert "100%" in found[0][2]
    assert "::error::forged" in found[0][2]


def test_a_hand_in_without_mistakes_has_no_annotation(points):
    rows = {slug: row({"test_a": outcome("pass")}) for slug in (DOUBLE, PICK)}
    assert annotated(graded(rows), points) == []


def test_github_shows_ten_so_the_tenth_names_the_rest():
    exercises = [Exercise("ch01_demo", f"ex{i:02}_x{i}", "X", "easy", 1) for i in range(1, 14)]
    found = annotated(graded({}), Points(exercises))
    assert len(found) == github.MOST_ANNOTATIONS
    assert found[-1][2] == "4 exercises more did not pass: 1.10, 1.11, 1.12, 1.13"


@given(st.text(st.characters(exclude_characters="\n\r"), max_size=50), st.text(max_size=50))
def test_a_command_is_read_back(title, message):
    message = message.replace("\x85", "").replace("\u2028", "").replace("\u2029", "")
    line = github._command({"title": title, "line": "1"}, message)
    match = re.fullmatch(r"::error title=([^,\n]*),line=1::([^\n]*)", line)
    codes = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}
    assert match
    assert (unescaped(match[1], codes), unescaped(match[2], {"%0D": "\r", "%0A": "\n"})) == (
        title,
        message,
    )


def test_lateness_is_on_the_page(points):
    from datetime import UTC, datetime

    late = Points(points.selected, due=datetime(2026, 11, 30, 12, tzinfo=UTC), late=LateRule(0.1))
    assert "Handed in 1 h late: 10 % off." in words_of(summary(anna(**LATE), late))
