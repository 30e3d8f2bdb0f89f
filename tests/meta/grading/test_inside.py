"""Tests that run in the worker: judged as in plain pytest, and believed as far as canaries go."""

import json
import os
import shutil

import pytest

from kata.grading import inside
from kata.grading.station import Station
from kata.grading.wire import WireError
from kata.properties import given, st
from kata.verdict import Verdict
from tests.meta import minicourse
from tests.meta.conftest import PROJECT
from tests.meta.grading.sides import grade, learner, plain, write

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: there is no fork here"),
    pytest.mark.timeout(120),
]
REAL = {"7.8": "test_memory_is_that_of_one_micro_batch", "7.13": "test_two_ranks_by_hand"}
KEEP = """\
def pytest_collection_modifyitems(items):
    items[:] = [i for i in items if "ch07" not in i.nodeid or i.originalname in {names}]
"""
MARKED = """\
import pytest


@pytest.mark.in_worker("looks into the answer")
def test_three_becomes_six(answer):
    assert answer.double(3) == 6


@pytest.mark.in_worker("looks into the answer")
@pytest.mark.parametrize("x", [0, 2, 10])
def test_agrees_with_the_reference(answer, reference, x, tmp_path):
    (tmp_path / "x").write_text("x")
    expected = reference.double(x)
    assert answer.double(x) == expected


def test_negative_number_is_refused(answer):
    with pytest.raises(ValueError):
        answer.double(-1)
"""


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A station for a course with tests of a demo, and two real ones, that cannot cross."""
    course = minicourse.make_course(tmp_path_factory.mktemp("course"))
    (course.tests_dir / "ch01_demo" / "test_ex01_double.py").write_text(MARKED, "utf-8")
    for tree in ("solutions", "exercises"):
        shutil.copytree(PROJECT.root / tree / "ch07_training", course.root / tree / "ch07_training")
    to = course.tests_dir / "ch07_training"
    to.mkdir()
    for number in REAL:
        exercise = PROJECT.find(number)
        for kind in ("test", "wrong"):
            name = f"{kind}_{exercise.name}.py"
            shutil.copy(PROJECT.tests_dir / exercise.chapter / name, to / name)
    (course.tests_dir / "conftest.py").write_text(KEEP.format(names=[*REAL.values()]), "utf-8")
    with Station(type(course)(course.root)) as station:
        yield station


def rows(document, course, number):
    return document["exercises"][course.find(number).slug]["tests"]


@pytest.mark.parametrize("mistake", ["", "double__squares", "double__takes_a_list"])
def test_a_test_in_the_worker_is_judged_as_in_one_process(marked, tmp_path, mistake):
    course = marked.course
    tree = write(course, tmp_path / "tree", {"1.1": learner(course, "1.1", mistake)})
    graded = grade(marked, tree, tmp_path / "out", "1.1")
    got = rows(graded.document, course, "1.1")
    for name, test in rows(plain(course, tree, "1.1"), course, "1.1").items():
        for key in ("verdict", "message", "calls", "looks_like"):
            assert got[name][key] == test[key], (name, key)
        # The folder has another name there.
        assert got[name]["where"].split("ch01")[1:] == test["where"].split("ch01")[1:]
    assert graded.tampered == []
    assert graded.complete


def test_a_stub_is_to_do_in_the_worker_too(marked, tmp_path):
    graded = grade(marked, marked.course.exercises_dir, tmp_path, "1.1")
    assert graded.document["exercises"]["demo/double"]["verdict"] == "todo"


@pytest.mark.parametrize(
    ("number", "mistake"),
    [
        ("7.8", ""),
        ("7.8", "accumulate_step__keeps_all_activations"),
        ("7.13", ""),
        ("7.13", "data_parallel_step__averages_the_means"),
    ],
)
def test_a_real_test_that_cannot_cross(marked, tmp_path, number, mistake):
    course = marked.course
    tree = write(course, tmp_path / "tree", {number: learner(course, number, mistake)})
    graded = grade(marked, tree, tmp_path / "out", number)
    got = rows(graded.document, course, number)
    assert all(name.startswith(REAL[number]) for name in got)
    reasons = [t["message"] for t in got.values() if t["verdict"] == "not run"]
    if reasons:
        pytest.skip(reasons[0])
    expected = rows(plain(course, tree, number), course, number)
    for name, test in expected.items():
        assert (got[name]["verdict"], got[name]["message"]) == (test["verdict"], test["message"])
    assert ("pass" in {t["verdict"] for t in got.values()}) == (not mistake)
    assert graded.tampered == []


ATTACKS = {
    "the answer's names": """
        import kata.answer
        class Always:
            __eq__ = lambda *_: True
        kata.answer.Answer.__getattr__ = lambda self, name: lambda *args: Always()
    """,
    "the call of a test": """
        import _pytest.python, pytest
        pytest.Function.obj = property(lambda self: lambda **_: None)
    """,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_answer_that_makes_everything_pass_is_reported(marked, tmp_path, attack):
    code = "\n".join(line[8:] for line in ATTACKS[attack].splitlines())
    text = f"{code}\ndef double(x):\n    return 7\n"
    tree = write(marked.course, tmp_path / "tree", {"1.1": text})
    graded = grade(marked, tree, tmp_path / "out", "1.1")
    assert any("a wrong version passes `test_three_becomes_six`" in why for why in graded.tampered)
    got = rows(graded.document, marked.course, "1.1")
    assert not [name for name, test in got.items() if test["verdict"] == "pass"]
    assert got["test_negative_number_is_refused"]["verdict"] == "wrong"


# ------------------------------------------------------------------------- what a worker may say

SAID = {
    "finding": {"verdict": "pass", "message": "", "where": "", "calls": []},
    "canaries": {"a": "wrong", "b": "crash"},
}


def test_what_a_worker_says_is_read():
    finding, passed = inside.read(SAID, ["a", "b"])
    assert finding.verdict is Verdict.PASS
    assert passed == []


@pytest.mark.parametrize(
    "canaries", [{}, {"a": "wrong"}, {"a": "wrong", "b": "pass"}, {"a": "crash", "b": "not run"}]
)
def test_a_canary_that_is_not_seen_to_fail_counts_as_passed(canaries):
    assert inside.read(SAID | {"canaries": canaries}, ["a", "b"])[1] == [
        name for name in ("a", "b") if canaries.get(name) not in ("wrong", "crash")
    ]


def test_what_a_worker_says_is_cut():
    long = {
        "verdict": "wrong",
        "message": "m" * 10**6,
        "where": "w" * 10**6,
        "calls": ["c" * 9999] * 99,
    }
    finding, _ = inside.read(SAID | {"finding": long}, [])
    assert len(finding.message) == len(finding.where) == 10_000
    assert len(finding.calls) == 30
    assert max(map(len, finding.calls)) == 2000


@pytest.mark.parametrize(
    "head",
    [
        *({}, {"finding": 3, "canaries": {}}, SAID | {"finding": None}, SAID | {"canaries": 3}),
        *(SAID | {"canaries": {"a": "x"}}, SAID | {"canaries": {"a": []}}, SAID | {"canaries": []}),
        *(SAID | {"finding": SAID["finding"] | {"verdict": v}} for v in ("won", None, [], {}, 1)),
        *(SAID | {"finding": {"verdict": "missing"}}, SAID | {"finding": {"verdict": "pass"}}),
        SAID | {"finding": SAID["finding"] | {"calls": 3}},
    ],
    ids=lambda head: json.dumps(head)[:50],
)
def test_what_is_no_verdict_is_refused(head):
    with pytest.raises(WireError):
        inside.read(head, ["a"])


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["pass", "wrong", "crash"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


@given(st.fixed_dictionaries({}, optional={"finding": anything, "canaries": anything}))
def test_whatever_a_worker_says_is_a_verdict_or_refused(head):
    try:
        finding, passed = inside.read(SAID | head, ["a"])
    except WireError:
        return
    assert isinstance(finding.verdict, Verdict)
    assert set(passed) <= {"a"}
