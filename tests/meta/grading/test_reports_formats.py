"""The documents for other programs, held against what each of them takes.

The schemas are the consumers' published specifications in our own words: Jenkins' junit-10.xsd,
https://gradescope-autograders.readthedocs.io/en/latest/specs/,
https://docs.prairielearn.com/externalGrading/#grading-results, and for GitHub Classroom the source
of github.com/classroom-resources/autograding-grading-reporter.
"""

import json
import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import jsonschema
import pytest

from kata.grading.marks import marks
from kata.grading.points import LateRule, Points, Worth
from kata.grading.reports import classroom, gradescope, junit, prairielearn, words
from tests.meta.grading.sample import DOUBLE, PICK, anna, graded, mallory, outcome, row
from tests.meta.minicourse import make_course

DUE = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
LATE = "2026-11-30T13:00:00Z"
HIDDEN = {DOUBLE: frozenset({"test_three_becomes_six", "test_negative_number_is_refused"})}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return make_course(tmp_path_factory.mktemp("course"))


@pytest.fixture
def made(course):
    def made(module, hand_in, **fields):
        points = Points(list(course.exercises), title="Assignment 1", **fields)
        return module.render(hand_in, marks(hand_in, points), points)

    return made


def all_passed(name="anna", **fields):
    tests = {"test_a": outcome("pass"), "test_b[cuda]": outcome("not run", "not run: no cuda")}
    return graded({DOUBLE: row(tests), PICK: row({"test_c": outcome("pass")})}, name, **fields)


HAND_INS = {
    "some failed": (anna, {}),
    "all passed": (all_passed, {}),
    "hidden tests": (anna, {"hidden_tests": HIDDEN}),
    "late": (lambda: anna(submitted=LATE), {"due": DUE, "late": LateRule(0.5)}),
    "all or nothing": (anna, {"worth": {DOUBLE: Worth(3.0, False)}}),
    "tampered": (lambda: all_passed(tampered=["a canary"]), {}),
    "nothing": (lambda: graded({}, complete=False), {}),
    "hostile": (mallory, {}),
}


@pytest.fixture(params=HAND_INS.values(), ids=HAND_INS)
def case(request):
    make, fields = request.param
    return make(), fields


# ----------------------------------------------------------------------------------------- JUnit

# element: (attributes that it must have, that it can have, elements in it, whether it holds text)
TEXT = (set(), {"type", "message"}, set(), True)
JUNIT = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}, False),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "url"},
        {"properties", "testcase", "system-out", "system-err"},
        False,
    ),
    "properties": (set(), set(), {"property"}, False),
    "property": ({"name", "value"}, set(), set(), False),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "failure", "system-out", "system-err"},
        False,
    ),
    "skipped": TEXT,
    "failure": TEXT,
}
SECONDS = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]{0,3})?")


def breaches(element):
    """How an element and those in it break the schema."""
    must, can, inside, holds_text = JUNIT[element.tag]
    found = [f"{element.tag} lacks {name}" for name in must - element.attrib.keys()]
    found += [f"{element.tag} has {name}" for name in element.attrib.keys() - must - can]
    if not holds_text and (element.text or "").strip():
        found.append(f"{element.tag} holds text")
    if not SECONDS.fullmatch(element.get("time", "0")):
        found.append(f"time {element.get('time')}")
    for child in element:
        found += breaches(child) if child.tag in inside else [f"{child.tag} in {element.tag}"]
    return found


def test_junit_keeps_to_the_schema(made, case):
    text = made(junit, case[0], **case[1])
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    assert breaches(root) == []


def test_junit_counts_what_it_holds(made, case):
    root = ElementTree.fromstring(made(junit, case[0], **case[1]))
    for suite in root:
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
    assert int(root.get("tests")) == len(root.findall("testsuite/testcase"))
    assert int(root.get("failures")) == len(root.findall("testsuite/testcase/failure"))


def test_junit_tells_what_happened(made):
    root = ElementTree.fromstring(made(junit, anna()))
    suite = root.find("testsuite[@name='1.1 Twice a number']")
    properties = {p.get("name"): p.get("value") for p in suite.find("properties")}
    assert properties == {"points": "0.6", "max_points": "1.0", "verdict": "wrong"}
    assert suite.get("time") == "1.500"
    case = suite.find("testcase[@name='three becomes six']")
    assert case.get("classname") == "demo.double"
    assert case.find("failure").attrib == {"type": "wrong", "message": "expected 6"}
    assert "looks like: The number was multiplied" in case.find("failure").text


def test_junit_says_why_a_test_was_not_run(made):
    root = ElementTree.fromstring(made(junit, all_passed()))
    assert [s.get("message") for s in root.iter("skipped")] == ["not run: no cuda"]


# ------------------------------------------------------------------------------------ Gradescope

WHEN = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
GRADESCOPE = {
    "type": "object",
    "additionalProperties": False,
    "anyOf": [
        {"required": ["score"]},
        {"properties": {"tests": {"items": {"required": ["score"]}}}, "required": ["tests"]},
    ],
    "properties": {
        "score": {"type": "number"},
        "execution_time": {"type": "number", "minimum": 0},
        "output": {"type": "string"},
        "output_format": FORMAT,
        "test_output_format": FORMAT,
        "test_name_format": FORMAT,
        "visibility": WHEN,
        "stdout_visibility": WHEN,
        "extra_data": {"type": "object"},
        "leaderboard": {"type": "array"},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "score": {"type": "number"},
                    "max_score": {"type": "number", "minimum": 0},
                    "status": {"enum": ["passed", "failed"]},
                    "name": {"type": "string"},
                    "name_format": FORMAT,
                    "number": {"type": "string"},
                    "output": {"type": "string"},
                    "output_format": FORMAT,
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "visibility": WHEN,
                    "extra_data": {"type": "object"},
                },
            },
        },
    },
}


def test_gradescope_keeps_to_the_schema(made, case):
    jsonschema.validate(json.loads(made(gradescope, case[0], **case[1])), GRADESCOPE)


def test_gradescope_has_a_row_with_points_for_each_exercise(made):
    document = json.loads(made(gradescope, anna(), visibility="after_due_date"))
    assert (document["score"], document["execution_time"]) == (0.6, 3.0)
    assert (document["visibility"], document["stdout_visibility"]) == ("after_due_date", "hidden")
    rows = [test for test in document["tests"] if "score" in test]
    assert [(r["number"], r["score"], r["max_score"], r["status"]) for r in rows] == [
        ("1.1", 0.6, 1.0, "failed"),
        ("1.2", 0.0, 1.0, "failed"),
    ]
    assert rows[0]["output"] == "wrong, tests passed: 3 of 5"


def test_gradescope_has_a_row_for_each_test(made):
    tests = json.loads(made(gradescope, anna()))["tests"]
    rows = {test["number"]: test for test in tests if test["number"].startswith("1.1.")}
    assert [(r["name"], r["status"]) for r in rows.values()] == [
        ("three becomes six", "failed"),
        ("negative number is refused", "passed"),
        ("agrees with the reference [0]", "passed"),
        ("agrees with the reference [2]", "passed"),
        ("agrees with the reference [10]", "failed"),
    ]
    assert ">>> double(3)" in rows["1.1.1"]["output"]


def test_gradescope_hides_hidden_tests_and_no_points(made):
    tests = json.loads(made(gradescope, anna(), hidden_tests=HIDDEN))["tests"]
    hidden = [test for test in tests if test.get("visibility") == "hidden"]
    assert [test["name"] for test in hidden] == [
        "hidden: three becomes six",
        "hidden: negative number is refused",
    ]
    # A hidden row with points would hide the total from the student.
    assert not any("score" in test or "max_score" in test for test in hidden)
    assert len({test["number"] for test in tests}) == len(tests)
    assert ">>> double(3)" in hidden[0]["output"]


def test_gradescope_takes_lateness_off_the_score(made):
    document = json.loads(made(gradescope, anna(submitted=LATE), due=DUE, late=LateRule(0.5)))
    assert document["score"] == 0.3
    assert "Handed in 1 h late: 50 % off." in document["output"].split("\n")


def test_gradescope_does_not_take_0_of_0_for_a_pass(made):
    rows = json.loads(made(gradescope, anna(), worth={DOUBLE: Worth(0.0)}))["tests"]
    assert (rows[0]["max_score"], rows[0]["status"]) == (0.0, "failed")


# ---------------------------------------------------------------------------------- PrairieLearn

PRAIRIELEARN = {
    "type": "object",
    "required": ["score"],
    "properties": {
        "gradable": {"type": "boolean"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "message": {"type": "string"},
        "output": {"type": "string"},
        "images": {"type": "array"},
        "format_errors": {"type": ["string", "array"]},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                # Where one row lacks its points, the page leaves out those of all.
                "required": ["name", "points", "max_points"],
                "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "points": {"type": "number"},
                    "max_points": {"type": "number", "minimum": 0},
                    "message": {"type": "string"},
                    "output": {"type": "string"},
                },
            },
        },
    },
}


def test_prairielearn_keeps_to_the_schema(made, case):
    text = made(prairielearn, case[0], **case[1])
    jsonschema.validate(json.loads(text), PRAIRIELEARN)
    assert "NaN" not in text


def test_prairielearn_shows_the_same_score_twice(made, case):
    document = json.loads(made(prairielearn, case[0], **case[1]))
    earned = sum(test["points"] for test in document["tests"])
    possible = sum(test["max_points"] for test in document["tests"])
    if possible:
        assert document["score"] == pytest.approx(earned / possible, abs=1e-3)


def test_prairielearn_gives_nothing_for_what_was_not_run(made):
    nothing = {slug: row({"test_a": outcome("not run")}) for slug in (DOUBLE, PICK)}
    assert json.loads(made(prairielearn, graded(nothing)))["score"] == 0.0


def test_prairielearn_has_a_row_for_lateness(made):
    text = made(prairielearn, anna(submitted=LATE), due=DUE, late=LateRule(0.5))
    assert json.loads(text)["tests"][-1] == {
        "name": "late",
        "points": -0.3,
        "max_points": 0.0,
        "message": "handed in 1 h late: 50 % off",
    }


def test_prairielearn_gets_no_more_than_it_takes(made):
    noise = outcome("crash", "x" * words.LONGEST, calls=["y" * 1000] * words.MOST_CALLS)
    many = graded({DOUBLE: row({f"test_{i}": noise for i in range(400)})})
    text = made(prairielearn, many)
    assert len(text.encode()) < 1_000_000
    assert len(json.loads(text)["tests"]) == 401  # every row, with less to read


# ------------------------------------------------------------------------------ GitHub Classroom

CLASSROOM = {
    "type": "object",
    "required": ["version", "status", "max_score", "tests"],
    "additionalProperties": False,
    "properties": {
        "version": {"type": "integer"},
        "status": {"enum": ["pass", "fail", "error"]},
        "max_score": {"type": "number", "minimum": 0},
        "tests": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "status", "score"],
                "properties": {
                    "name": {"type": "string"},
                    "status": {"enum": ["pass", "fail", "error"]},
                    "message": {"type": ["string", "null"]},
                    "score": {"type": "number"},
                    "filename": {"type": "string"},
                    "line_no": {"type": "integer", "minimum": 0},
                    "test_code": {"type": "string"},
                    "duration": {"type": "number"},
                },
            },
        },
    },
}


def test_classroom_keeps_to_the_schema(made, case):
    text = made(classroom, case[0], **case[1])
    jsonschema.validate(json.loads(text), CLASSROOM)
    assert text.count("\n") == 1  # for $GITHUB_OUTPUT


def test_classroom_is_told_what_counts(made, case, course):
    hand_in, fields = case
    document = json.loads(made(classroom, hand_in, **fields))
    result = marks(hand_in, Points(list(course.exercises), **fields))
    told = sum(test["score"] for test in document["tests"])  # as NotifyClassroom does
    assert told == pytest.approx(result.total, abs=1e-3)
    assert document["max_score"] == result.possible


def test_classroom_fails_when_a_test_does(made):
    assert json.loads(made(classroom, anna()))["status"] == "fail"
    assert json.loads(made(classroom, all_passed()))["status"] == "pass"


def test_classroom_says_what_the_terminal_said(made):
    test = json.loads(made(classroom, anna()))["tests"][0]
    assert (test["name"], test["status"]) == ("1.1 three becomes six", "fail")
    assert test["filename"] == "tests/ch01_demo/test_ex01_double.py"
    assert ">>> double(3)" in test["message"]
