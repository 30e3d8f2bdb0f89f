"""What a hand-in earns: parts and weights, what does not count, what is withheld, what is late."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kata.grading.marks import marks
from kata.grading.model import Graded
from kata.grading.points import LateRule, Points, Worth
from kata.verdict import Verdict
from tests.meta.grading.sample import DOUBLE, PICK, anna, graded, outcome, row
from tests.meta.minicourse import make_course

DUE = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return make_course(tmp_path_factory.mktemp("course"))


def points_of(course, **fields):
    return Points(list(course.exercises), **fields)


def one(course, tests, expected=None, **fields):
    """The mark of exercise 1.1 with these verdicts."""
    rows = {DOUBLE: row({n: outcome(v) for n, v in tests.items()}, expected=expected)}
    return marks(graded(rows), points_of(course, **fields)).exercises[0]


def test_each_passed_test_earns_its_part(course):
    result = marks(anna(), points_of(course))
    double, pick = result.exercises
    assert (double.verdict, double.earned, double.possible) == (Verdict.WRONG, 0.6, 1.0)
    assert (pick.verdict, pick.earned, pick.possible) == (Verdict.TODO, 0.0, 1.0)
    assert (result.earned, result.total, result.possible) == (0.6, 0.6, 2.0)


def test_an_exercise_can_be_worth_more(course):
    mark = one(course, {"test_a": "pass", "test_b": "wrong"}, worth={DOUBLE: Worth(3.0)})
    assert (mark.earned, mark.possible) == (1.5, 3.0)


def test_all_or_nothing(course):
    worth = {DOUBLE: Worth(3.0, partial=False)}
    assert one(course, {"test_a": "pass", "test_b": "wrong"}, worth=worth).earned == 0.0
    assert one(course, {"test_a": "pass", "test_b": "pass"}, worth=worth).earned == 3.0
    assert one(course, {"test_a": "pass"}, expected=2, worth=worth).earned == 0.0


def test_weights_hold_for_every_case_of_a_test(course):
    tests = {"test_a[1]": "pass", "test_a[2]": "wrong", "test_b": "pass"}
    mark = one(course, tests, weights={DOUBLE: {"a": 2.0}})
    assert [part.possible for part in mark.tests] == [0.4, 0.4, 0.2]
    assert mark.earned == 0.6


def test_a_test_that_cannot_be_run_here_does_not_count(course):
    mark = one(course, {"test_a": "pass", "test_b[cuda]": "not run"})
    assert (mark.earned, mark.possible) == (1.0, 1.0)


def test_an_exercise_that_cannot_be_run_here_does_not_count(course):
    mark = one(course, {"test_a": "not run"})
    assert (mark.verdict, mark.earned, mark.possible) == (Verdict.NOT_RUN, 0.0, 0.0)


def test_a_test_without_a_verdict_has_failed(course):
    mark = one(course, {"test_a": "pass"}, expected=4)
    assert (mark.earned, mark.possible) == (0.25, 1.0)
    assert [part.verdict for part in mark.tests[1:]] == [Verdict.MISSING] * 3


def test_a_heavy_test_without_a_verdict_costs_its_weight(course):
    mark = one(course, {"test_a": "pass"}, expected=2, weights={DOUBLE: {"b": 3.0}})
    assert mark.earned == 0.25


def test_an_exercise_without_a_verdict_has_failed(course):
    result = marks(graded({}, complete=False), points_of(course))
    assert [m.verdict for m in result.exercises] == [Verdict.MISSING] * 2
    assert (result.total, result.possible) == (0.0, 2.0)


def test_a_judge_that_died_at_once_left_marks_of_zero(course):
    nothing = Graded("anna", {})
    assert marks(nothing, points_of(course)).total == 0.0


def test_exercises_that_were_not_asked_for_do_not_count(course):
    result = marks(anna(), Points([course.find("1.2")]))
    assert [m.exercise.number for m in result.exercises] == ["1.2"]
    assert result.possible == 1.0


def test_hidden_tests_count_as_the_others_do(course):
    hidden = {DOUBLE: frozenset({"test_b"})}
    mark = one(course, {"test_a": "pass", "test_b[1]": "wrong"}, hidden_tests=hidden)
    assert mark.earned == 0.5
    assert [part.name for part in mark.parts(hidden=True)] == ["test_b[1]"]


# ------------------------------------------------------------------------------------- tampered


def test_a_hand_in_that_was_tampered_with_earns_nothing_yet(course):
    tampered = ["A canary passed: a wrong version that must fail."]
    result = marks(anna(tampered=tampered), points_of(course))
    assert [m.withheld for m in result.exercises] == tampered * 2
    assert (result.total, result.possible) == (0.0, 2.0)
    assert all(part.earned == 0 for m in result.exercises for part in m.tests)


@pytest.mark.parametrize("name", ["1.2", PICK])
def test_a_sentence_on_one_exercise_withholds_only_that(course, name):
    said = f"{name}: a canary passed."
    result = marks(anna(tampered=[said]), points_of(course))
    assert [m.withheld for m in result.exercises] == ["", said]
    assert result.total == 0.6


# ----------------------------------------------------------------------------------------- late


def late(course, after, rule):
    points = points_of(course, due=DUE, late=rule)
    return marks(anna(submitted=(DUE + after).isoformat()), points)


@pytest.mark.parametrize(
    ("after", "total", "reason"),
    [
        (timedelta(days=-3), 0.6, ""),
        (timedelta(0), 0.6, ""),
        (timedelta(minutes=15), 0.6, ""),
        (timedelta(minutes=16), 0.54, "handed in 16 minutes late: 10 % off"),
        (timedelta(hours=24), 0.54, "handed in 1 day late: 10 % off"),
        (
            timedelta(hours=27),
            0.48,
            "handed in 1 day 3 h late: 20 % off (10 % for each of 2 days)",
        ),
        (timedelta(days=3), 0.42, "handed in 3 days late: 30 % off (10 % for each of 3 days)"),
        (timedelta(days=4), 0.0, "handed in 4 days late, after the last day for it"),
    ],
)
def test_late_rules(course, after, total, reason):
    result = late(course, after, LateRule(0.1, 15, 3))
    assert (result.total, result.late.reason) == (total, reason)
    assert result.total == pytest.approx(result.earned - result.penalty)


def test_without_a_rule_lateness_is_only_said(course):
    result = late(course, timedelta(hours=5), LateRule())
    assert (result.total, result.late.reason) == (0.6, "handed in 5 h late")


def test_no_more_than_everything_is_lost(course):
    assert late(course, timedelta(days=30), LateRule(0.1)).total == 0.0


@pytest.mark.parametrize("submitted", ["", "yesterday"])
def test_an_unknown_time_costs_nothing_and_is_said(course, submitted):
    result = marks(anna(submitted=submitted), points_of(course, due=DUE))
    assert (result.total, result.late.reason) == (0.6, "when it was handed in is not known")


def test_the_time_zone_of_the_hand_in_does_not_matter(course):
    points = points_of(course, due=DUE, late=LateRule(1.0))
    assert marks(anna(submitted="2026-11-30T13:59:00+02:00"), points).total == 0.6
    assert marks(anna(submitted="2026-11-30T12:01:00Z"), points).total == 0.0


# ------------------------------------------------------------------------------------ always so


@given(
    verdicts=st.lists(st.sampled_from(list(Verdict)), max_size=8),
    weights=st.lists(st.floats(0, 10), min_size=8, max_size=8),
    missing=st.integers(0, 3),
    worth=st.builds(Worth, st.floats(0, 100), st.booleans()),
)
def test_parts_add_up_and_nobody_earns_more_than_there_is(
    course, verdicts, weights, missing, worth
):
    tests = {f"test_{i}": str(v) for i, v in enumerate(verdicts)}
    counted = sum(v is not Verdict.NOT_RUN for v in verdicts)
    weighed = {DOUBLE: {str(i): w for i, w in enumerate(weights)}}
    mark = one(course, tests, counted + missing, worth={DOUBLE: worth}, weights=weighed)
    assert mark.earned == pytest.approx(sum(p.earned for p in mark.tests), abs=1e-3)
    assert 0 <= mark.earned <= mark.possible + 1e-9
    assert mark.possible == pytest.approx(worth.points, abs=1e-3) or mark.possible == 0
    assert all(p.earned <= p.possible for p in mark.tests)
