"""The boundary: a learner's code in another process behaves as it does in this one.

A test that has `answer` runs twice, with the same code here and in a worker: see conftest.py.
"""

import collections
import contextlib
import copy
import itertools
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kata.answer import Unusable
from tests.meta.grading.sides import FILE, HEAD, Double, Model

pytestmark = pytest.mark.timeout(60)


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


def test_an_error_has_the_learner_s_line_and_its_names(there):
    with pytest.raises(ValueError, match="x") as caught:
        there("def f():\n  g(3)\ndef g(n):\n  raise ValueError('x' * n)").f()
    assert caught.value.__kata_where__ == (str(FILE), HEAD.count("\n") + 4, ["n: 3"])


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
