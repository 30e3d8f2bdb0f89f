"""Graded hand-ins of the small course, made by hand: what the tests of marks and reports need."""

from kata.grading.model import Graded, Protection

DOUBLE, PICK = "demo/double", "demo/pick"
SENTENCE = "The number was multiplied by itself. Twice means two times the number."
PROTECTIONS = [
    Protection("file access", True, "Landlock"),
    Protection("own namespaces", False, "bubblewrap is not installed"),
]
# What a hand-in can put into a message, a call, a line of code and its own name.
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J"
    " nul\x00 bell\x07 \ud800 \ufffe \u202etxt.exe\u202c ]]> &lt; ``` ~~~ | [a](http://evil.example)"
    " ![b](//evil.example) @all http://evil.example www.evil.example 100%\r\n::error::forged\n"
    '::set-output name=x::y\n=HYPERLINK("http://evil.example")\n# heading\n</pre></details>'
)
HOSTILE_NAME = '=HYPERLINK("http://evil.example")<b>\x1b[1m\u202eanna\x00'


def outcome(verdict="pass", message="", where="", calls=(), looks_like=()):
    """One test of a verdict file."""
    return {
        "verdict": verdict,
        "message": message,
        "where": where,
        "calls": list(calls),
        "looks_like": list(looks_like),
    }


def row(tests, verdict=None, expected=None, diagnosis=()):
    """One exercise of a verdict file, from its tests by name."""
    counted = [t for t in tests.values() if t["verdict"] != "not run"]
    verdicts = [t["verdict"] for t in tests.values()]
    worst = next((v for v in verdicts if v != "pass"), "pass")
    return {
        "verdict": verdict or worst,
        "passed": verdicts.count("pass"),
        "expected": len(counted) if expected is None else expected,
        "diagnosis": list(diagnosis),
        "tests": tests,
    }


def graded(rows, name="anna", **fields):
    """A hand-in that was graded to the end."""
    values = {"complete": True, "protections": PROTECTIONS} | fields
    values.setdefault("seconds", dict.fromkeys(rows, 1.5))
    return Graded(name, {"schema": 1, "exercises": rows}, **values)


def anna(**fields):
    """One exercise wrong in two of five tests, the other not begun."""
    wrong = {
        "message": "got      9\nexpected 6",
        "calls": [">>> double(3)", "9"],
        "looks_like": [SENTENCE],
    }
    double = {
        "test_three_becomes_six": outcome("wrong", **wrong),
        "test_negative_number_is_refused": outcome(),
        "test_agrees_with_the_reference[0]": outcome(),
        "test_agrees_with_the_reference[2]": outcome(),
        "test_agrees_with_the_reference[10]": outcome(
            "crash",
            message="KeyError: 10",
            where="/srv/tree/ch01_demo/ex01_double.py:18\n    return table[x]",
            calls=[">>> double(10)", "KeyError: 10"],
        ),
    }
    names = ("first_place_is_one", "last_value_can_be_picked", "place_zero_is_refused")
    pick = {f"test_{name}": outcome("todo") for name in names}
    rows = {DOUBLE: row(double, diagnosis=[SENTENCE]), PICK: row(pick)}
    return graded(rows, **fields)


def mallory(**fields):
    """Everything that can be put into a hand-in, in all places."""
    tests = {
        "test_three_becomes_six": outcome(
            "crash", HOSTILE, f"/t/ch01_demo/ex01_double.py:3\n{HOSTILE}", [HOSTILE], [SENTENCE]
        ),
        "test_agrees_with_the_reference[0]": outcome(
            "wrong", "A" * 3_000_000, "", ["B" * 3_000_000]
        ),
        f"test_agrees_with_the_reference[{HOSTILE}]": outcome("wrong", "x" * 100 + HOSTILE),
    }
    values = {"problems": [HOSTILE], "tampered": [HOSTILE], "submitted": HOSTILE} | fields
    rows = {DOUBLE: row(tests), PICK: row({}, "missing", expected=1)}
    return graded(rows, HOSTILE_NAME, **values)
