"""Exceptions across the wire: the same class where it is Python's own, text and place always."""

import builtins
import json
import linecache
import types
from pathlib import Path

import pytest

from kata.answer import is_stub
from kata.grading.errors import LONGEST, error_from_wire, error_to_wire
from kata.load import PREFIX
from kata.properties import given, settings, st
from kata.verdict import ELSEWHERE

TREE = Path(__file__).parent / "tree"
FILE = TREE / "ch01_demo" / "ex01_double.py"


def raised(error, *trees):
    """An exception as the other side gets it."""
    return error_from_wire(json.loads(json.dumps(error_to_wire(error, list(trees)))))


def caught(code, file=FILE, name="__main__"):
    """What the learner's code raises."""
    try:
        exec(compile(code, str(file), "exec"), {"__name__": name})
    except BaseException as error:
        return error
    raise AssertionError("it raises nothing")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("p must be positive"),
        ValueError(),
        ValueError("a", 2, 3.5, True),
        KeyError("missing"),
        KeyError(3),
        IndexError("list index out of range"),
        AssertionError("not so"),
        NotImplementedError("merge_pair"),
        StopIteration(5),
        StopIteration(),
        ZeroDivisionError("division by zero"),
        OverflowError(34, "Numerical result out of range"),
        FileNotFoundError(2, "No such file or directory"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError(),
        UserWarning("careful"),
    ],
    ids=repr,
)
def test_python_s_own_errors_arrive_as_they_are(error):
    got = raised(error)
    assert type(got) is type(error)
    assert got.args == error.args
    assert str(got) == str(error)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), UnicodeDecodeError),
        (FileNotFoundError(2, "No such file", "x.txt"), FileNotFoundError),
        (caught("import json; json.loads('{')"), ValueError),
        (caught("import decimal; decimal.Decimal('x')"), ArithmeticError),
        (caught("raise type('Mine', (KeyError, LookupError), {})('k')"), KeyError),
        (caught("raise type('Mine', (), {})"), TypeError),
        (ExceptionGroup("several", [ValueError(1)]), Exception),
        (ValueError([1, 2]), ValueError),
    ],
    ids=lambda x: repr(x)[:30],
)
def test_other_errors_keep_their_name_text_and_kind(error, base):
    got = raised(error)
    assert type(got).__name__ == type(error).__name__
    assert isinstance(got, base)
    assert str(got) == str(error)


def test_a_syntax_error_keeps_its_place():
    error = caught("x = 1\ndef f(:\n  pass")
    got = raised(error)
    assert type(got) is SyntaxError
    for name in ("msg", "filename", "lineno", "offset", "text"):
        assert getattr(got, name) == getattr(error, name)
    assert str(got) == str(error)


def test_tabs_are_an_error_of_their_own():
    got = raised(caught("if 1:\n\tx=1\n        y=1"))
    assert type(got) is TabError
    assert got.lineno == 3


@pytest.mark.parametrize(
    "code",
    [
        "class E(Exception):\n  def __str__(self): raise ValueError\nraise E",
        "class E(Exception):\n  def __str__(self): return 3\nraise E",
        "class E(Exception):\n  args = property(lambda self: 1 / 0)\nraise E",
        "class E(Exception):\n  __class__ = property(lambda self: 1 / 0)\nraise E",
        "class E(Exception):\n  __getattribute__ = lambda self, name: 1 / 0\nraise E",
        "class E(Exception):\n  def __init__(self): self.args = [[]]\nraise E",
        "raise ValueError(10 ** 9, 'x' * 10 ** 6)",
        "raise type('E', (Exception,), {'__module__': 3, '__qualname__': 'a.b c'})",
    ],
)
def test_an_error_that_misbehaves_arrives_somehow(code):
    got = raised(caught(code), TREE)
    assert isinstance(got, Exception)
    assert len(str(got)) < 2 * LONGEST


def test_a_long_text_is_cut():
    assert len(str(raised(ValueError("x" * 3_000_000)))) <= LONGEST


# --------------------------------------------------------------------------------- where it was


def test_the_place_is_the_learner_s_innermost_line():
    error = caught("def f():\n    import json\n    json.loads('{')\n\nf()\n")
    assert getattr(raised(error, TREE), ELSEWHERE) == (str(FILE), 3, [])
    assert getattr(raised(error, TREE / "ch02"), ELSEWHERE) is None


def test_a_folder_with_a_longer_name_is_not_the_tree():
    error = caught("1 / 0", file=Path(f"{TREE}2") / "ex.py")
    assert getattr(raised(error, TREE), ELSEWHERE) is None


def test_a_stub_says_so():
    code = "raise NotImplementedError('double')  # your code here\n"
    linecache.cache[str(FILE)] = (len(code), None, [code], str(FILE))
    try:
        stub = caught(code, name=f"{PREFIX}1.ch01_demo.ex01_double")
        shown = error_to_wire(stub, [TREE])
        assert is_stub(stub)
    finally:
        del linecache.cache[str(FILE)]
    assert shown["stub"]
    assert not error_to_wire(NotImplementedError("x"), [TREE])["stub"]


# ------------------------------------------------------------------------------------- malformed


@pytest.mark.parametrize(
    "name",
    [
        *("eval", "print", "type", "object", "int", "open", "builtins", "", ".", "builtins.", "os"),
        *("builtins.eval", "builtins.type", "builtins.object", "builtins.__import__"),
        *("os.system", "pytest.skip", "kata.verdict.TimeLimit", "kata.answer.Todo", "_pytest.X"),
    ],
)
def test_only_exceptions_are_made(name):
    got = error_from_wire({"types": [name], "text": "x"})
    assert type(got).__mro__[1:] == (Exception, BaseException, object) or type(got) is Exception
    assert str(got) == "x"


@pytest.mark.parametrize("kind", [c for c in vars(builtins).values() if isinstance(c, type)])
def test_every_builtin_name_gives_an_exception(kind):
    for args in ([], ["x"], [1, "a", 3.5]):
        got = error_from_wire({"types": [f"builtins.{kind.__name__}"], "text": "x", "args": args})
        assert isinstance(got, BaseException)
        assert isinstance(str(got), str)


def test_names_are_no_code():
    got = error_from_wire({"types": ["a.b c\n\x1b[31m", "builtins.KeyError"], "text": "x"})
    assert type(got).__name__ == "KeyError"
    assert isinstance(got, KeyError)


@pytest.mark.parametrize(
    "syntax", [None, [], [1, 2, 3, 4, 5], ["m", None, 10**30, -1, {}], ["m", "f", True, 2.5, "t"]]
)
def test_a_syntax_error_can_always_be_shown(syntax):
    got = error_from_wire({"types": ["builtins.SyntaxError"], "text": "x", "syntax": syntax})
    assert isinstance(got, SyntaxError)
    assert isinstance(str(got), str)
    assert got.lineno is None or 0 <= got.lineno < 2**31


def test_names_of_a_place_are_text_in_few_lines():
    where = ["f", 1, ["a\x1b\nb" + "c" * 999, 3, *"defghij"]]
    _, _, names = getattr(error_from_wire({"where": where}), ELSEWHERE)
    assert names[0].startswith("a\\x1b bccc")
    assert len(names[0]) < 210
    assert names[1:] == ["d", "e", "f", "g", "h"]


NO_PLACES = [None, [], "ab", [1, 2, []], ["f"], ["f", 1], ["f", "1", []], ["f", True, []]]


@pytest.mark.parametrize("where", [*NO_PLACES, [[], 1, []]])
def test_what_is_no_place_is_left_out(where):
    assert getattr(error_from_wire({"where": where}), ELSEWHERE) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=9,
)
fields = ("types", "text", "args", "where", "syntax", "stub")
types_of = st.lists(
    st.sampled_from(["builtins.KeyError", "builtins.SyntaxError", "x.Y"]) | anything
)


@settings(max_examples=100)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(fields, anything))
    | st.fixed_dictionaries({"types": types_of}, optional=dict.fromkeys(fields[1:], anything))
)
def test_anything_is_an_exception(shown):
    got = error_from_wire(shown)
    assert isinstance(got, BaseException)
    assert isinstance(str(got), str)
    assert got.__traceback__ is None
    assert set(vars(got)) <= {ELSEWHERE}
    assert not isinstance(got, types.FunctionType)
