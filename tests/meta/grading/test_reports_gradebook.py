"""The gradebook: read back as a spreadsheet does, with names that want to be formulas."""

import csv
import io

import pytest

from kata.grading.marks import marks
from kata.grading.points import Points
from kata.grading.reports import gradebook
from tests.meta.grading.sample import anna, mallory
from tests.meta.minicourse import make_course


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    return Points(list(make_course(tmp_path_factory.mktemp("course")).exercises))


@pytest.fixture
def table(points):
    def table(*hand_ins):
        text = gradebook.render([(g, marks(g, points)) for g in hand_ins], points)
        return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))

    return table


def test_every_student_has_a_row(table):
    rows = table(anna(submitted="2026-11-30T12:00:00Z"), anna(name="Zoë", complete=False))
    assert rows[0] == {
        "student": "anna",
        "points": "0.6",
        "possible": "2.0",
        "percent": "30.0",
        "late": "",
        "check": "",
        "submitted": "2026-11-30T12:00:00Z",
        "1.1": "0.6",
        "1.2": "0.0",
    }
    assert (rows[1]["student"], rows[1]["check"]) == ("Zoë", "not graded to the end")


def test_excel_sees_that_it_is_utf8(points):
    text = gradebook.render([], points)
    assert text.encode().startswith(b"\xef\xbb\xbfstudent,")
    assert text.endswith("\r\n")


@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "＝1",
        '=cmd|"/c calc"!A1',
        "\x1b[1m=1",
    ],
)
def test_no_cell_is_a_formula(table, name):
    [row] = table(anna(name=name))
    assert row["student"][0] not in "=+-@＝＋－＠\t\r\n"


@pytest.mark.parametrize("name", ["a,b", 'a"b', "a\nb", "a;b", "O'Neil", "Ann-Marie"])
def test_a_name_stays_in_its_cell(table, name):
    [row] = table(anna(name=name))
    assert row["student"] == " ".join(name.split())
    assert row["1.2"] == "0.0"


def test_a_hostile_hand_in_is_one_row(table):
    rows = table(anna(), mallory(), anna(name="zoe"))
    assert [len(row) for row in rows] == [9, 9, 9]
    assert rows[1]["student"].startswith("'=HYPERLINK(")
    assert all(None not in row and c.isprintable() for row in rows for v in row.values() for c in v)


def test_who_has_to_be_looked_at_is_said(table):
    assert table(anna(tampered=["A canary passed."]))[0]["check"] == "A canary passed."
