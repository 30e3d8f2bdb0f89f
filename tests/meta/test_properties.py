"""Property tests: the same examples for every learner, and the smallest one that fails."""

import pytest

ONLY_1 = "tests/ch01_demo/test_ex01_double.py"
TESTS = """\
from kata.properties import example, given, st, texts

@given(st.integers(0, 10**6))
def test_even(answer, x):
    assert answer.double(x) == 2 * x

@given(texts)
@example("")
def test_texts(answer, text):
    assert answer.double(text) == text + text
"""


@pytest.fixture
def lab(lab):
    lab.test_file(TESTS)
    return lab


def test_the_smallest_example_is_shown(lab):
    lab.answer("1.1", "return x + x if isinstance(x, str) or x < 17 else x")
    text = lab.run(ONLY_1).failure("test_even")
    assert "\n  >>> double(17)\n  17\n\n  expected 34\n\n  your code:" in text
    assert "Falsifying" not in text
    assert "hypothesis" not in text


@pytest.mark.parametrize("method", ["", "--timeout-method=thread"])
def test_a_failure_of_the_first_example_is_no_inconsistency(lab, method):
    # hypothesis would look for constants in the answer, which is executed by the first example.
    lab.answer("1.1", "MORE = [12345, 98765, 4321, 'word']\nreturn 7 if x == x else MORE")
    outcome = lab.run_outside(ONLY_1, *[method] * bool(method))
    assert outcome.verdicts() == {"wrong"}


def test_examples_do_not_depend_on_the_answer(lab):
    note = "with open('calls.txt', 'a') as file: print(repr(x), file=file)\nreturn x + x"
    seen = []
    for extra in ("", "MORE = [12345, 98765, 4321, 'a word']\n"):
        (lab.root / "calls.txt").unlink(missing_ok=True)
        lab.answer("1.1", extra + note)
        assert lab.run(ONLY_1).exit == 0
        seen.append((lab.root / "calls.txt").read_text())
    assert seen[0] == seen[1]
    assert "12345" not in seen[1]


def test_an_answer_that_ends_the_process_politely_is_a_crash(lab):
    lab.answer("1.1", "raise SystemExit(0)")
    assert lab.run(ONLY_1).verdicts() == {"crash"}


def test_an_answer_that_is_random_is_wrong(lab):
    lab.answer("1.1", "import random\nreturn random.random()")
    assert lab.run(ONLY_1).verdicts() <= {"wrong", "crash"}


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_an_endless_answer_is_a_timeout(lab, method):
    lab.answer("1.1", "while x: pass\nreturn x + x")
    outcome = lab.run(ONLY_1, "--timeout=1", f"--timeout-method={method}")
    assert outcome.verdicts() == {"timeout"}


def test_a_wrong_version_is_recognised_by_the_same_example(lab):
    lab.wrong_file(
        "@wrong(caught_by=['even', 'texts'])\n"
        "def double__adds_one(x):\n    'One was added.'\n"
        "    return x + x + (1 if isinstance(x, int) and x > 40 else x[:0])"
        " if not isinstance(x, int) or x > 40 else x + x\n"
    )
    lab.answer(
        "1.1", "MORE = [77777]\nreturn x + x + (1 if isinstance(x, int) and x > 40 else x * 0)"
    )
    assert "looks like: One was added." in lab.run(ONLY_1, "-k", "even").text


def test_a_proof_leaves_the_usual_examples_behind(lab):
    from hypothesis import settings

    before = settings.default.phases
    lab.run("--answers=solutions", "--prove=proof.json", "-k", "even")
    assert settings.default.phases == before
