"""Wrong versions: what they prove about the tests, and what they tell a learner."""

import json

import pytest

from kata.wrong import Bank, disagreement, unproven

ONLY_1 = "tests/ch01_demo/test_ex01_double.py"
SQUARES = "The number was multiplied by itself. Twice means two times the number."
ANY = "A negative number was doubled. It must be refused with a ValueError."
LIST = "The number was used as a list."
REFUSE = "if x < 0:\n    raise ValueError('x must not be negative')\n"


def proof(lab, *args):
    """What --prove writes about the reference solutions."""
    file = lab.root / "proof.json"
    file.unlink(missing_ok=True)
    outcome = lab.run("--answers=solutions", f"--prove={file}", *args)
    assert outcome.exit == 0, outcome.text
    return json.loads(file.read_text("utf-8"))["rows"]


def disagreements(lab, number="1.1"):
    exercise = lab.course.find(number)
    rows = proof(lab).get(exercise.slug, {})
    found = {v.name: disagreement(v, rows[v.name]) for v in Bank(lab.course, exercise).versions()}
    return {name: words for name, words in found.items() if words}


# -------------------------------------------------------------------------------------- the bank


def test_a_bank_is_read_in_order(lab):
    bank = Bank(lab.course, lab.course.find("1.1"))
    versions = bank.versions()
    assert [v.name for v in versions] == [
        "double__squares",
        "double__takes_any_number",
        "double__takes_a_list",
    ]
    assert versions[2].target == "double"
    assert versions[2].sentence == LIST
    assert versions[2].fails == {
        "negative_number_is_refused",
        "three_becomes_six",
        "agrees_with_the_reference",
    }


def test_an_exercise_without_a_bank_has_no_wrong_versions(lab):
    bank = Bank(lab.course, lab.course.find("1.1"))
    bank.file.unlink()
    assert bank.versions() == []


def test_what_is_not_marked_is_no_wrong_version(lab):
    lab.wrong_file(
        "from math import pi as double__pi\n"
        "double__table = {}\n"
        "def double__helper(x): return x\n"
        "class Base: pass\n"
        "@wrong(caught_by=['t'])\nclass Base__one(Base):\n    'Sentence.'\n"
        "class Base__two(Base__one): pass\n"
    )
    assert [v.name for v in Bank(lab.course, lab.course.find("1.1")).versions()] == ["Base__one"]


# -------------------------------------------------------------------------------- the two rules


def test_the_bank_of_the_demo_proves_its_tests(lab):
    rows = proof(lab)
    assert disagreements(lab, "1.1") == disagreements(lab, "1.2") == {}
    assert unproven(rows["demo/double"].values()) == []
    assert unproven(rows["demo/pick"].values()) == []


def test_a_wrong_version_that_fails_too_much_is_detected(lab):
    lab.wrong_file(
        "@wrong(caught_by=['three_becomes_six'])\ndef double__squares(x): return x * x\n"
    )
    assert disagreements(lab) == {
        "double__squares": "caught_by lacks agrees_with_the_reference; "
        "caught_by lacks negative_number_is_refused"
    }


def test_a_wrong_version_that_fails_too_little_is_detected(lab):
    lab.wrong_file(
        "@wrong(caught_by=['three_becomes_six', 'negative_number_is_refused'])\n"
        "def double__takes_any_number(x): return x + x\n"
    )
    assert disagreements(lab) == {
        "double__takes_any_number": "caught_by names three_becomes_six: pass"
    }


def test_a_wrong_version_that_crashes_instead_is_detected(lab):
    lab.wrong_file(
        "@wrong(caught_by=['three_becomes_six', 'agrees_with_the_reference',"
        " 'negative_number_is_refused'])\n"
        "def double__takes_a_list(x): return x[0]\n"
    )
    assert disagreements(lab) == {
        "double__takes_a_list": "caught_by names agrees_with_the_reference: crash; "
        "caught_by names three_becomes_six: crash; "
        "crashes lacks agrees_with_the_reference; crashes lacks three_becomes_six"
    }


def test_a_wrong_version_that_does_not_end_is_detected(lab, monkeypatch):
    monkeypatch.setattr("kata.session.PROOF_SECONDS", 0.1)
    lab.wrong_file(
        "@wrong(caught_by=['negative_number_is_refused'])\n"
        "def double__loops(x):\n    while x == 3: pass\n    return x + x\n"
    )
    assert disagreements(lab) == {"double__loops": "three_becomes_six is a timeout"}


def test_a_test_that_no_wrong_version_fails_is_detected(lab):
    lab.wrong_file(
        "@wrong(caught_by=['negative_number_is_refused'])\n"
        "def double__takes_any_number(x): return x + x\n"
    )
    rows = proof(lab)["demo/double"]
    assert unproven(rows.values()) == ["agrees_with_the_reference", "three_becomes_six"]


def test_a_test_that_is_not_run_here_says_nothing(lab, monkeypatch):
    monkeypatch.setattr("kata.plugin.device_available", lambda name: name == "cpu")
    lab.test_file(
        "def test_real(answer, real):\n"
        "    assert answer.double(3) == real.path('six')\n"
        "def test_three(answer, device):\n"
        "    assert answer.double(3) == 6\n"
    )
    lab.wrong_file("@wrong(caught_by=['real', 'three'])\ndef double__squares(x): return x * x\n")
    rows = proof(lab)["demo/double"]
    assert rows == {"double__squares": {"three": "wrong"}}
    assert disagreements(lab) == {}
    assert unproven(rows.values()) == []


def test_one_parameter_that_fails_is_enough(lab):
    assert proof(lab)["demo/double"]["double__squares"]["agrees_with_the_reference"] == "wrong"


def test_a_wrong_version_of_a_class_is_a_subclass(lab):
    path = lab.course.solutions_dir / "ch01_demo" / "ex01_double.py"
    path.write_text(
        path.read_text("utf-8")
        + "\n\nclass Box:\n    def get(self): return self.inner()\n    def inner(self): return 1\n"
    )
    lab.test_file("def test_box(answer): assert answer.Box().get() == 1\n")
    lab.wrong_file(
        "import solutions.ch01_demo.ex01_double as reference\n"
        "@wrong(caught_by=['box'])\n"
        "class Box__gives_two(reference.Box):\n"
        "    'Two.'\n"
        "    def inner(self): return 2\n"
    )
    assert proof(lab)["demo/double"] == {"Box__gives_two": {"box": "wrong"}}


def test_a_proof_needs_one_process(lab):
    outcome = lab.run_outside("--answers=solutions", "--prove=proof.json", "-n2")
    assert outcome.exit == 4
    assert "ERROR: --prove runs in one process: leave out -n" in outcome.text


# --------------------------------------------------------------------------------- the diagnosis


def sentences(lab, body, *args, number="1.1"):
    """What each failed test says that the answer looks like."""
    lab.answer(number, body)
    slug = lab.course.find(number).slug
    outcome = lab.run(*args)
    tests = outcome.document["exercises"][slug]["tests"]
    found = {name: t["looks_like"] for name, t in tests.items() if t["looks_like"]}
    for names in found.values():  # and the screen says the same
        assert f"\n  looks like: {names[0]}\n" in outcome.text
    assert outcome.text.count("\n  looks like: ") == len(found)
    return found


def test_a_known_mistake_is_named_on_every_test_that_it_fails(lab):
    assert sentences(lab, f"{REFUSE}return x * x") == {
        "test_three_becomes_six": [SQUARES],
        "test_agrees_with_the_reference[10]": [SQUARES],
    }


def test_a_known_mistake_is_named_however_it_is_written(lab):
    body = f"{REFUSE}total = 0\nfor _ in range(x):\n    total = total + x\nreturn total"
    assert set(sentences(lab, body)) == {
        "test_three_becomes_six",
        "test_agrees_with_the_reference[10]",
    }


def test_two_mistakes_are_each_named_on_their_own_tests(lab):
    assert sentences(lab, "return x * x") == {
        "test_three_becomes_six": [SQUARES],
        "test_agrees_with_the_reference[10]": [SQUARES],
        "test_negative_number_is_refused": [ANY],
    }


@pytest.mark.parametrize(
    "body",
    [
        f"{REFUSE}return x * 3",  # 3 times 3 is a square, 10 times 3 is not
        f"{REFUSE}return x + 3 if x == 3 or x == 10 else x",
        f"{REFUSE}return str(x + x)",
        f"{REFUSE}return len(x)",  # a TypeError as well
    ],
)
def test_an_unknown_mistake_is_not_named(lab, body):
    assert sentences(lab, body) == {}


def test_a_mistake_that_would_fail_a_passed_test_is_not_named(lab):
    # For 3 it answers like a square, and everywhere else rightly.
    assert sentences(lab, f"{REFUSE}return 9 if x == 3 else x + x") == {}


def test_a_crash_alone_is_named_only_with_the_same_words(lab):
    assert set(sentences(lab, "return x[0] + x[0]")) == {
        "test_negative_number_is_refused",
        "test_three_becomes_six",
        "test_agrees_with_the_reference[0]",
        "test_agrees_with_the_reference[2]",
        "test_agrees_with_the_reference[10]",
    }
    assert sentences(lab, 'return x["a"] + x["b"]') != {}
    assert sentences(lab, "return x + 'a'") == {}


def test_a_crash_in_other_words_is_named_beside_another_failure(lab):
    # An IndexError of a str where the wrong version has one of a list.
    found = sentences(lab, "return 2 * (*values,)[place]", number="1.2")
    assert set(found) == {
        "test_first_place_is_one",
        "test_last_value_can_be_picked",
        "test_place_zero_is_refused",
    }


def test_two_mistakes_that_answer_alike_are_both_named(lab):
    lab.wrong_file(
        "@wrong(caught_by=['three_becomes_six', 'agrees_with_the_reference'])\n"
        "def double__one(x):\n    'One.'\n    if x < 0: raise ValueError('must not be negative')\n"
        "    return x + 1\n"
        "@wrong(caught_by=['three_becomes_six', 'agrees_with_the_reference'])\n"
        "def double__two(x):\n    'Two.'\n    if x < 0: raise ValueError('must not be negative')\n"
        "    return 1 + x\n"
    )
    lab.answer("1.1", f"{REFUSE}return x - -1")
    text = lab.run(ONLY_1).failure("test_three_becomes_six")
    assert "\n\n  looks like: One.\n  or like: Two.\n\n" in text


def test_an_answer_that_changes_its_arguments_is_still_explained(lab):
    lab.test_file(
        "import pytest\n"
        "@pytest.mark.parametrize('values', [[1, 2]])\n"
        "def test_first(answer, values): assert answer.double(values) == 2\n"
    )
    lab.wrong_file(
        "@wrong(caught_by=['first'])\ndef double__last(values):\n    'Last.'\n"
        "    return 2 * values.pop()\n"
    )
    assert sentences(lab, "return 2 * x.pop(-1)", ONLY_1) == {"test_first[values0]": ["Last."]}


def test_a_wrong_version_may_print_and_loop(lab, monkeypatch):
    monkeypatch.setattr("kata.session.DIAGNOSIS_SECONDS", 0.3)
    lab.wrong_file(
        "@wrong(caught_by=['three_becomes_six'])\n"
        "def double__loops(x):\n    'Loops.'\n    print('noise')\n    while True: pass\n"
    )
    lab.answer("1.1", "return x")
    outcome = lab.run("-k", "three")
    assert outcome.tests() == {"test_three_becomes_six": "wrong"}
    assert "noise" not in outcome.text


def test_a_broken_bank_does_not_hide_a_failure(lab):
    lab.wrong_file("import does_not_exist\n")
    lab.answer("1.1", "return x")
    outcome = lab.run("-k", "three")
    assert outcome.tests() == {"test_three_becomes_six": "wrong"}
    assert "  >>> double(3)\n  3\n\n  expected 6\n" in outcome.text
