"""`kata.notebook.check`: functions and classes of notebook cells, under the tests of the course."""

import ast
import functools
import linecache
import os
import random
import re
import sys
import textwrap

import pytest

from kata import notebook
from kata.course import Course
from kata.notebook import NotebookError, check
from tests.meta import minicourse

RIGHT = """
def double(x):
    if x < 0:
        raise ValueError("x must not be negative")
    return x + x
"""
SQUARES = RIGHT.replace("x + x", "x * x")
TWO = '''\
"""1.1 Two functions   [easy, ~5 min]

Source: Euclid.
"""

LIMIT = 0


def double(x):
    """Twice."""
    # solution
    return x + x


def half(x):
    """Half."""
    # solution
    return x // 2
'''
TEST_TWO = """
def test_double(answer):
    assert answer.double(3) == 6

def test_half(answer):
    assert answer.half(answer.double(3)) == 3
"""


NOTHING = ast.parse("None").body[0]


class Notebook:
    """A notebook in the folder of a course: its global names, and what was printed last."""

    def __init__(self, lab, capsys):
        self.lab = lab
        self.names = {"__name__": "__main__", "check": check}
        self.text = ""
        self._capsys = capsys
        self._count = 0

    def cell(self, code):
        """Run a cell as IPython does, and return the value of its last line."""
        self._count += 1
        file, code = f"<ipython-input-{self._count}>", textwrap.dedent(code).strip() + "\n"
        linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
        body = ast.parse(code).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else NOTHING
        self._capsys.readouterr()
        try:
            exec(compile(ast.Module(body, []), file, "exec"), self.names)
            return eval(compile(ast.Expression(last.value), file, "eval"), self.names)
        finally:
            self.text, err = self._capsys.readouterr()
            assert err == ""


@pytest.fixture
def nb(lab, monkeypatch, capsys):
    monkeypatch.chdir(lab.root)
    return Notebook(lab, capsys)


def two_functions(lab):
    path = lab.course.solutions_dir / lab.course.find("1.1").path
    path.write_text(TWO, "utf-8")
    lab.answer_file("1.1", TWO)
    lab.test_file(TEST_TWO)
    lab.wrong_file("")


# ------------------------------------------------------------------------------ what is printed


def test_a_right_answer_passes(nb):
    assert nb.cell(RIGHT + 'check("1.1", double)') is True
    assert nb.text == "1.1 Twice a number: all 5 tests pass\n"


def test_a_wrong_answer_is_told_as_pytest_tells_it(nb):
    assert nb.cell(SQUARES + 'check("1.1", double)') is False
    nb.lab.answer("1.1", SQUARES.partition(":\n")[2].replace("\n    ", "\n").strip())
    told = nb.lab.run().failure("test_three_becomes_six")
    place = "exercises/ch01_demo/ex01_double.py:9"
    assert place in told
    assert told.replace(place, "<ipython-input-1>:1") in nb.text
    assert "looks like: The number was multiplied by itself." in told
    assert nb.text.startswith("1.1 Twice a number: 3 of 5 tests pass\n\n--- test_three_becomes_six")
    assert nb.text.endswith("\n\nstuck? !kata hint 1.1\n")


def test_a_test_that_fails_with_many_inputs_is_told_once(nb):
    nb.cell('def double(x):\n    return 1\ncheck("1.1", double)')
    assert re.findall("^--- (.*)", nb.text, re.MULTILINE) == [
        "test_three_becomes_six",
        "test_negative_number_is_refused",
        "test_agrees_with_the_reference, and with 2 other inputs",
    ]


def test_not_every_failure_is_told_at_length(nb, monkeypatch):
    monkeypatch.setattr(notebook, "SHOWN_FAILURES", 1)
    nb.cell('def double(x):\n    return 1\ncheck("1.1", double)')
    others = "test_negative_number_is_refused, test_agrees_with_the_reference"
    assert f"\n--- also failed: {others}\n" in nb.text


def test_a_crash_names_the_line_in_whichever_cell_it_is(nb):
    nb.cell("def helper(x):\n    assert x < 3, 'too much'\n    return 2 * x\n")
    nb.cell('def double(x):\n    return helper(x)\ncheck("1.1", double)')
    failure = nb.text.split("--- ")[1]
    assert "1.1 Twice a number: it crashed" in failure  # the cell's own assert is no check
    assert "AssertionError: too much" in failure
    assert "at <ipython-input-1>:2\n      assert x < 3, 'too much'\n" in failure
    assert "your code: <ipython-input-2>:1\n" in failure


def test_the_cause_of_a_failed_check_has_its_line(nb):
    nb.cell('def double(x):\n    return x.y\ncheck("1.1", double)')
    refused = nb.text.split("--- ")[2]
    assert "expected ValueError whose message contains" in refused
    assert "at <ipython-input-1>:2\n      return x.y\n" in refused


def test_what_is_printed_is_shown_beside_a_failure(nb):
    nb.cell(SQUARES.replace("return", "print('x is', x)\n    return") + 'check("1.1", double)')
    assert "\n  it printed:\n    x is 3\n" in nb.text
    assert "x is 0" not in nb.text  # there it was right


def test_a_cell_can_be_still_to_do(nb):
    stub = 'def double(x):\n    raise NotImplementedError("double")\n'
    assert nb.cell(stub + 'check("1.1", double)') is False
    assert nb.text == (
        "1.1 Twice a number: 0 of 5 tests pass, 5 still to do\n\nstuck? !kata hint 1.1\n"
    )


def test_another_not_implemented_error_is_a_crash(nb):
    nb.cell("import io\ndef double(x):\n    return io.IOBase().seek(x)\n")
    nb.cell('def double(x):\n    {}[NotImplementedError]\ncheck("1.1", double)')
    assert "KeyError" in nb.text
    assert "still to do" not in nb.text


def test_tests_that_cannot_run_here_are_no_failures(nb, monkeypatch):
    monkeypatch.setattr("kata.plugin.device_available", lambda name: name == "cpu")
    nb.lab.test_file("def test_three(answer, device):\n    assert answer.double(3) == 6\n")
    assert nb.cell(RIGHT + 'check("1.1", double)') is True
    assert nb.text == (
        "1.1 Twice a number: the test passes, 2 not run "
        "(this machine has no cuda device; this machine has no mps device)\n"
    )


def test_tests_that_are_broken_are_shown_as_they_are(nb):
    nb.lab.test_file("import nothing_of_that_name\n")
    assert nb.cell(RIGHT + 'check("1.1", double)') is False
    assert "the tests did not come to their end" in nb.text
    assert "No module named 'nothing_of_that_name'" in nb.text


# ------------------------------------------------------------------------------ what is checked


@pytest.mark.parametrize(
    "value", [lambda x: x + x, functools.partial(lambda y, x: x + x, 0), type("D", (), {})]
)
def test_another_name_is_given_by_keyword(nb, value):
    nb.lab.test_file("def test_three(answer):\n    answer.double\n    assert True\n")
    nb.names["value"] = value
    assert nb.cell('check("1.1", double=value)') is True


def test_helpers_are_looked_up_in_the_notebook_each_time(nb):
    refuse = "    if x < 0:\n        raise ValueError('x must not be negative')\n"
    nb.cell("def times(x):\n    return 3 * x\n")
    assert nb.cell(f'def double(x):\n{refuse}    return times(x)\ncheck("1.1", double)') is False
    nb.cell("def times(x):\n    return 2 * x\n")
    assert nb.cell('check("1.1", double)') is True


def test_what_is_not_passed_comes_from_the_file(nb):
    two_functions(nb.lab)
    assert nb.cell('def double(x):\n    return x + x\ncheck("1.1", double)') is True
    nb.lab.answer_file("1.1", TWO.replace("return x // 2", 'raise NotImplementedError("half")'))
    assert nb.cell('check("1.1", double)') is False
    assert nb.text.splitlines()[:2] == [
        "1.1 Two functions: 1 of 2 tests pass, 1 still to do",
        "Not passed, so taken from exercises/ch01_demo/ex01_double.py: half, LIMIT",
    ]
    assert nb.cell('def half(x):\n    return x // 2\ncheck("1.1", double, half)') is True


def test_an_error_in_the_file_names_its_line(nb):
    two_functions(nb.lab)
    nb.lab.answer_file("1.1", TWO.replace("return x // 2", "return x // nothing"))
    nb.cell('def double(x):\n    return x + x\ncheck("1.1", double)')
    assert "  at exercises/ch01_demo/ex01_double.py:18\n      return x // nothing\n" in nb.text
    assert "  your code: exercises/ch01_demo/ex01_double.py:15\n" in nb.text
    nb.lab.answer_file("1.1", TWO.replace("return x // 2", "return x //"))
    nb.cell('check("1.1", double)')
    assert "SyntaxError: invalid syntax\n  at exercises/ch01_demo/ex01_double.py:18\n" in nb.text


def test_other_exercises_are_the_references(nb):
    nb.lab.answer("1.1", "return 1 / 0")
    nb.lab.answer("1.2")
    nb.lab.test_file("def test_it(answer):\n    assert answer.pick([3], 1) == 6\n", "1.2")
    text = (nb.lab.course.solutions_dir / "ch01_demo" / "ex02_pick.py").read_text("utf-8")
    path = nb.lab.course.solutions_dir / "ch01_demo" / "ex02_pick.py"
    path.write_text(text + "\n\ndef other():\n    # solution\n    return 1\n", "utf-8")
    assert nb.cell('def other():\n    return 1\ncheck("1.2", other)') is True


def test_calls_of_methods_are_told(nb):
    nb.lab.test_file("def test_it(answer):\n    assert answer.double(3).value() == 6\n")
    nb.cell("""
        class Number:
            def __init__(self, x):
                self.x = x
            def value(self):
                return self.x
        """)
    code = """
        class double(Number):
            def __init__(self, x):
                super().__init__(x)
        check("1.1", double)"""
    before = dict(vars(nb.names["Number"]))
    assert nb.cell(code) is False
    assert "  >>> double(3)\n  >>> Number.value()\n  3\n\n  expected 6\n" in nb.text
    assert "your code: <ipython-input-1>:4\n" in nb.text
    assert dict(vars(nb.names["Number"])) == before
    assert nb.names["double"](4).value() == 4


# --------------------------------------------------------------------------- what is not changed


def test_nothing_is_written_down(nb):
    nb.cell(RIGHT + 'check("1.1", double)')
    assert not (nb.lab.root / ".kata").exists()
    assert not nb.lab.verdict_file.exists()


def test_the_kernel_goes_on_as_before(nb, monkeypatch):
    monkeypatch.setenv("CI", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-n 4")
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    mine = plt.figure()
    nb.cell("import random\nimport matplotlib.pyplot as plt\n")
    state, modules, out = random.getstate(), set(sys.modules), sys.stdout
    noisy = "random.random(); plt.figure()\n    return x + x"
    assert nb.cell(RIGHT.replace("return x + x", noisy) + 'check("1.1", double)') is True
    assert random.getstate() == state
    assert plt.get_fignums() == [mine.number]
    assert not [name for name in set(sys.modules) - modules if name.startswith("tests")]
    assert (os.environ["CI"], os.environ["PYTEST_ADDOPTS"], sys.stdout) == ("1", "-n 4", out)
    plt.close(mine)


def test_an_endless_loop_ends(nb):
    nb.lab.test_file(
        "import pytest\n\n@pytest.mark.timeout(0.3)\ndef test_it(answer):\n    answer.double(3)\n"
    )
    assert nb.cell('def double(x):\n    while True: pass\ncheck("1.1", double)') is False
    assert "1.1 Twice a number: it did not end" in nb.text
    assert "did not end within 0.3 s\n  at <ipython-input-1>:2\n" in nb.text


def test_code_that_cannot_be_interrupted_does_not_end_the_kernel(nb, monkeypatch):
    monkeypatch.setattr("kata.limit.GRACE_SECONDS", 0.2)
    nb.lab.test_file(
        "import pytest\n\n@pytest.mark.timeout(0.1)\ndef test_it(answer):\n    answer.double(3)\n"
    )
    code = """
        import time
        def double(x):
            end = time.monotonic() + 1
            while time.monotonic() < end:
                try:
                    time.sleep(0.05)
                except BaseException:
                    pass
        check("1.1", double)"""
    nb.cell(code)
    assert nb.text.startswith(notebook.STUCK)


def test_an_interrupted_kernel_is_interrupted(nb):
    with pytest.raises(KeyboardInterrupt):
        nb.cell('def double(x):\n    raise KeyboardInterrupt\ncheck("1.1", double)')
    assert nb.cell(RIGHT + 'check("1.1", double)') is True


@pytest.mark.parametrize("end", ["exit()", "import pytest; pytest.skip('no')"])
def test_code_that_wants_to_end_everything_only_fails(nb, end):
    nb.names["exit"] = sys.exit
    assert nb.cell(f'def double(x):\n    {end}\ncheck("1.1", double)') is False
    assert "1.1 Twice a number: it crashed" in nb.text


# --------------------------------------------------------------------------------- wrong usage


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('check("9.9", double)', "no exercise '9.9'; `kata list` shows them all"),
        ("check(1.1, double)", 'the number comes first, in quotes: check("1.1", ...)'),
        ("check(double)", 'the number comes first, in quotes: check("5.4", ...)'),
        ('check("1.1")', 'pass what you wrote: check("1.1", double)'),
        ('check("1.1", double(3))', 'an int has no name: pass .* what it is: check("1.1", double='),
        ('check("1.1", lambda x: 2 * x)', 'a lambda has no name: .*check("1.1", double=...)'),
        ('check("1.1", check)', "1.1 Twice a number has no `check`, only double."),
        ('check("1.1", double=double, duble=1)', "1.1 Twice a number has no `duble`, only double"),
        ('check("1.1", double, double=double)', "`double` is given twice"),
    ],
)
def test_wrong_usage_is_one_sentence(nb, call, message):
    pattern = re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(NotebookError, match=f"^{pattern}") as error:
        nb.cell(RIGHT + call)
    assert error.value._render_traceback_() == [f"kata: {error.value}"]


def test_the_course_is_found_from_elsewhere(nb, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    project = Course(minicourse.PROJECT)
    solution = project.solutions_dir / project.find("1.5").path
    nb.cell(solution.read_text("utf-8") + "\n    \n")
    assert nb.cell('check("1.5", merge_pair)') is True


def test_a_package_without_a_course_says_so(nb, tmp_path_factory, monkeypatch):
    lonely = tmp_path_factory.mktemp("lonely")
    monkeypatch.chdir(lonely)
    monkeypatch.setattr(notebook, "__file__", str(lonely / "kata" / "notebook.py"))
    monkeypatch.setattr("kata.course.__file__", str(lonely / "kata" / "course.py"))
    with pytest.raises(NotebookError, match=r"there is no course here.*pip install -e"):
        nb.cell(RIGHT + 'check("1.1", double)')


# ---------------------------------------------------------------------------- in a real kernel


def test_in_a_real_kernel(lab):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    sources = [
        "from kata.notebook import check",
        SQUARES + 'check("1.1", double)',
        RIGHT.strip() + '\ncheck("1.1", double)',
        'check("9.9", double)',
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook_ = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(
        notebook_,
        timeout=60,
        allow_errors=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(lab.root)}},
    ).execute()
    _, wrong, right, unknown = (cell.outputs for cell in notebook_.cells)
    assert "your code: Cell In[2], line 1\n" in wrong[0].text
    assert "looks like: The number was multiplied by itself." in wrong[0].text
    assert [o.get("name", "result") for o in wrong] == ["stdout", "result"]
    assert right[0].text == "1.1 Twice a number: all 5 tests pass\n"
    assert right[1].data["text/plain"] == "True"
    assert unknown[0].traceback == [
        "kata: no exercise '9.9'; `kata list` shows them all (example: kata hint 1.5)"
    ]
