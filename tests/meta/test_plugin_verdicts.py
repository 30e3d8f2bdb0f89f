"""What becomes of an answer: each verdict with its exit code, and with the text a learner reads."""

import re

import pytest

TITLE = '"""1.1 Twice a number   [easy, ~5 min]"""\n'
ONLY_1 = "tests/ch01_demo/test_ex01_double.py"
PLACES = """\
  your code: exercises/ch01_demo/ex01_double.py:{line}
  the test:  tests/ch01_demo/test_ex01_double.py:{test}"""


def failure(heading, *blocks, line=9, test=6):
    """The whole text of a failure, as it must be."""
    return "\n\n".join(
        [f"1.1 Twice a number: {heading}", *blocks, PLACES.format(line=line, test=test)]
    )


def test_right_answers_pass(lab):
    lab.answer("1.1")
    lab.answer("1.2")
    outcome = lab.run()
    assert outcome.exit == 0
    assert outcome.verdicts() == {"pass"}
    assert outcome.verdicts("demo/pick") == {"pass"}
    assert outcome.text.splitlines()[0].startswith("......... ")


def test_a_wrong_answer_is_explained(lab):
    lab.answer("1.1", "return abs(x) * 3")
    outcome = lab.run(ONLY_1)
    assert outcome.exit == 1
    assert set(outcome.tests().values()) == {"wrong", "pass"}  # 3 times 0 is right
    assert outcome.text.splitlines()[0].startswith("WW.WW ")
    assert outcome.failure("test_three_becomes_six") == failure(
        "wrong answer", "  >>> double(3)\n  9", "  expected 6"
    )
    assert "\nWRONG tests/ch01_demo/test_ex01_double.py::test_three_becomes_six - " in outcome.text


def test_none_is_named_for_what_it_is(lab):
    lab.answer("1.1", "x + x")
    assert lab.run(ONLY_1).failure("test_three_becomes_six") == failure(
        "wrong answer",
        "  >>> double(3)\n  None",
        "  got None: is a `return` missing?\n  expected 6",
    )


def test_an_error_that_is_not_raised_is_wrong(lab):
    lab.answer("1.1", "return 2 * x")
    assert lab.run(ONLY_1).failure("test_negative_number_is_refused") == failure(
        "wrong answer",
        "  >>> double(-1)\n  -2",
        "  raised nothing\n  expected ValueError whose message contains 'must not be negative'",
        "  looks like: A negative number was doubled. It must be refused with a ValueError.",
        test=10,
    )


def test_another_error_than_expected_is_wrong_and_located(lab):
    lab.answer("1.1", "return [][x]")
    outcome = lab.run(ONLY_1)
    assert outcome.tests()["test_negative_number_is_refused"] == "wrong"
    assert outcome.failure("test_negative_number_is_refused") == failure(
        "wrong answer",
        "  >>> double(-1)\n  IndexError: list index out of range",
        "  expected ValueError whose message contains 'must not be negative'\n"
        "  at exercises/ch01_demo/ex01_double.py:18\n      return [][x]\n      x: -1",
        test=10,
    )


def test_another_message_than_expected_is_wrong(lab):
    lab.answer("1.1", 'raise ValueError("no")')
    assert lab.run(ONLY_1).failure("test_negative_number_is_refused") == failure(
        "wrong answer",
        "  >>> double(-1)\n  ValueError: no",
        "  expected ValueError whose message contains 'must not be negative'",
        test=10,
    )


def test_an_exception_is_a_crash_with_its_line(lab):
    lab.answer("1.1", 'return x["a"]')
    outcome = lab.run(ONLY_1)
    assert outcome.exit == 1
    assert outcome.text.splitlines()[0].startswith("CWCCC ")
    assert outcome.failure("test_three_becomes_six") == failure(
        "it crashed",
        "  >>> double(3)\n  TypeError: 'int' object is not subscriptable",
        '  at exercises/ch01_demo/ex01_double.py:18\n      return x["a"]\n      x: 3',
        "  looks like: The number was used as a list.",
    )


NO_RETURN = """
def test_double_has_bits(answer):
    assert answer.double(3).bit_length() == 3
"""


@pytest.mark.parametrize(
    ("body", "error", "note"),
    [
        ("2 * x", "'NoneType' object has no attribute", "got None: is a `return` missing?"),
        ("return 2 * x,", "'tuple' object has no attribute", "got a tuple: a comma too many, or"),
    ],
)
def test_a_test_that_can_do_nothing_with_the_answer_says_why(lab, body, error, note):
    lab.answer("1.1", body)
    lab.test_file(NO_RETURN)
    text = lab.run(ONLY_1).failure("test_double_has_bits")
    assert error in text
    assert note in text


def test_an_assertion_of_the_answer_itself_is_a_crash(lab):
    lab.answer("1.1", 'assert x < 0, "mine"\nreturn x')
    outcome = lab.run(ONLY_1)
    assert outcome.tests()["test_three_becomes_six"] == "crash"
    assert "AssertionError: mine\n" in outcome.failure("test_three_becomes_six")


def test_an_assertion_inside_a_library_is_a_crash(lab):
    (lab.root / "library.py").write_text("def f(x):\n    assert x < 0\n")
    lab.answer("1.1", "import library\nlibrary.f(x)")
    outcome = lab.run(ONLY_1)
    assert outcome.tests()["test_three_becomes_six"] == "crash"
    assert "at exercises/ch01_demo/ex01_double.py:19\n" in outcome.failure("test_three_becomes_six")


UNUSABLE = {
    "syntax error": (
        f"{TITLE}def double(x):\n    return x +* 2\n",
        "  SyntaxError: invalid syntax\n  at exercises/ch01_demo/ex01_double.py:3\n"
        "      return x +* 2\n                ^",
        2,
    ),
    "not UTF-8": (
        TITLE.encode() + b"NAME = '\xe9'\n",
        r"(?s)  SyntaxError: \(unicode error\) 'utf-8' codec can't decode byte 0xe9.*",
        1,
    ),
    "null byte": (b"x = 1\x00\n", "  SyntaxError: source code .* null bytes", 1),
    "missing function": (
        f"{TITLE}def triple(x):\n    return 3 * x\n",
        "  MissingName: ex01_double.py defines no `double`; it defines triple",
        2,
    ),
    "empty file": (
        "",
        "  MissingName: ex01_double.py defines no `double`; it defines nothing yet",
        1,
    ),
    "missing module": (
        f"{TITLE}import does_not_exist\n",
        "  ModuleNotFoundError: No module named 'does_not_exist'\n"
        "  at exercises/ch01_demo/ex01_double.py:2\n      import does_not_exist",
        1,
    ),
    "missing neighbour": (
        f"{TITLE}from .nope import x\n",
        "  ModuleNotFoundError: No module named 'ch01_demo.nope'\n"
        "  at exercises/ch01_demo/ex01_double.py:2\n      from .nope import x",
        1,
    ),
    "exception at import": (
        f"{TITLE}1 / 0\n",
        "  ZeroDivisionError: division by zero\n"
        "  at exercises/ch01_demo/ex01_double.py:2\n      1 / 0",
        1,
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_cannot_be_used_crashes_every_test(lab, name):
    content, message, line = UNUSABLE[name]
    path = lab.answer("1.1")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    outcome = lab.run(ONLY_1)
    assert outcome.exit == 1
    # Also those that ask for an exception: this is not the one.
    assert outcome.verdicts() == {"crash"}
    text = outcome.failure("test_negative_number_is_refused")
    expected = failure("it crashed", "MESSAGE", line=line, test=10)
    before, after = expected.split("MESSAGE")
    found = text.removeprefix(before).removesuffix(after)
    assert found == message or re.fullmatch(message, found)


def test_a_missing_file_is_a_crash(lab):
    lab.answer("1.1").unlink()
    outcome = lab.run(ONLY_1)
    assert outcome.exit == 1
    assert outcome.verdicts() == {"crash"}
    assert outcome.failure("test_three_becomes_six") == failure(
        "it crashed",
        "  FileNotFoundError: there is no exercises/ch01_demo/ex01_double.py",
        line=1,
    )


def test_a_wrong_signature_is_a_crash_that_looks_like_no_other(lab):
    lab.answer_file("1.1", f"{TITLE}def double():\n    return 6\n")
    outcome = lab.run(ONLY_1)
    assert outcome.tests()["test_three_becomes_six"] == "crash"
    assert outcome.failure("test_three_becomes_six") == failure(
        "it crashed",
        "  >>> double(3)\n  TypeError: double() takes 0 positional arguments but 1 was given",
        line=2,
    )


def test_endless_recursion_is_a_crash(lab):
    lab.answer("1.1", "return double(x)")
    outcome = lab.run(ONLY_1)
    assert outcome.tests()["test_three_becomes_six"] == "crash"
    assert "RecursionError: maximum recursion depth exceeded" in outcome.text


def test_an_exception_without_text_is_named(lab):
    lab.answer(
        "1.1",
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\nraise Odd()",
    )
    outcome = lab.run(ONLY_1)
    assert outcome.tests()["test_three_becomes_six"] == "crash"
    assert "  >>> double(3)\n  Odd\n" in outcome.failure("test_three_becomes_six")


def test_what_an_answer_prints_is_shown_when_it_fails(lab):
    lab.answer("1.1", 'print("noise")\nreturn x')
    outcome = lab.run(ONLY_1)
    assert outcome.verdicts() == {"wrong", "pass"}
    assert "Captured stdout call" in outcome.text
    assert "\nnoise\n" in outcome.text


def test_what_an_answer_prints_does_not_matter_when_it_passes(lab):
    lab.answer_file(
        "1.1",
        lab.answer("1.1").read_text("utf-8")
        + 'import sys\nprint("noise\\x1b[31m")\nprint("more", file=sys.stderr)\n',
    )
    outcome = lab.run(ONLY_1)
    assert outcome.exit == 0
    assert "noise" not in outcome.text


def test_very_verbose_shows_the_traceback_of_pytest(lab):
    lab.answer("1.1", 'return x["a"]')
    text = lab.run("-vv", ONLY_1).text
    assert "it crashed" not in text
    assert "E       TypeError: 'int' object is not subscriptable" in text
    assert ">       assert answer.double(3) == 6" in text


def test_very_verbose_shows_the_traceback_of_an_import(lab):
    lab.answer_file("1.1", f"{TITLE}1 / 0\n")
    text = lab.run("-vv", ONLY_1).text
    assert "E   ZeroDivisionError: division by zero" in text
    assert "Unusable" not in text


def test_very_verbose_compares_as_pytest_does(lab):
    lab.answer("1.1", "return x")
    assert "E       assert 3 == 6" in lab.run("-vv", ONLY_1).text
