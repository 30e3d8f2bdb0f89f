"""What a test gets as `answer`: the names of the exercise, and a record of the calls."""

import copy
import re

import pytest

from kata.answer import Answer, MissingName, Todo, Unusable, transcript
from kata.load import Source, fresh
from tests.meta import minicourse


@pytest.fixture
def load(tmp_path):
    """Loads an answer with this text."""
    course = minicourse.make_course(tmp_path)
    exercise = course.find("1.1")
    opened = []

    def answer(text, **options):
        (course.exercises_dir / exercise.path).write_text(text, "utf-8")
        block = fresh(Source(exercise, course.exercises_dir, (course.solutions_dir,)))
        opened.append(block)
        return Answer(block.__enter__(), **options)

    yield answer
    for block in opened:
        block.__exit__(None, None, None)


def test_calls_look_like_a_session(load):
    answer = load("def f(x, *, y=1):\n    return [x, y]\n")
    answer.f("a", y=2)
    answer.f(3)
    assert transcript(answer) == [">>> f('a', y=2)", "['a', 2]", ">>> f(3)", "[3, 1]"]


def test_only_the_last_calls_are_remembered(load):
    answer = load("def f(x):\n    return x\n")
    for i in range(10):
        answer.f(i)
    assert transcript(answer) == [">>> f(7)", "7", ">>> f(8)", "8", ">>> f(9)", "9"]


def test_only_outermost_calls_are_remembered(load):
    answer = load("def g(x):\n    return x\n\ndef f(h, n=3):\n    return h(n - 1) if n else g(0)\n")
    assert answer.g(1) == 1
    answer.f(lambda n: answer.f(answer.g, n))  # the test's own function calls back
    assert transcript(answer) == [">>> g(1)", "1", ">>> f(<lambda>)", "1"]


def test_a_call_after_a_failed_one_is_outermost_again(load):
    answer = load("def f(x):\n    return 1 // x\n")
    with pytest.raises(ZeroDivisionError):
        answer.f(0)
    answer.f(1)
    assert transcript(answer) == [
        ">>> f(0)",
        "ZeroDivisionError: integer division or modulo by zero",
        ">>> f(1)",
        "1",
    ]


def test_arguments_are_written_down_before_they_change(load):
    answer = load("def f(x):\n    x.clear()\n")
    values = [1, 2]
    answer.f(values)
    assert transcript(answer) == [">>> f([1, 2])", "None"]


def test_methods_of_every_kind_are_recorded(load):
    answer = load(
        "class Base:\n"
        "    def shared(self): return 'shared'\n"
        "class Box(Base):\n"
        "    size = 3\n"
        "    def __init__(self, x): self.x = x\n"
        "    def get(self, add=0): return self.inner() + add\n"
        "    def inner(self): return self.x\n"
        "    def __call__(self, y): return y\n"
        "    def __len__(self): return 5\n"
        "    @classmethod\n"
        "    def of(cls, x): return cls(x)\n"
        "    @staticmethod\n"
        "    def plain(x): return x\n"
        "    @property\n"
        "    def double(self): return 2 * self.inner()\n"
    )
    box = answer.Box(1)
    assert transcript(answer) == [">>> Box(1)"]
    assert (box.get(add=2), box(7), len(box)) == (3, 7, 5)
    assert transcript(answer) == [
        ">>> Box(1)",
        ">>> Box.get(add=2)",
        "3",
        ">>> Box.__call__(7)",
        "7",
    ]
    assert answer.Box.of(4).x == 4
    assert (answer.Box.plain(5), box.shared()) == (5, "shared")
    assert transcript(answer) == [
        ">>> Box.of(4)",
        "<Box>",
        ">>> Box.plain(5)",
        "5",
        ">>> Base.shared()",
        "'shared'",
    ]
    assert (box.double, answer.Box.size) == (2, 3)
    assert transcript(answer)[-2:] == [">>> Box.double", "2"]


def test_the_forward_of_a_module_is_recorded(load):
    torch = pytest.importorskip("torch")
    answer = load(
        "import torch\n"
        "class Twice(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.inner = torch.nn.Linear(2, 2)\n"
        "    def forward(self, x): return x + x\n"
    )
    module = answer.Twice()
    module(torch.ones(2, 3))
    assert transcript(answer) == [
        ">>> Twice()",
        ">>> Twice.forward(Tensor[2, 3; float32])",
        "Tensor[2, 3; float32]",
    ]
    assert set(module.state_dict()) == {"inner.weight", "inner.bias"}


def test_answers_in_other_styles_are_recorded(load):
    answer = load(
        "import functools, operator\n"
        "f = lambda x: x\n"
        "g = functools.partial(operator.add, 1)\n"
        "h = functools.lru_cache(f)\n"
        "i = abs\n"
    )
    assert (answer.f(1), answer.g(1), answer.h(1), answer.i(-1)) == (1, 2, 1, 1)
    assert transcript(answer) == [">>> g(1)", "2", ">>> h(1)", "1", ">>> i(-1)", "1"]


def test_a_generator_is_not_consumed(load):
    answer = load("def f(n):\n    yield from range(n)\n")
    assert list(answer.f(3)) == [0, 1, 2]
    assert transcript(answer) == [">>> f(3)", "<generator object f>"]


def test_huge_values_are_cut(load):
    answer = load("def f(x):\n    return x * 2\n")
    answer.f("x" * 10**6)
    answer.f(["y" * 10**6] * 10**5)
    assert all(len(line) < 300 for line in transcript(answer))


def test_values_that_cannot_be_written_do_no_harm(load):
    answer = load(
        "class Odd:\n"
        "    def __repr__(self): raise ValueError\n"
        "    def __eq__(self, other): raise ValueError\n"
        "    __hash__ = None\n"
        "def f(x): return Odd()\n"
    )
    odd = answer.f(answer.Odd())
    answer.f([odd, {"a": odd}])
    assert transcript(answer) == [
        ">>> f(<Odd>)",
        "<Odd>",
        ">>> f([<Odd>, {'a': <Odd>}])",
        "<Odd>",
    ]


def test_made_up_package_names_are_not_shown(load):
    answer = load(
        "class Box:\n    def __repr__(self): return f'<{type(self)}>'\ndef f(): return Box()\n"
    )
    answer.f()
    assert transcript(answer)[1] == "<<class 'ch01_demo.ex01_double.Box'>>"


def test_nothing_is_recorded_for_a_proof(load):
    answer = load("class Box:\n    def get(self): return 1\n", record=False)
    assert answer.Box().get() == 1
    assert transcript(answer) == []


# ------------------------------------------------------------------------------ stubs and errors


def test_a_stub_is_to_do(load):
    answer = load(
        "def f(x): raise NotImplementedError('f')\n"
        "class Box:\n    def get(self): raise NotImplementedError('Box.get')\n"
        "def g(x): return f(x)\n"
    )
    for call in (lambda: answer.f(1), lambda: answer.Box().get(), lambda: answer.g(1)):
        with pytest.raises(Todo):
            call()


def test_other_not_implemented_errors_are_errors(load):
    answer = load("import asyncio\ndef f(): asyncio.AbstractEventLoop().run_forever()\n")
    with pytest.raises(NotImplementedError):
        answer.f()


def test_a_missing_name_says_what_there_is(load):
    answer = load("import os\nfrom pathlib import Path\nSIZE = 3\ndef g(): pass\nclass Box: pass\n")
    with pytest.raises(Unusable) as caught:
        _ = answer.f
    assert isinstance(caught.value.error, MissingName)
    assert str(caught.value) == "ex01_double.py defines no `f`; it defines g, Box"


def test_a_broken_file_is_no_exception_that_a_test_expects(load):
    answer = load("def f(:\n")
    with pytest.raises(Unusable) as caught, pytest.raises(Exception):  # noqa: B017
        _ = answer.f
    assert isinstance(caught.value.error, SyntaxError)


def test_questions_of_python_itself_execute_nothing(load):
    answer = load("1 / 0\n")
    assert re.fullmatch(r"<answer to 1\.1 Twice a number>", repr(answer))
    assert not hasattr(answer, "__wrapped__")
    copy.copy(answer)
