"""How many mistakes are recognised when they are written in another way than in the bank."""

import json

import pytest

from kata.wrong import Bank
from tests.meta.conftest import PROJECT, run_pytest
from tests.meta.mistakes import mistakes

pytestmark = pytest.mark.timeout(900)
MISTAKES = mistakes(PROJECT)
AT_LEAST = 0.8


@pytest.fixture
def said(once, tmp_path):
    """What is said about each mistake: its sentences, for each test that fails, in their order."""

    def grade():
        # In one session, one mistake of each exercise.
        left, sessions, found = list(MISTAKES), [], {}
        while left:
            session = list({mistake.exercise: mistake for mistake in reversed(left)}.values())
            left = [mistake for mistake in left if mistake not in session]
            sessions.append(session)
        for number, session in enumerate(sessions):
            tree = tmp_path / str(number)
            for mistake in session:
                path = tree / mistake.exercise.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(mistake.file(PROJECT), "utf-8")
            files = [f"tests/{m.exercise.chapter}/test_{m.exercise.name}.py" for m in session]
            out = tmp_path / f"{number}.json"
            run_pytest("", f"--answers={tree}", f"--grade-json={out}", *files)
            graded = json.loads(out.read_text("utf-8"))["exercises"]
            for mistake in session:
                tests = graded[mistake.exercise.slug]["tests"].values()
                failed = [t for t in tests if t["verdict"] in ("wrong", "crash", "timeout")]
                found[f"{mistake.exercise.slug} {mistake.name}"] = [t["looks_like"] for t in failed]
        return found

    return once("mistakes", grade)


def sentence(mistake):
    """What the bank says about it."""
    versions = Bank(PROJECT, mistake.exercise).versions()
    return next(v.sentence for v in versions if v.name == mistake.version)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.exercise.slug}-{m.name}")
def test_no_mistake_is_taken_for_another(said, mistake):
    tests = said[f"{mistake.exercise.slug} {mistake.name}"]
    assert tests, "no test fails"
    assert [s for s in tests if s and sentence(mistake) not in s] == []


def test_four_of_five_mistakes_are_named(said):
    tests = {m: said[f"{m.exercise.slug} {m.name}"] for m in MISTAKES}
    named = [m for m in MISTAKES if any(sentence(m) in s for s in tests[m])]
    unnamed = [f"{m.exercise.slug} {m.name}" for m in MISTAKES if m not in named]
    assert len(MISTAKES) >= 60
    assert len(named) >= AT_LEAST * len(MISTAKES), unnamed
