"""The boundary: a learner's code in another process behaves as it does in this one.

A test that has `answer` runs twice, with the same code here and in a worker.
"""

import base64
import collections
import contextlib
import copy
import functools
import itertools
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kata.answer import Unusable
from kata.grading.judge import Workers
from kata.grading.station import Station
from kata.load import PREFIX
from kata.tensors import Watch
from tests.meta import minicourse

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: there is no fork here"),
    pytest.mark.timeout(60),
]
TREE = Path(__file__).parent / "tree"
FILE = TREE / "ch01_demo" / "ex01_double.py"
HEAD = "import collections, itertools, math, os, sys\nimport torch\nfrom torch import nn\n"


class Names:
    """What a learner's file defines, through a peer."""

    def __init__(self, peer):
        self.peer = peer

    def __getattr__(self, name):
        return self.peer.request("attribute", name=name)


def here(code):
    """The same in this process."""
    module = types.ModuleType(f"{PREFIX}0.ch01_demo.ex01_double")
    exec(compile(HEAD + code, str(FILE), "exec"), vars(module))
    return module


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    course = minicourse.make_course(tmp_path_factory.mktemp("course"))
    with Station(course) as station:
        place = station._place
        yield Workers(station._to_workers, place, off=[], readable=[], seed=0)


@pytest.fixture
def there(workers):
    """Starts a worker with a learner's code, and gives its names."""
    started = []

    def start(code):
        data = base64.b64encode((HEAD + code).encode()).decode()
        names = {"chapter": "ch01_demo", "name": "ex01_double", "title": "1.1 Demo"}
        texts = {"ch01_demo/ex01_double": [str(FILE), data]}
        started.append(workers.new(names | {"tree": str(TREE), "texts": texts}))
        started[-1].peer.files = frozenset([str(FILE)])
        return Names(started[-1].peer)

    yield start
    for worker in started:
        worker.end()


@pytest.fixture(params=["here", "there"])
def answer(request):
    """Takes a learner's code, and gives its names: once in this process, once in a worker."""
    if request.param == "here":
        state = torch.get_rng_state()
        yield here
        torch.set_rng_state(state)
    else:
        yield request.getfixturevalue("there")


def grads(*tensors):
    return [None if x.grad is None else x.grad.tolist() for x in tensors]


# ---------------------------------------------------------------------------------- plain data

ECHO = "def echo(x): return x\ndef kind(x): return f'{type(x).__name__} {x!r}'\n"
Point = collections.namedtuple("Point", "x y")
PLAIN = [
    *(None, True, False, 0, -7, 2**200, 0.1, -0.0, float("inf"), 1 + 2j, "", "ü\n\x00😀", "\ud800"),
    *(b"", b"\x00\xff", bytearray(b"ab"), range(1, 9, 2), slice(1, None, 2), ...),
    *(torch.float32, torch.bool, torch.device("cpu"), torch.device("cuda:1"), torch.Size([2, 3])),
    *([], [1, [2, [3]]], (), (1, (2,)), {}, {"a": {"b": [1]}}, {1: 2, (1, 2): "x", None: 0}),
    *({1, 2}, set(), frozenset({1, 2}), {frozenset({1}): 1}),
    *(collections.Counter("aab"), collections.OrderedDict(b=1, a=2)),
    Path("a/b"),
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda x: repr(x)[:30])
def test_plain_data_arrives_and_comes_back(there, value):
    answer = there(ECHO)
    got = answer.echo(value)
    assert type(got) is type(value)
    assert got == value
    assert repr(got) == repr(value)
    assert answer.kind(value) == f"{type(value).__name__} {value!r}"


def test_nan_comes_back(there):
    got = there(ECHO).echo([float("nan")])
    assert got[0] != got[0]


def test_named_tuples_keep_their_names(answer):
    answer = answer(ECHO + "P = collections.namedtuple('P', 'a b')\ndef made(): return P(1, [2])")
    got = answer.echo(Point(1, torch.ones(2)))
    assert (got.x, got.y.tolist(), got._fields, type(got).__name__) == (
        1,
        [1, 1],
        ("x", "y"),
        "Point",
    )
    assert answer.made() == (1, [2])
    assert answer.made().b == [2]


@pytest.mark.parametrize(
    "value",
    [
        *(np.arange(6).reshape(2, 3), np.arange(6.0)[::2], np.zeros((0, 2), np.float16)),
        *(np.array(5), np.float32(3.5), np.int64(-1), np.array([True, False]), np.ones(2, ">i4")),
        *(np.array([1j]), np.asfortranarray(np.arange(6).reshape(2, 3))),
    ],
    ids=repr,
)
def test_arrays_arrive_and_come_back(there, value):
    got = there(ECHO).echo([value])[0]
    assert type(got) is type(value)
    assert (got.dtype, got.shape) == (value.dtype, value.shape)
    assert np.array_equal(got, value)


@pytest.mark.parametrize(
    "value",
    [
        *(torch.randn(2, 3).T, torch.tensor(True), torch.empty(0, 2, dtype=torch.int8)),
        *(torch.empty(2, 3, device="meta"), torch.tensor([torch.nan, -0.0], dtype=torch.bfloat16)),
    ],
    ids=lambda x: f"{x.dtype} {tuple(x.shape)} {x.device}",
)
def test_tensors_arrive_and_come_back(there, value):
    answer = there(ECHO + "def copied(x): return x.clone()")
    got = answer.copied(value)
    assert type(got) is torch.Tensor
    assert (got.dtype, got.shape, got.device, got.stride()) == (
        *(value.dtype, value.shape, value.device, value.stride()),
    )
    torch.testing.assert_close(got, value, rtol=0, atol=0, equal_nan=True)


def test_a_result_of_torch_is_a_tuple(there):
    values, indices = there("def top(x): return x.topk(2)").top(torch.tensor([1.0, 3.0, 2.0]))
    assert values.tolist() == [3, 2]
    assert indices.tolist() == [1, 2]


def test_a_subclass_of_a_tensor_is_no_tensor(there):
    answer = there("class T(torch.Tensor): pass\ndef made(): return torch.ones(2).as_subclass(T)")
    assert not isinstance(answer.made(), torch.Tensor)


@pytest.mark.parametrize(
    "code",
    [
        "class L(list): pass\ndef f(): return L()",
        "class S(str): __eq__ = lambda *_: True\ndef f(): return S()",
        "class I(int): __eq__ = lambda *_: True\ndef f(): return I(3)",
        "class D(dict): __eq__ = lambda *_: True\ndef f(): return D()",
        "class X:\n  __eq__ = lambda *_: True\n  __hash__ = lambda _: 0\ndef f(): return X()",
        "class C(type):\n  __eq__ = lambda *_: True\n  __hash__ = type.__hash__\n"
        "class X(metaclass=C): pass\ndef f(): return X",
        "class F(float): __eq__ = lambda *_: True\ndef f(): return F(1)",
        "class B: __class__ = property(lambda _: bool)\ndef f(): return B()",
        "class X:\n  __lt__ = __gt__ = __contains__ = __bool__ = __add__ = lambda *_: True\n"
        "def f(): return X()",
    ],
)
def test_an_object_of_the_worker_equals_nothing(there, code):
    got = there(code).f()
    assert not any(got == x for x in ([], "", 3, {}, 0, None, True, 1.0, int))
    assert not isinstance(got, (list, str, int, float, dict))
    for compare in (lambda: 1 in got, lambda: got < 1, lambda: got + 1 == 2):
        with contextlib.suppress(TypeError):
            assert not compare()


def test_a_with_of_the_worker_swallows_nothing(there):
    answer = there(
        "class W:\n  def __enter__(self): return 1\n  def __exit__(self, *_): return True\n"
        "def f(): return W()"
    )
    with pytest.raises(TypeError), answer.f():
        pass


# ------------------------------------------------------------------------------------- identity


class Double:
    """What a test hands over in the place of something large."""

    table = (1, 2)

    def __init__(self):
        self.calls = []
        self.secret = 42

    def __call__(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        return len(self.calls)

    def twice(self, x):
        return 2 * x

    @property
    def size(self):
        return 7


class Model(nn.Module):
    """A model of a test's own, which counts its calls."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("steps", torch.zeros(()))
        self.width = 2
        self.calls = 0

    def forward(self, x, *, shift=0.0):
        self.calls += 1
        return self.inner(x) * self.scale + shift


@pytest.mark.parametrize(
    "value",
    [
        *([1], {"a": 1}, {1}, torch.ones(2), nn.Parameter(torch.ones(2)), torch.ones(2) * 1),
        *(Double(), Double().twice, lambda: 1, Double, nn.Linear(2, 2), Model(), iter([1])),
        *(torch.Generator(), torch.default_generator),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_was_handed_over_comes_back_itself(answer, value):
    got = answer(ECHO).echo(value)
    assert got is value or (got == value and isinstance(value, types.MethodType))


def test_objects_of_the_worker_keep_their_identity(answer):
    answer = answer(
        "class A: pass\na, model, w = A(), nn.Linear(2, 2), torch.ones(2, requires_grad=True)\n"
        "def f(): return a\ndef made(): return model, model.weight, w\n"
        "def same(*things): return [x is y for x, y in zip(things, (a, model, model.weight, w))]"
    )
    a, (model, weight, w) = answer.f(), answer.made()
    assert answer.f() is a
    assert answer.made()[0] is model
    assert model.weight is weight
    assert answer.same(a, model, weight, w) == [True] * 4


def test_two_names_of_one_argument_are_one(answer):
    answer = answer("def f(x, y, z): return x is y, z[0] is x")
    x, xs = torch.ones(2), [1]
    assert answer.f(x, x, [x]) == (True, True)
    assert answer.f(xs, xs, [xs]) == (True, True)


# ------------------------------------------------------------------------------------- in place


@pytest.mark.parametrize(
    ("code", "value", "expected"),
    [
        ("x.append(4)", [1], [1, 4]),
        ("x[0], x[1:] = 9, []", [1, 2, 3], [9]),
        ("x.sort(reverse=True)", [1, 3, 2], [3, 2, 1]),
        ("x[0].append(2)", [[1]], [[1, 2]]),
        ("x['a']['b'] = [1]", {"a": {}}, {"a": {"b": [1]}}),
        ("del x['a']; x['c'] = 1", {"a": 1, "b": 2}, {"b": 2, "c": 1}),
        ("x.discard(1); x.add(5)", {1, 2}, {2, 5}),
        ("x[0].add(3)", ({1},), ({1, 3},)),
        ("x.append(x[0])", [[1]], [[1], [1]]),
        ("x[0] = x[0]", [1000], [1000]),
    ],
)
def test_changes_of_containers_come_back(answer, code, value, expected):
    value = copy.deepcopy(value)
    answer(f"def f(x): {code}").f(value)
    assert value == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x.add_(1)", [2, 2, 2]),
        ("x[1:] = 5", [1, 5, 5]),
        ("x.data = torch.zeros(2)", [0, 0]),
        ("x.data = x.data.double() / 3", [1 / 3] * 3),
        ("x.resize_(1)", [1]),
        ("x.requires_grad_(); (x * x).sum().backward(); x.requires_grad_(False)", [1, 1, 1]),
        ("x.unsqueeze_(0)", [[1, 1, 1]]),
    ],
)
def test_changes_of_tensors_come_back(answer, code, expected):
    x = torch.ones(3)
    answer(f"def f(x):\n  {code}").f(x)
    assert x.tolist() == expected


def test_gradients_that_a_function_sets_come_back(answer):
    answer = answer(
        "def f(p): (p * p).sum().backward()\ndef halve(p): p.grad.mul_(0.5)\n"
        "def drop(p): p.grad = None\ndef has(p): return p.grad is not None and p.grad.tolist()"
    )
    p = nn.Parameter(torch.tensor([1.0, 2.0]))
    p.grad = torch.ones(2)
    answer.f(p)
    assert p.grad.tolist() == [3, 5]
    answer.halve(p)
    assert answer.has(p) == p.grad.tolist() == [1.5, 2.5]
    answer.drop(p)
    assert p.grad is None
    p.grad = torch.ones(2)
    assert answer.has(p) == [1, 1]


def test_changes_here_are_seen_there(answer):
    answer = answer(
        "kept = []\ndef keep(x): kept.append(x)\ndef total(): return kept[0].sum().item()"
    )
    model = nn.Linear(2, 1, bias=False)
    answer.keep(model.weight)
    nn.init.ones_(model.weight)
    assert answer.total() == 2


def test_a_list_changed_by_a_callback_is_seen_during_the_call(answer):
    answer = answer("def f(xs, change):\n  change()\n  return len(xs)")
    xs = [1]
    assert answer.f(xs, lambda: xs.append(2)) == 2


def test_tensors_that_a_function_puts_into_a_list_arrive(answer):
    answer = answer(
        "def f(xs, w):\n  xs.append(torch.ones(2))\n  xs.append(w * 3)\n  return (w * w).sum()"
    )
    xs, w = [], torch.tensor([1.0, 2.0], requires_grad=True)
    loss = answer.f(xs, w)
    assert xs[0].tolist() == [1, 1]
    (xs[1].sum() + loss).backward()
    assert w.grad.tolist() == [5, 7]


def test_a_judge_may_refuse_changes(there):
    answer = there(
        "def f(x, xs, d):\n  x.zero_()\n  xs.clear()\n"
        "  d['a'][0] = 5\n  return x.sum().item(), xs\n"
        "def seen(x): return x.tolist()"
    )
    answer.peer.keep_changes = False
    x, xs, d = torch.ones(2), [1], {"a": [1]}
    assert not answer.peer.changed_arguments
    assert answer.f(x, xs, d) == (0.0, [])
    assert answer.peer.changed_arguments
    assert (x.tolist(), xs, d) == ([1, 1], [1], {"a": [1]})
    assert answer.seen(x) == [1, 1]


@pytest.mark.parametrize("keep", [True, False])
def test_what_was_changed_and_returned_is_right_whatever_the_judge_keeps(there, keep):
    answer = there("def f(x):\n  x *= 2\n  return x\ndef g(xs):\n  xs.sort()\n  return xs")
    answer.peer.keep_changes = keep
    for _ in range(2):
        x, xs = torch.ones(2), [3, 1]
        assert answer.f(x).tolist() == [2, 2]
        assert answer.g(xs) == [1, 3]
        assert x.tolist() == ([2, 2] if keep else [1, 1])
        assert xs == ([1, 3] if keep else [3, 1])


@pytest.mark.parametrize(
    "code", ["return x + 1", "xs[0]; x.clone().zero_()", "y = list(xs); y.clear()"]
)
def test_nothing_is_said_to_change_that_does_not(there, code):
    answer = there(f"def f(x, xs): {code}")
    answer.f(torch.ones(2), [[1000], {"a": 2.5}])
    assert not answer.peer.changed_arguments


# ------------------------------------------------------------------------------ calls both ways


def test_a_callback_gets_what_it_is_given(answer):
    answer = answer("def f(call): return call(1, [2], key={'a': torch.ones(2)})")
    args, kwargs = answer.f(lambda *args, **kwargs: (args, kwargs))
    assert args == (1, [2])
    assert kwargs["key"]["a"].tolist() == [1, 1]


def test_calls_nest(answer):
    answer = answer("def down(n, up): return [n, *(up(n - 1) if n else [])]")

    def up(n):
        return [-n, *(answer.down(n - 1, up) if n else [])]

    assert answer.down(9, up) == [9, -8, 7, -6, 5, -4, 3, -2, 1, 0]


def test_a_callback_may_be_kept(answer):
    answer = answer("kept = []\ndef keep(f): kept.append(f)\ndef call(x): return kept[0](x)")
    answer.keep(lambda x: x + 1)
    assert answer.call(3) == 4


def test_functions_of_the_worker_are_called_there(answer):
    answer = answer(
        "import functools\ndef adder(n): return lambda x, *, by=1: x + n * by\n"
        "def apply(f, x): return f(x)\ndef partial(): return functools.partial(pow, 2)"
    )
    add = answer.adder(5)
    assert add(1) == 6
    assert add(1, by=2) == 11
    assert answer.apply(add, 10) == 15
    assert answer.partial()(5) == 32


CLASS = """
class Box:
    shared = [1]
    def __init__(self, size, *, name="box"):
        self.size, self.name, self.items = size, name, []
    def put(self, x):
        self.items.append(x)
        return self
    @property
    def full(self): return len(self.items) >= self.size
    @staticmethod
    def helper(x): return -x
    @classmethod
    def of(cls, *items):
        box = cls(len(items))
        box.items.extend(items)
        return box
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]
    def __call__(self, x, y=0): return x * self.size + y
    def __repr__(self): return "a box"
"""


def test_objects_of_the_worker_behave(answer):
    Box = answer(CLASS).Box
    box = Box(2, name="b")
    assert (box.size, box.name, box.items, box.full) == (2, "b", [], False)
    assert box.put(1).put(torch.ones(1)) is box
    assert box.full
    assert len(box) == 2
    assert box[0] == 1
    assert [type(x).__name__ for x in box] == ["int", "Tensor"]
    assert box(5, y=1) == 11
    assert Box.helper(3) == -3
    assert Box.of(7, 8).items == [7, 8]
    assert Box.shared == [1]
    box.size = 10
    assert box(5) == 50
    assert not box.full
    with pytest.raises(AttributeError, match="colour"):
        box.colour  # noqa: B018
    put = box.put
    put(3)
    assert box.items[2] == 3


def test_lists_of_an_object_stay_in_step(answer):
    box = answer(CLASS).Box(2)
    items = box.items
    box.put(1)
    assert items == [1]
    items.append(2)
    assert len(box) == 2


def test_objects_are_copied_there(answer):
    box = answer(CLASS).Box(2).put([1])
    other = copy.deepcopy(box)
    other.put(2)
    assert (len(box), len(other)) == (1, 2)


def test_objects_of_a_test_behave(answer):
    answer = answer(
        "def f(d): return d(1, a=2), d(3), d.twice(4), d.size, d.table, bool(d)\n"
        "def unknown(d): return hasattr(d, 'colour')"
    )
    double = Double()
    assert answer.f(double) == (1, 2, 8, 7, (1, 2), True)
    assert double.calls == [((1,), {"a": 2}), ((3,), {})]
    assert not answer.unknown(double)


@pytest.mark.parametrize("name", ["secret", "calls", "_hidden", "__wrapped__", "a.b"])
def test_what_a_double_knows_stays_with_the_test(there, name):
    answer = there("def read(d, name): return getattr(d, name)")
    with pytest.raises(AttributeError):
        answer.read(Double(), name)


def test_nothing_of_a_double_can_be_set(there):
    double = Double()
    with pytest.raises(AttributeError):
        there("def f(d): d.secret = 0").f(double)
    assert double.secret == 42


# ------------------------------------------------------------------------------------ iterators


def test_generators_of_the_worker_are_lazy(answer):
    answer = answer(
        "seen = []\ndef count(n):\n  for i in range(n):\n"
        "    seen.append(i)\n    yield i\n  return 'end'\n"
        "def so_far(): return list(seen)"
    )
    numbers = answer.count(3)
    assert iter(numbers) is numbers
    assert answer.so_far() == []
    assert next(numbers) == 0
    assert answer.so_far() == [0]
    assert list(numbers) == [1, 2]
    assert list(numbers) == []
    assert next(numbers, "over") == "over"
    with pytest.raises(StopIteration) as end:
        answer.count(0).__next__()
    assert end.value.value == "end"
    assert list(itertools.islice(answer.count(10**9), 2)) == [0, 1]


def batches():
    for i in range(4):
        yield torch.full((2,), float(i))


@pytest.mark.parametrize(
    "make",
    [
        batches,
        lambda: iter([torch.zeros(2), torch.ones(2), torch.ones(2) * 2]),
        lambda: zip([torch.zeros(2), torch.ones(2)], [1, 2], strict=True),
        lambda: map(torch.ones, itertools.count(1)),
        lambda: (x for x in [torch.ones(1)] * 3),
        lambda: iter({"a": torch.ones(1), "b": 2}.items()),
    ],
)
def test_an_iterator_is_read_as_far_as_the_answer_reads(answer, make):
    answer = answer("def first(xs): return next(iter(xs))")
    one, other = make(), make()
    assert repr(answer.first(one)) == repr(next(other))
    assert repr(next(one)) == repr(next(other))


def test_a_sequence_of_a_test_can_be_read_again(answer):
    answer = answer(
        "def f(xs): return [sum(xs), len(xs), xs[1], xs[-1], 3 in xs, list(xs), xs[:2]]"
    )
    assert answer.f([1, 2, 3]) == [6, 3, 2, 3, True, [1, 2, 3], [1, 2]]


class Rows:
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return [10, 20][i]


def test_a_sequence_of_a_test_s_own_kind_is_asked(answer):
    assert answer("def f(xs): return len(xs), xs[1], list(xs), 20 in xs").f(Rows()) == (
        *(2, 20, [10, 20], True),
    )


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("code", "error", "match"),
    [
        ("raise ValueError('p must be positive')", ValueError, "^p must be positive$"),
        ("{}['missing']", KeyError, "missing"),
        ("[][5]", IndexError, "list index out of range"),
        ("torch.ones(2) @ torch.ones(3)", RuntimeError, "size"),
        ("class Mine(LookupError): pass\n  raise Mine('x')", LookupError, "^x$"),
        ("f()", RecursionError, "recursion"),
        ("assert 1 == 2, 'no'", AssertionError, "no"),
        ("raise StopIteration", StopIteration, ""),
        ("sys.exit(3)", SystemExit, "3"),
        ("raise KeyboardInterrupt", KeyboardInterrupt, ""),
        ("raise GeneratorExit", GeneratorExit, ""),
        ("import no_such_module", ModuleNotFoundError, "no_such_module"),
        ("exec('f(')", SyntaxError, "never closed"),
        ("open('/no/such/file')", OSError, ""),
        ("raise ExceptionGroup('two', [ValueError()])", Exception, "two"),
    ],
)
def test_errors_of_the_worker_arrive(answer, code, error, match):
    answer = answer(f"def f():\n  {code}")
    with pytest.raises(error, match=match or None):
        answer.f()
    with pytest.raises(error):  # it goes on
        answer.f()


def test_an_error_has_the_learner_s_line(there):
    with pytest.raises(ValueError, match="x") as caught:
        there("def f():\n  g()\ndef g():\n  raise ValueError('x')").f()
    assert caught.value.__kata_where__ == (str(FILE), HEAD.count("\n") + 4)


def test_no_error_has_the_line_of_another_file(there):
    answer = there("def f(file):\n  exec(compile('1 / 0', file, 'exec'))\n")
    answer.peer.files = frozenset()
    with pytest.raises(ZeroDivisionError) as caught:
        answer.f(__file__)
    assert caught.value.__kata_where__ is None


def test_an_error_of_a_callback_is_the_same_when_it_comes_back(answer):
    class Mine(Exception):
        pass

    error = Mine("from the test")

    def fail():
        raise error

    answer = answer(
        "def through(call): return call()\n"
        "def caught(call):\n  try: call()\n"
        "  except Exception as e: return type(e).__name__, str(e)\n"
        "def again(call):\n  try: call()\n"
        "  except Exception as e: raise ValueError('mine') from e\n"
        "def finished(call):\n  try: call()\n  finally: kept.append(1)\nkept = []"
    )
    for name in ("through", "finished"):
        with pytest.raises(Mine) as caught:
            getattr(answer, name)(fail)
        assert caught.value is error
    assert answer.caught(fail) == ("Mine", "from the test")
    with pytest.raises(ValueError, match="mine"):
        answer.again(fail)


def test_an_error_of_the_worker_passes_through_a_callback(answer):
    answer = answer(
        "class Mine(Exception): pass\nkept = []\n"
        "def fail(): kept.append(Mine('x')); raise kept[-1]\n"
        "def f(call):\n  try: call()\n  except Mine as e: return e is kept[-1]\n"
    )
    assert answer.f(lambda: answer.fail())


def test_a_callback_s_generator_ends_where_it_ends(answer):
    answer = answer("def f(xs): return [x for x in xs]\ndef g(xs):\n  while True: yield next(xs)")
    assert answer.f(x for x in range(3)) == [0, 1, 2]
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(answer.g(iter([1])))


# -------------------------------------------------------------------------------------- modules

NET = """
class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("cache", torch.ones(2), persistent=False)
        self.eps, self.bias = 1e-5, None
    def forward(self, x):
        if self.training: self.seen += 1
        return x * self.weight

class Net(nn.Module):
    def __init__(self, size=2):
        super().__init__()
        self.embed = nn.Embedding(5, size)
        self.norms = nn.ModuleList([Norm(size), Norm(size)])
        self.seq = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Dropout(0.5))
        self.named = nn.ModuleDict({"a": nn.Linear(size, size)})
        self.head = nn.Linear(size, 5, bias=False)
        self.head.weight = self.embed.weight
        self.size = size
        nn.init.normal_(self.embed.weight, generator=torch.Generator().manual_seed(1))
    def forward(self, ids, scale=1.0):
        x = self.embed(ids)
        for norm in self.norms: x = norm(x)
        return self.head(self.named["a"](self.seq(x))) * scale
    def count(self): return sum(p.numel() for p in self.parameters())
    def modes(self): return [m.training for m in self.modules()]
    def dtypes(self): return sorted({str(p.dtype) for p in self.parameters()})
    @property
    def tied(self): return self.head.weight is self.embed.weight
"""
IDS = torch.tensor([[0, 3, 1]])


def net(answer):
    """A model with the same weights wherever it is made."""
    torch.manual_seed(3)
    model = answer(NET).Net(2)
    return model.eval()


def test_a_module_looks_as_it_is(answer):
    model = net(answer)
    assert isinstance(model, nn.Module)
    assert type(model).__name__ in ("Net", "RemoteModule")
    assert [name for name, _ in model.named_parameters()] == [
        *("embed.weight", "norms.0.weight", "norms.1.weight", "seq.0.weight", "seq.0.bias"),
        *("named.a.weight", "named.a.bias"),
    ]
    assert [name for name, _ in model.named_buffers()] == [
        f"norms.{i}.{name}" for i in (0, 1) for name in ("seen", "cache")
    ]
    assert [n for n in model.state_dict() if "norms.0" in n] == ["norms.0.weight", "norms.0.seen"]
    assert model.head.weight is model.embed.weight
    assert model.tied
    assert all(isinstance(p, nn.Parameter) for p in model.parameters())
    assert (len(model.norms), len(model.seq)) == (2, 3)
    assert model.norms[1] is list(model.norms)[1]
    assert model.named["a"] is model.get_submodule("named.a")
    assert (model.size, model.norms[0].eps, model.norms[0].bias) == (2, 1e-5, None)
    assert model.count() == 26
    with pytest.raises(AttributeError):
        model.colour  # noqa: B018


def test_a_module_computes(answer):
    model = net(answer)
    expected = net(lambda code: here(code))(IDS)
    assert torch.equal(model(IDS), expected)
    assert torch.equal(model(ids=IDS, scale=2.0), 2 * expected)
    assert torch.equal(model.forward(IDS), expected)


def test_the_mode_crosses(answer):
    model = net(answer)
    assert not any(model.modes())
    model.train()
    assert all(model.modes())
    assert all(m.training for m in model.modules())
    model.seq[2].eval()
    assert model.modes().count(False) == 1
    model(IDS)
    assert model.norms[0].seen == 1
    model.eval()
    model(IDS)
    assert model.norms[0].seen == 1


def test_other_dtypes_and_devices_cross(answer):
    model = net(answer).to(torch.float64)
    assert model.dtypes() == ["torch.float64"]
    assert model(IDS).dtype == torch.float64
    model.to("meta")
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert model(IDS.to("meta")).is_meta


def test_a_state_dict_can_be_loaded(answer):
    model, other = net(answer), here(NET).Net(2)
    assert model.load_state_dict(other.state_dict()).missing_keys == []
    assert torch.equal(model(IDS), other.eval()(IDS))
    assert model.tied
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({})


def test_parameters_can_be_changed(answer):
    model = net(answer)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.5)
    assert model(IDS).unique().numel() == 1
    model.requires_grad_(False)
    assert not model(IDS).requires_grad


def test_a_copy_is_another_module(answer):
    model = net(answer)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.embed.weight.zero_()
    assert other(IDS).unique().numel() < 5
    assert model.embed.weight.abs().sum() > 0
    assert other.tied
    assert other is not model


def test_a_part_can_be_replaced(answer):
    model = net(answer)
    expected = model(IDS)
    setattr(model.norms, "0", nn.Identity())
    setattr(model.seq, "2", nn.Identity())
    assert torch.equal(model(IDS), expected)
    setattr(model.norms, "0", Model())
    assert model(IDS).shape == (1, 3, 5)
    assert model.norms[0].calls == 1


def test_an_attribute_can_be_set(answer):
    model = answer(
        "class S(nn.Module):\n  def __init__(self):\n    super().__init__()\n    self.k = 1\n"
        "  def forward(self, x): return x * self.k"
    ).S()
    model.k = 3
    assert model(torch.ones(1)).item() == 3
    assert model.k == 3


def test_hooks_of_a_test_run_around_a_module(answer):
    model, seen = net(answer), []
    model.register_forward_hook(
        lambda module, args, result: seen.append((module is model, args[0]))
    )
    model(IDS)
    assert seen[0][0]
    assert torch.equal(seen[0][1], IDS)


def test_a_module_s_own_methods_are_its_own(answer):
    model = answer(
        "class T(nn.Linear):\n  def train(self, mode=True):\n"
        "    self.asked = mode\n    return super().train(mode)\n"
        "  def extra_repr(self): return 'own'\n"
    ).T(2, 2)
    model.eval()
    assert model.asked is False
    assert not model.training


def test_functional_call_swaps_parameters(answer):
    model = answer("class L(nn.Linear): pass").L(2, 1, bias=False)
    weight = torch.tensor([[1.0, 2.0]], requires_grad=True)
    out = torch.func.functional_call(model, {"weight": weight * 2}, (torch.ones(1, 2),))
    assert out.item() == 6
    out.backward()
    assert weight.grad.tolist() == [[2, 2]]


# --- of a test


USE = """
def call(model, x): return model(x)
def loss(model, x): return model(x).square().mean()
def learn(model, x):
    loss(model, x).backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
            p.grad = None
def look(model):
    is_module = isinstance(model, nn.Module)
    return [n for n, _ in model.named_parameters()], list(model.state_dict()), is_module
def evaluated(model, x):
    was = model.training
    model.eval()
    try: return model(x)
    finally: model.train(was)
def copied(model):
    import copy
    other = copy.deepcopy(model)
    for p in other.parameters(): p.data.zero_()
    return other
"""
X = torch.tensor([[1.0, -2.0], [0.5, 3.0]])


def models():
    torch.manual_seed(5)
    library = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2))
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    return [library, tied, Model(), nn.Sequential(Model(), nn.Linear(2, 2))]


@pytest.mark.parametrize("which", range(4))
def test_a_model_of_a_test_is_used(answer, which):
    model, twin, answer = models()[which], models()[which], answer(USE)
    assert torch.allclose(answer.call(model, X), twin(X))
    answer.learn(model, X)
    here(USE).learn(twin, X)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q)
        assert p.grad is None
    assert answer.look(model) == here(USE).look(twin)
    model.train()
    answer.evaluated(model, X)
    assert model.training
    other = answer.copied(model)
    assert not any(p.any() for p in other.parameters())
    assert any(p.any() for p in model.parameters())
    assert torch.allclose(answer.loss(model, X), here(USE).loss(twin, X))


def test_a_model_of_a_test_counts_its_calls_in_its_mode(answer):
    class Watched(Model):
        def forward(self, x):
            modes.append((self.training, torch.is_grad_enabled()))
            return super().forward(x)

    modes, model = [], Watched()
    answer(USE + "@torch.no_grad()\ndef quiet(model, x): return evaluated(model, x)").quiet(
        model, X
    )
    assert modes == [(False, False)]
    assert model.calls == 1
    assert model.training


def test_plain_values_of_a_model_can_be_read(answer):
    assert answer("def f(m): return m.width, m.inner.in_features, m.scale.item()").f(Model()) == (
        2,
        2,
        2.0,
    )


def test_a_model_of_a_library_is_rebuilt_there(answer):
    answer = answer(
        "def f(m): return type(m).__name__, type(m[0]).__name__, m[0].out_features, len(m)"
    )
    assert answer.f(models()[0]) == ("Sequential", "Linear", 3, 3)


LORA = """
class Low(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.ones(base.in_features))
    def forward(self, x): return self.base(x) + (x * self.a).sum(-1, keepdim=True)

def wrap(model):
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Linear): setattr(model, name, Low(child))
        else: wrap(child)
    return model
"""


@pytest.mark.parametrize("which", [0, 2])
def test_an_answer_may_replace_parts_of_a_model(answer, which):
    model, twin = models()[which], models()[which]
    expected = here(LORA).wrap(twin)(X)
    assert answer(LORA).wrap(model) is model
    assert torch.allclose(model(X), expected)
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in twin.named_parameters()]
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained == [n for n, p in twin.named_parameters() if p.requires_grad]
    model(X).sum().backward()
    twin(X).sum().backward()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        assert p.grad is None or torch.allclose(p.grad, q.grad)


# ------------------------------------------------------------------------------------ gradients


def test_gradients_go_through_arguments(answer):
    answer = answer(
        "def f(x, y, n): return (x * x * y).sum() * n, x + 1, y.detach(), torch.ones(2)"
    )
    x, y = torch.tensor([1.0, 2.0], requires_grad=True), torch.ones(2, requires_grad=True)
    loss, more, detached, constant = answer.f(x * 2, y, 3)
    assert loss.requires_grad
    assert more.requires_grad
    assert not detached.requires_grad
    assert not constant.requires_grad
    assert loss.dim() == 0
    (loss + more.sum()).backward()
    assert grads(x, y) == [[26, 50], [12, 48]]


def test_gradients_can_be_taken_twice(answer):
    x = torch.tensor([3.0], requires_grad=True)
    out = answer("def f(x): return x * x").f(x)
    out.backward(retain_graph=True)
    out.backward()
    assert x.grad.item() == 12
    assert torch.autograd.grad(answer("def f(x): return x ** 3").f(x), x)[0].item() == 27


def test_an_input_that_is_not_used_has_no_gradient(answer):
    x, y = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    out = answer("def f(x, y): return x * 2, y * 3").f(x, y)
    out[0].backward()
    assert grads(x, y) == [[2], None]


def test_gradients_go_through_callbacks(answer):
    answer = answer("def f(model, x): return model(model(x) * 2).sum()")
    w, x = torch.tensor(3.0, requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    answer.f(lambda x: x * w, x).backward()
    assert grads(w, x) == [36, [18, 18]]


def test_gradients_go_through_calls_in_calls(answer):
    answer = answer("def g(x): return x * x\ndef f(x, call): return call(g(x)) * x")
    x = torch.tensor(2.0, requires_grad=True)
    answer.f(x, lambda y: answer.g(y) + 1).backward()  # (x⁴ + 1) x
    assert x.grad.item() == 81


def test_an_answer_may_go_backward_itself(answer):
    answer = answer(
        "def f(model, w, x):\n  loss = (model(x) * w).sum()\n"
        "  loss.backward()\n  return loss.item()\n"
        "def g(f, x): return torch.autograd.grad(f(x), x)[0]"
    )
    v, w, x = (torch.tensor(n, requires_grad=n < 5) for n in (2.0, 3.0, 5.0))
    assert answer.f(lambda x: x * v, w, x) == 30
    assert grads(v, w, x) == [15, 10, None]
    assert answer.g(lambda x: x * v * v, torch.tensor(1.0, requires_grad=True)).item() == 4


def test_parameters_of_the_worker_get_gradients(answer):
    model = net(answer)
    twin = net(lambda code: here(code))
    for m in (model, twin):
        m(IDS).square().sum().backward()
    for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad), name
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_leaf_that_is_new_may_come_with_what_depends_on_it(answer):
    answer = answer(
        "def f():\n  w = torch.ones(2, requires_grad=True)\n  return (w * 3).sum(), w\n"
        "def g():\n  w = nn.Parameter(torch.ones(2))\n  return {'w': w, 'loss': (w * 3).sum()}"
    )
    loss, w = answer.f()
    loss.backward()
    assert w.grad.tolist() == [3, 3]
    made = answer.g()
    made["loss"].backward()
    assert made["w"].grad.tolist() == [3, 3]


def test_hidden_leaves_get_their_gradients_there(answer):
    answer = answer(
        "w = torch.ones(2, requires_grad=True)\ndef f(x): return (w * x).sum()\n"
        "def g(): return w.grad.tolist()"
    )
    answer.f(torch.tensor([2.0, 3.0])).backward()
    assert answer.g() == [2, 3]


def test_an_argument_may_begin_to_need_a_gradient(answer):
    x = torch.ones(2)
    out = answer("def f(x): return (x.requires_grad_() * 2).sum()").f(x)
    out.backward()
    assert x.requires_grad
    assert x.grad.tolist() == [2, 2]


def test_errors_while_going_backward_arrive(answer):
    answer = answer(
        "class Bad(torch.autograd.Function):\n  @staticmethod\n"
        "  def forward(ctx, x): return x.clone()\n"
        "  @staticmethod\n  def backward(ctx, g): raise ValueError('no way back')\n"
        "def f(x): return Bad.apply(x).sum()"
    )
    with pytest.raises(ValueError, match="no way back"):
        answer.f(torch.ones(2, requires_grad=True)).backward()


# ----------------------------------------------------------------------- optimizers, randomness


@pytest.mark.parametrize(
    "kind", [torch.optim.SGD, functools.partial(torch.optim.AdamW, foreach=False)]
)
def test_an_optimizer_of_a_test_is_used(answer, kind):
    code = (
        "def train(model, optimizer, scheduler, x):\n  for _ in range(3):\n"
        "    optimizer.zero_grad()\n    model(x).square().mean().backward()\n"
        "    optimizer.step()\n    scheduler.step()\n"
        "  for group in optimizer.param_groups: group['lr'] *= 10\n"
        "  return scheduler.get_last_lr()[0], len(optimizer.state_dict()['state'])"
    )
    results = []
    for namespace in (here(code), answer(code)):
        model = models()[2]
        optimizer = kind(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        said = namespace.train(model, optimizer, scheduler, X)
        values = [x.item() for p in model.parameters() for x in p.flatten()]
        results.append([*said, optimizer.param_groups[0]["lr"], *values])
    assert results[0] == pytest.approx(results[1])


def test_an_optimizer_of_a_test_trains_a_model_of_the_worker(answer):
    model = net(answer)
    before = model(IDS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(IDS).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model(IDS), before)
    assert model.tied


DRAW = "def draw(g=None): return torch.rand(3, generator=g).tolist()\n"


def test_a_source_of_random_numbers_is_shared(answer):
    answer = answer(DRAW + "def through(call, g): return call(g), draw(g)")
    g, twin = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    expected = [torch.rand(3, generator=twin).tolist() for _ in range(6)]
    local = lambda g: torch.rand(3, generator=g).tolist()
    assert [answer.draw(g), local(g), answer.draw(g)] == expected[:3]
    assert answer.through(local, g) == (expected[3], expected[4])
    assert local(g) == expected[5]


def test_the_global_source_is_shared(answer):
    answer = answer(DRAW + "def seed(n): torch.manual_seed(n)")
    torch.manual_seed(11)
    expected = [torch.rand(3).tolist() for _ in range(3)]
    torch.manual_seed(11)
    assert [answer.draw(), torch.rand(3).tolist(), answer.draw()] == expected
    answer.seed(11)
    assert torch.rand(3).tolist() == expected[0]


def test_a_source_of_the_worker_stays_there(there):
    answer = there("g = torch.Generator()\ndef get(): return g\n" + DRAW)
    assert not isinstance(answer.get(), torch.Generator)
    assert len(answer.draw(answer.get())) == 3


# --------------------------------------------------------------------------------------- modes


def test_modes_of_torch_cross(answer):
    answer = answer(
        "def grad(): return torch.is_grad_enabled()\ndef product(x): return (x @ x).dtype\n"
        "def device(): return torch.zeros(2).device.type\n"
        "def asked(call):\n  with torch.no_grad(), torch.device('meta'): return call()"
    )
    assert answer.grad()
    with torch.no_grad():
        assert not answer.grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert answer.product(torch.ones(2, 2)) == torch.bfloat16
    assert answer.product(torch.ones(2, 2)) == torch.float32
    with torch.device("meta"):
        assert answer.device() == "meta"
        assert torch.zeros(2).is_meta
    assert answer.device() == "cpu"
    assert answer.asked(lambda: (torch.is_grad_enabled(), torch.zeros(1).device.type)) == (
        False,
        "meta",
    )
    assert torch.is_grad_enabled()


def test_what_torch_does_is_counted_wherever_it_is_done(answer):
    answer = answer("def f(x, call): return call(x @ x.T).sum() + torch.zeros(10, 10)[0, 0]")
    with Watch() as watch:
        (torch.ones(2, 3) + 1).sum()
        answer.f(torch.ones(4, 5), lambda y: F.softmax(y @ y, -1))
    counts = watch.counts()
    assert counts["products"] == 4 * 5 * 4 + 4 * 4 * 4
    assert counts["largest"] == 100
    assert counts["devices"] == ["cpu"]
    assert counts["operations"] >= 9
    with Watch() as other:
        answer.f(torch.ones(4, 5), lambda y: F.softmax(y @ y, -1))
    assert other.counts()["products"] == counts["products"]


# --------------------------------------------------------------------------- a worker that fails


def gone(error):
    return isinstance(error.error, ChildProcessError) and "has ended" in str(error)


@pytest.mark.parametrize(
    "code", ["os._exit(0)", "os.kill(os.getpid(), 9)", "os.abort()", "os.closerange(0, 99)"]
)
def test_a_worker_that_ends_is_noticed_at_once(there, code):
    answer = there(f"def f(): {code}\ndef g(): pass")
    for name in ("f", "g"):
        with pytest.raises(Unusable) as caught:
            getattr(answer, name)()
        assert gone(caught.value)


def test_a_worker_that_ends_in_a_callback_is_noticed(there):
    answer = there("def f(call): call()\ndef end(): os._exit(1)")
    with pytest.raises(Unusable):
        answer.f(lambda: answer.end())


@pytest.mark.parametrize(
    "code",
    [
        "x = []\n  x.append(x)\n  return x",
        "x = []\n  for _ in range(1000): x = [x]\n  return x",
        "return 10 ** 5000",
        "return 'x' * 2 ** 25",
        "return [[]] * 3_000_000",
    ],
)
def test_what_cannot_be_sent_is_said_and_the_worker_lives(there, code):
    answer = there(f"def f():\n  {code}\ndef g(): return 5")
    with pytest.raises(Exception, match=r"cannot be sent|to be sent|too large"):
        answer.f()
    assert answer.g() == 5


def test_calls_into_each_other_have_an_end(there):
    answer = there("def f(call): return call()")

    def endless():
        return answer.f(endless)

    with pytest.raises((RecursionError, Unusable)):
        answer.f(endless)


def test_nothing_is_printed_here(there, capfd):
    there("def f(): print('x' * 1_000_000); sys.stderr.write('y'); os.write(1, b'z')").f()
    assert capfd.readouterr() == ("", "")


def test_objects_that_nobody_needs_are_forgotten(there):
    answer = there("def f(): return lambda: 1")
    for _ in range(20):
        assert answer.f()() == 1
    answer.peer.request("attribute", name="f")
    assert len(answer.peer._adopted) < 5
    assert len(answer.peer._own_errors) == 0


def test_tensors_that_nobody_needs_are_forgotten(there):
    answer = there("def f(x): return x + 1")
    for _ in range(20):
        answer.f(torch.ones(2, requires_grad=True)).sum().backward()
    assert len(answer.peer.tensors._table) < 5
    assert len(answer.peer.graphs._table) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="not run: needs /proc")
def test_the_worker_forgets_as_well(there):
    answer = there(
        "import gc\nfrom kata.grading.peer import Peer\n"
        "def f(x): return x * 2\n"
        "def held():\n  peer, = [x for x in gc.get_objects() if isinstance(x, Peer)]\n"
        "  return len(peer.tensors._table), len(peer.graphs._table), len(peer._exports)"
    )
    for _ in range(20):
        answer.f(torch.ones(2, requires_grad=True)).sum().backward()
    tensors, graphs, objects = answer.held()
    assert tensors < 5
    assert graphs < 5
    assert objects < 5
