"""The words of the checks, exactly."""

import collections
import subprocess
import sys

import pytest

from kata.check import explain, raises
from kata.text import alike, brief, described


def difference(actual, expected):
    """What `explain` says after the two values."""
    return explain(actual, expected)[2:]


# ---------------------------------------------------------------------------------- plain data


def test_values_stand_below_each_other():
    assert explain(3, 4) == ["got      3", "expected 4"]


def test_none_is_a_missing_return():
    assert explain(None, [1]) == ["got None: is a `return` missing?", "expected [1]"]


def iter_of_one():
    yield 1


DIFFERENCES = [
    ([1, 2, 3], [1, 5, 3], ["first difference at [1]: got 2, expected 5"]),
    ([1, 2], [1, 2, 3, 4], ["lengths differ: got 2, expected 4; the first one missing is 3"]),
    ([1, 2, 3], [1], ["lengths differ: got 3, expected 1; 2 elements too many, from 2"]),
    ([1, 2], [1], ["lengths differ: got 2, expected 1; 1 element too many, from 2"]),
    ([[1, 2], [3, 4]], [[1, 2], [3, 5]], ["first difference at [1][1]: got 4, expected 5"]),
    ([[1]], [[1, 2]], ["lengths differ at [0]: got 1, expected 2; the first one missing is 2"]),
    ([(1, 2)], [[1, 2]], ["first difference at [0]: got (1, 2), expected [1, 2]"]),
    (["1"], [1], ["first difference at [0]: got '1', expected 1"]),
    ((1, 2), (2, 1), ["first difference at [0]: got 1, expected 2"]),
    ((1, 2), [1, 2], ["got a tuple, expected a list"]),
    ([1], None, ["got a list, expected None"]),
    ("1", 1, ["got a str, expected an int"]),
    (True, 2, ["got a bool, expected an int"]),
    ((3,), 3, ["got a tuple, expected an int: a comma too many?"]),
    (
        iter_of_one(),
        [1],
        [
            "got a generator, expected a list: a generator does nothing until it is asked; "
            "list(...) collects what it yields"
        ],
    ),
    (iter_of_one, 1, ["got a function, expected an int: are the brackets of a call missing?"]),
    (1.5, 2, []),
    ("abc", "abd", ["first difference at character 2, after 'ab': got 'c', expected 'd'"]),
    ("ab", "abc", ["first difference at character 2, after 'ab': got the end, expected 'c'"]),
    ("abc", "ab", ["first difference at character 2, after 'ab': got 'c', expected the end"]),
    ("x", "y", ["first difference at character 0: got 'x', expected 'y'"]),
    (["ab"], ["ac"], ["first difference at [0] at character 1, after 'a': got 'b', expected 'c'"]),
    (b"ab", b"ac", ["first difference at [1]: got 98, expected 99"]),
    (b"ab", b"a", ["lengths differ: got 2, expected 1; 1 element too many, from 98"]),
    ({"a": 1}, {"a": 2}, ["first difference at ['a']: got 1, expected 2"]),
    ({"a": [1, 2]}, {"a": [1, 3]}, ["first difference at ['a'][1]: got 2, expected 3"]),
    ({}, {"a": 1, "b": 2}, ["missing key: 'a' and 1 more"]),
    ({"a": 1, "z": 2}, {"a": 1}, ["unexpected key: 'z'"]),
    ([{}], [{"a": 1}], ["missing key at [0]: 'a'"]),
    (collections.Counter("aab"), {"a": 2}, ["unexpected key: 'b'"]),
    ({1, 2, 3}, {2, 3, 4, 5}, ["missing: [4, 5]; unexpected: [1]"]),
    ({1}, {1, 2}, ["missing: [2]"]),
    (float("nan"), 1.0, []),
]


@pytest.mark.parametrize(("actual", "expected", "words"), DIFFERENCES)
def test_difference_in_words(actual, expected, words):
    assert difference(actual, expected) == words


def test_nan_in_a_list_is_no_difference_as_in_python():
    nan = float("nan")
    assert difference([nan, 1], [nan, 2]) == ["first difference at [1]: got 1, expected 2"]
    assert difference({"a": nan, "b": 1}, {"a": nan, "b": 2}) == [
        "first difference at ['b']: got 1, expected 2"
    ]


def test_unusual_characters_are_escaped():
    assert explain("a\ud800\x1b[31m\n", "a") == [
        r"got      'a\ud800\x1b[31m\n'",
        "expected 'a'",
        r"first difference at character 1, after 'a': got '\ud800', expected the end",
    ]


LONG = {
    "strings": ("x" * 10**6, "x" * 10**6 + "y"),
    "bytes": (b"x" * 10**6, b"y"),
    "lists": (list(range(10**5)), list(range(1, 10**5))),
    "nested": ([["word" * 10] * 100] * 100, [["other" * 10] * 100] * 100),
    "dicts": ({f"key {i}" * 9: "v" * 99 for i in range(1000)}, {}),
    "sets": ({"x" * i for i in range(500)}, set()),
    "ints": ([10**50] * 40, [10**400] * 40),
    "types": ([], {"k" * 500}),
}


@pytest.mark.parametrize("name", LONG)
def test_long_values_are_cut_before_pytest_cuts_them(name):
    lines = explain(*LONG[name])
    assert len(lines) == 3
    # pytest shortens an explanation of more than 640 characters, on a learner's screen only.
    assert sum(map(len, ["actual == expected", *lines])) <= 640


# ----------------------------------------------------------------------------- values in words

BRIEF = [
    ([], "[]"),
    ((1,), "(1,)"),
    ((), "()"),
    (set(), "set()"),
    (frozenset(), "frozenset()"),
    (frozenset({2, 1}), "frozenset({1, 2})"),
    ({3, 1, 2}, "{1, 2, 3}"),
    ({1: "a"}, "{1: 'a'}"),
    (collections.deque([1, 2]), "deque([1, 2])"),
    (collections.Counter("aab"), "Counter({'a': 2, 'b': 1})"),
    (collections.namedtuple("Pair", "a b")(1, 2), "Pair(a=1, b=2)"),
    (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, ...]"),
    ({i: i for i in range(9)}, "{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, ...}"),
    ([[[[[1]]]]], "[[[[[...]]]]]"),
    (-1, "-1"),
    (len, "len"),
    (int, "int"),
    (lambda x: x, "<lambda>"),
    (iter([]), "<list_iterator>"),
    ((i for i in []), "<generator object <genexpr>>"),
    (range(3), "range(0, 3)"),
    ("x" * 200, "'" + "x" * 57 + "..." + "x" * 57 + "'"),
]


@pytest.mark.parametrize(("value", "words"), BRIEF)
def test_value_in_few_words(value, words):
    assert brief(value) == words


def test_an_int_that_python_refuses_to_write_is_described():
    assert brief([10**10000]) == "[<an int of 33220 bits>]"


def test_a_list_inside_itself_ends():
    value = [1]
    value.append(value)
    assert brief(value) == "[1, [1, [1, [1, [...]]]]]"


def test_values_with_a_repr_of_their_own_do_no_harm():
    class Broken:
        def __repr__(self):
            raise ValueError

        def __getattr__(self, name):
            raise ValueError(name)

        def __call__(self):
            raise ValueError

    class Long:
        def __repr__(self):
            return "\x1b[2J" + "x" * 10**6

    class Plain:
        pass

    class deque:
        pass

    assert [brief(v) for v in (Broken(), Plain(), deque())] == ["<Broken>", "<Plain>", "<deque>"]
    assert len(brief(Long())) < 130
    assert brief(Long()).startswith(r"\x1b[2Jx")


# ------------------------------------------------------------------------------------ exceptions


def failing(expected, match, error):
    def block():
        if error is not None:
            raise error

    with pytest.raises(AssertionError) as caught, raises(expected, match):
        block()
    return str(caught.value)


def test_expected_error_is_accepted():
    with raises(ValueError, match=r"got \d+"):
        raise ValueError("p must be in (0, 1], got 7")
    with raises(LookupError):
        raise KeyError("x")


def test_an_error_that_is_not_raised_is_told():
    assert failing(ValueError, "", None) == "raised nothing\nexpected ValueError"
    assert failing(ValueError, "p", None) == (
        "raised nothing\nexpected ValueError whose message contains 'p'"
    )


def test_another_error_is_told():
    assert failing(ValueError, "", TypeError("no")) == ("raised TypeError: no\nexpected ValueError")
    assert failing(ValueError, "", KeyError()) == "raised KeyError\nexpected ValueError"


def test_another_message_is_told():
    assert failing(ValueError, "p must", ValueError("q must")) == (
        "raised ValueError: q must\nexpected ValueError whose message contains 'p must'"
    )


def test_what_ends_a_test_is_let_through():
    with pytest.raises(KeyboardInterrupt), raises(ValueError):
        raise KeyboardInterrupt


def test_long_errors_are_cut():
    assert len(described(ValueError("x" * 10**6))) < 220


# ------------------------------------------------------------------------------- what is imported


def imported(code):
    """The modules of torch, and hypothesis, that a fresh process has imported after `code`."""
    code += "\nimport sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {"torch", "numpy", "hypothesis", "transformers"} & set(done.stdout.split())


def test_checks_import_nothing_slow():
    assert imported("import kata.check, kata.plugin, kata.wrong") == set()


PATHS = {
    "/tmp/pytest-of-me/pytest-12/test_reads_files0/vocab.json": "tmp_path/vocab.json",
    "/tmp/pytest-of-me/pytest-12/popen-gw1/test_reads_files0/a": "tmp_path/a",
    r"C:\Users\me\AppData\Local\Temp\pytest-of-me\pytest-0\test_x0\a b": r"tmp_path\a b",
    "/home/me/course": "/home/me/course",
    "a /pytest-of- b": "a /pytest-of- b",
}


@pytest.mark.parametrize("path", PATHS)
def test_the_folder_of_a_test_is_its_fixture(path):
    assert brief(path) == repr(PATHS[path])


# ------------------------------------------------------------------------- messages that are alike

ALIKE = [
    ("got 1.2345, expected 2", "got 1.2346, expected 2", True),
    ("got 1.2345, expected 2", "got 1.25, expected 2", False),
    ("got 1, expected 2", "got 1.0001, expected 2", True),
    ("got 1000, expected 2", "got 1001, expected 2", False),
    ("got 1e-08, expected 2", "got 1.0001e-08, expected 2", True),
    ("got -0.5", "got 0.5", False),
    ("<f at 0x7f1>", "<f at 0x9a2>", True),
    ("got 1.0 of 2", "got 1.0", False),
    ("axis0=1", "axis1=1", False),
    ("got nan", "got nan", True),
    ("2.5 x", "2.5 y", False),
]


@pytest.mark.parametrize(("a", "b", "same"), ALIKE)
def test_rounding_makes_no_other_message(a, b, same):
    assert alike(a, b, 1e-3) is same
    assert alike(b, a, 1e-3) is same
