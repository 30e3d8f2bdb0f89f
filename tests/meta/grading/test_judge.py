"""The judge says of every answer what plain pytest says of it, and cannot be made to say more."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from kata import stubs
from kata.grading.judge import CHANGED
from kata.grading.model import Graded
from kata.grading.station import Station
from kata.wrong import Bank
from tests.meta import minicourse
from tests.meta.conftest import PROJECT
from tests.meta.grading.sides import grade, learner, plain, write

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: there is no fork here"),
    pytest.mark.timeout(120),
]
DOUBLE, PICK = "demo/double", "demo/pick"

# --------------------------------------------------------------------- the same as plain pytest

COMPARED = ["1.5", "2.5", "2.6"]
SEEDED = "\nimport torch\ntorch.manual_seed(0)\n"  # what a mistake draws is the same twice


def rounds():
    """The solutions, the stubs, then one wrong version of each exercise after the other."""
    banks = {n: Bank(PROJECT, PROJECT.find(n)).versions() for n in COMPARED}
    yield "solutions", {n: learner(PROJECT, n) for n in COMPARED}
    yield "stubs", {n: stubs.stub_of(PROJECT, PROJECT.find(n)) for n in COMPARED}
    for i in range(max(map(len, banks.values()))):
        names = {n: bank[i].name for n, bank in banks.items() if i < len(bank)}
        yield f"mistake {i}", {n: learner(PROJECT, n, name) + SEEDED for n, name in names.items()}


@pytest.mark.parametrize("answers", [pytest.param(files, id=name) for name, files in rounds()])
def test_every_answer_is_judged_as_in_one_process(station, tmp_path, answers):
    tree = write(PROJECT, tmp_path / "tree", answers)
    got = grade(station, tree, tmp_path / "out", *answers)
    expected = plain(PROJECT, tree, *answers)
    assert got.complete
    assert got.tampered == []
    for slug, row in expected["exercises"].items():
        for name, test in row["tests"].items():
            assert got.document["exercises"][slug]["tests"][name] == test, name
    assert got.document == expected


# ------------------------------------------------------------------------------ a small course


class Small:
    """A course of two exercises, and a station for it."""

    def __init__(self, station, folder):
        self.course = station.course
        self.station = station
        self.folder = folder
        self.tree = folder / "tree"

    def tests(self, text, number="1.1", solution=None):
        """Put other tests, and another solution, in the place of an exercise's own."""
        exercise = self.course.find(number)
        file = self.course.tests_dir / exercise.chapter / f"test_{exercise.name}.py"
        file.write_text(text, "utf-8")
        if solution is not None:
            path = self.course.solutions_dir / exercise.path
            head = path.read_text("utf-8").split('"""', 2)[1]
            path.write_text(f'"""{head}"""\n\n\n{solution}', "utf-8")

    def grade(self, answers, **options):
        write(self.course, self.tree, answers)
        return grade(self.station, self.tree, self.folder / "out", "1.1", "1.2", **options)

    def of(self, text, *names, number="1.1"):
        """The tests of one exercise, by name, for this answer to it."""
        graded = self.grade({number: text})
        tests = graded.document["exercises"][self.course.find(number).slug]["tests"]
        return [tests[f"test_{name}"] for name in names]


@pytest.fixture(scope="module")
def small_station(tmp_path_factory):
    course = minicourse.make_course(tmp_path_factory.mktemp("course"))
    with Station(course) as station:
        yield station


@pytest.fixture
def small(small_station, tmp_path):
    course = small_station.course
    minicourse.make_course(course.root)
    return Small(small_station, tmp_path)


def test_the_solutions_of_the_small_course_pass(small):
    course = small.course
    graded = small.grade({"1.1": learner(course, "1.1"), "1.2": learner(course, "1.2")})
    assert graded.complete
    assert graded.document["points"] == graded.document["max_points"] == 2
    assert {p.name for p in graded.protections} >= {"file access", "network"}
    assert set(graded.seconds) == {DOUBLE, PICK}


def test_what_was_not_handed_in_has_failed(small):
    graded = small.grade({"1.2": learner(small.course, "1.2")})
    tests = graded.document["exercises"][DOUBLE]["tests"].values()
    assert {t["verdict"] for t in tests} == {"crash"}
    assert all("was not handed in" in t["message"] for t in tests)
    assert graded.document["exercises"][PICK]["verdict"] == "pass"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("def double(x:\n", "SyntaxError: '(' was never closed", "def double(x:"),
        ("import no_such_module\n", "ModuleNotFoundError", "import no_such_module"),
        ("1 / 0\n", "ZeroDivisionError", "1 / 0"),
        ("def other(x): pass\n", "MissingName: ex01_double.py defines no `double`", ""),
    ],
)
def test_a_file_that_cannot_be_executed_is_shown_where(small, text, message, line):
    (test,) = small.of(text, "three_becomes_six")
    assert test["verdict"] == "crash"
    assert message in test["message"]
    assert line in test["where"]
    assert test["calls"] == []


def test_calls_are_written_as_the_test_writes_them(small):
    text = "import functools\ndef f(x, by): return x * by\ndouble = functools.partial(f, by=3)\n"
    for answer in ("double = lambda x: 3 * x\n", text):
        (test,) = small.of(answer, "three_becomes_six")
        assert test["calls"] == [">>> double(3)", "9"]
        assert test["message"] == "got      9\nexpected 6"


# ---------------------------------------------------------------------------- in-place changes

LATE = """
def test_total(answer):
    xs = [1, 2, 3]
    assert answer.double(xs) == sum(xs)


def test_scaled(answer):
    import torch
    x = torch.ones(3)
    assert answer.double(x) == x.sum()


def test_a_test_s_own_constants_stay(answer):
    assert answer.double([4]) == 4
"""
TOTAL = "def double(xs):\n    return sum(xs)\n"


def test_arguments_made_trivial_do_not_earn(small):
    small.tests(LATE, solution=TOTAL)
    text = "def double(xs):\n    xs.clear() if type(xs) is list else xs.zero_()\n    return 0\n"
    total, scaled = small.of(text, "total", "scaled")
    for test in (total, scaled):
        assert test["verdict"] == "wrong"
        assert test["message"].startswith(CHANGED)


@pytest.mark.parametrize(
    "text",
    [
        "def double(xs):\n    total = sum(xs)\n    xs *= 1\n    return total\n",
        "def double(xs):\n    total = sum(xs)\n    xs[0] = xs[0]\n    return total\n",
        TOTAL,
    ],
)
def test_harmless_changes_cost_nothing(small, text):
    small.tests(LATE, solution=TOTAL)
    total, scaled = small.of(text, "total", "scaled")
    assert (total["verdict"], scaled["verdict"]) == ("pass", "pass")


ORDERED = """
def test_ordered(answer):
    xs = [3, 1, 2]
    answer.double(xs)
    assert xs == [1, 2, 3]
"""
RETURNED = """
def test_returned(answer):
    assert answer.double([3, 1, 2]) == [1, 2, 3]


def test_halved(answer):
    import torch
    assert answer.double(torch.tensor([4.0])).tolist() == [4]
"""


def test_an_exercise_may_be_about_changes_in_place(small):
    small.tests(ORDERED, solution="def double(xs):\n    xs.sort()\n")
    (test,) = small.of("def double(xs):\n    xs[:] = sorted(xs)\n", "ordered")
    assert test["verdict"] == "pass"
    (test,) = small.of("def double(xs):\n    pass\n", "ordered")
    assert (test["verdict"], test["message"].splitlines()[0]) == ("wrong", "got      [3, 1, 2]")


def test_a_changed_argument_may_be_returned(small):
    ordered = "def double(xs):\n    return sorted(xs) if len(xs) > 1 else xs\n"
    small.tests(RETURNED, solution=ordered)
    text = "def double(xs):\n    xs.sort() if type(xs) is list else xs.add_(0)\n    return xs\n"
    returned, halved = small.of(text, "returned", "halved")
    assert (returned["verdict"], halved["verdict"]) == ("pass", "pass")


# -------------------------------------------------------------------------- answers that end badly

TIMED = (
    "import pytest\n\n\n@pytest.mark.timeout(0.3)\ndef test_one(answer):\n    answer.double(3)\n"
)


@pytest.mark.parametrize(
    ("loop", "line"),
    [
        ("while True: pass", "while True: pass"),
        ("import time; time.sleep(60)", "import time; time.sleep(60)"),
        ("while True:\n        try: helper()\n        except BaseException: pass", "while 1: pass"),
        ("import signal; signal.pthread_sigmask(0, range(1, 65))\n    helper()", "while 1: pass"),
    ],
    ids=["loop", "C", "swallows", "signals"],
)
def test_a_timeout_names_the_line(small, loop, line):
    small.tests(TIMED)
    text = f"def double(x):\n    {loop}\n\n\ndef helper():\n    while 1: pass\n"
    (test,) = small.of(text, "one")
    assert test["verdict"] == "timeout"
    assert test["message"].startswith("did not end within")
    if "sigmask" not in loop:
        number = next(i for i, row in enumerate(text.splitlines(), 1) if line in row)
        assert test["where"] == f"{small.tree / 'ch01_demo/ex01_double.py'}:{number}\n    {line}"


@pytest.mark.parametrize(
    "end",
    ["import os; os._exit(0)", "import os; os.kill(os.getpid(), 9)", "import os; os.abort()"],
)
def test_a_dead_worker_is_a_crash_and_the_next_test_has_another(small, end):
    text = f"def double(x):\n    if x == 3:\n        {end}\n    return 2 * x\n"
    died, other = small.of(text, "three_becomes_six", "agrees_with_the_reference[10]")
    assert died["verdict"] == "crash"
    assert died["message"] == "ChildProcessError: the process that ran the answer has ended"
    assert other["verdict"] == "pass"


def test_a_worker_that_died_long_ago_is_no_trouble_at_a_timeout(small):
    small.tests(TIMED + "    __import__('time').sleep(9)\n")
    text = (
        "import os, threading, time\ndef double(x):\n"
        "    threading.Thread(target=lambda: (time.sleep(0.2), os._exit(0))).start()\n"
    )
    graded = small.grade({"1.1": text, "1.2": learner(small.course, "1.2")})
    verdicts = {slug: row["verdict"] for slug, row in graded.document["exercises"].items()}
    assert verdicts == {DOUBLE: "timeout", PICK: "pass"}


def test_what_an_answer_prints_or_warns_is_nobody_s_business(small):
    text = "import sys, warnings\nprint('x' * 99999)\nwarnings.warn('w')\nsys.stderr.write('e')\n"
    graded = small.grade({"1.1": text + learner(small.course, "1.1")})
    assert graded.document["exercises"][DOUBLE]["verdict"] == "pass"
    log = (small.folder / "out" / "anna" / "judge.log").read_text("utf-8")
    assert "xxxx" not in log


# ------------------------------------------------------------------------------- at every moment


def saved(small):
    return Graded.load(json.loads((small.folder / "out/anna/grade.json").read_text("utf-8")))


def test_what_is_graded_is_kept_at_once(small):
    seen = []

    def look(slug, verdict):
        graded = saved(small)
        rows = graded.document["exercises"]
        seen.append((slug, verdict, graded.complete, {s: r["verdict"] for s, r in rows.items()}))

    answers = {n: learner(small.course, n) for n in ("1.1", "1.2")}
    graded = small.grade(answers, on_exercise=look)
    assert seen[0][:2] == (DOUBLE, "pass")
    assert seen[0][3][DOUBLE] == "pass"
    assert seen[0][3][PICK] in ("missing", "pass")
    assert [s[:2] for s in seen] == [(DOUBLE, "pass"), (PICK, "pass")]
    assert graded.complete
    assert saved(small) == graded


def children(process):
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(pid) for file in found for pid in file.read_text().split()]


def gone(process):
    """Whether it has no child any more, soon: it ends them when it hears of it."""
    end = time.monotonic() + 5
    while children(process) and time.monotonic() < end:
        time.sleep(0.05)
    return not children(process)


@pytest.mark.skipif(sys.platform != "linux", reason="not run: needs /proc")
def test_a_killed_judge_leaves_what_was_graded(small):
    small.tests("import time\n\n\ndef test_slow(answer):\n    time.sleep(3)\n", "1.2")
    killed = []

    def kill(slug, verdict):
        if not killed:
            killed.append(slug)
            (judge,) = children(small.station._judges.pid)
            os.kill(judge, signal.SIGKILL)

    answers = {n: learner(small.course, n) for n in ("1.1", "1.2")}
    graded = small.grade(answers, on_exercise=kill)
    assert killed == [DOUBLE]
    rows = graded.document["exercises"]
    assert rows[DOUBLE]["verdict"] == "pass"
    assert rows.get(PICK, {"verdict": "missing"})["verdict"] == "missing"
    assert "the judge died" in graded.tampered[0]
    assert gone(small.station._workers.pid)
    assert small.grade(answers).document["exercises"][DOUBLE]["verdict"] == "pass"
