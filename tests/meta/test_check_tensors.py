"""The words of `close`, exactly."""

import subprocess
import sys

import pytest

from kata.check import close, explain
from kata.text import brief


@pytest.fixture(autouse=True, scope="module")
def _torch():
    """Imports torch when a test needs it, not when all tests are collected."""
    global torch
    torch = pytest.importorskip("torch")


def words(actual, expected, axes="", **tolerances):
    """What is said about a wrong tensor."""
    with pytest.raises(AssertionError) as caught:
        close(actual, expected, axes, **tolerances)
    return str(caught.value)


def test_equal_tensors_are_close():
    x = torch.tensor([[1.0, float("nan"), float("inf"), -float("inf")]])
    close(x.clone(), x)
    close(torch.nn.Parameter(torch.ones(2)), torch.ones(2))
    close(torch.ones(2, requires_grad=True), torch.ones(2))
    close(torch.tensor(3), torch.tensor(3))
    close(torch.tensor([True]), torch.tensor([True]))


def test_none_is_a_missing_return():
    assert words(None, torch.ones(2, 3), "batch vocab") == (
        "got None: is a `return` missing?\nexpected a tensor (batch=2, vocab=3)"
    )


NO_TENSORS = {
    "list": ([1.0], "got a list: torch.tensor or torch.stack makes a tensor of it"),
    "tuple": ((1, 2), "got a tuple: a comma too many, or a second value after `return`?"),
    "number": (1.0, "got a float: keep it a tensor: no .item() or float() at the end"),
    "function": (len, "got a builtin_function_or_method"),
    "text": ("x", "got a str"),
}


@pytest.mark.parametrize("name", NO_TENSORS)
def test_another_type_is_no_tensor(name):
    value, said = NO_TENSORS[name]
    assert words(value, torch.ones(2), "vocab") == f"{said}\nexpected a tensor (vocab=2)"


def test_several_tensors_are_told_from_one():
    assert words(torch.ones(2, 2).max(-1), torch.ones(2), "batch") == (
        "got a max of several tensors: .values or .indices is one of them\n"
        "expected a tensor (batch=2)"
    )


def test_a_tensor_of_one_value_has_no_shape_to_name():
    assert words(None, torch.tensor(1.0)) == (
        "got None: is a `return` missing?\nexpected a tensor () of one value"
    )


def test_a_subclass_that_could_compare_as_it_likes_is_refused():
    class Equal(torch.Tensor):
        def __ne__(self, other):
            return torch.zeros(2, dtype=torch.bool)

    fake = torch.zeros(2).as_subclass(Equal)
    assert words(fake, torch.ones(2)) == "got an Equal\nexpected a tensor (2,)"


def test_shapes_have_named_axes():
    assert words(torch.ones(2, 4), torch.ones(2, 3), "batch vocab") == (
        "got shape (batch=2, vocab=4)\nexpected  (batch=2, vocab=3)"
    )
    assert words(torch.ones(2), torch.ones(2, 3), "batch vocab") == (
        "got shape (2,)\nexpected  (batch=2, vocab=3)"
    )
    assert words(torch.ones(2, 1), torch.ones(2)) == "got shape (2, 1)\nexpected  (2,)"


DTYPES = {
    ("float32", "float64"): "a tensor that is made or converted on the way takes the dtype of the "
    "input: dtype=x.dtype",
    ("int64", "float32"): "expected floating point: whole numbers stay whole until they are "
    "converted",
    ("float32", "int64"): "expected whole numbers: indices, ids or counts",
    ("float32", "bool"): "expected True and False: a comparison gives them",
}


@pytest.mark.parametrize(("got", "wanted"), DTYPES)
def test_dtypes_are_compared(got, wanted):
    actual, expected = (torch.ones(2, dtype=getattr(torch, name)) for name in (got, wanted))
    assert words(actual, expected) == (
        f"got dtype torch.{got}, expected torch.{wanted}\n{DTYPES[got, wanted]}"
    )


def test_devices_are_compared():
    assert words(torch.ones(2), torch.ones(2, device="meta")) == (
        "got a tensor on cpu, expected one on meta\n"
        "a tensor that is made or converted on the way takes the device of the input: "
        "device=x.device"
    )
    close(torch.ones(2, device="meta"), torch.zeros(2, device="meta"))


def test_the_first_position_that_differs_is_named():
    expected = torch.zeros(1, 2, 2, 2)
    actual = expected.clone()
    actual[0, 1, 0, 1] = 0.25
    actual[0, 1, 1, 1] = 0.5
    assert words(actual, expected, "batch head query key") == (
        "first difference at batch=0, head=1, query=0, key=1: got 0.25, expected 0\n"
        "2 of 8 values of (batch=1, head=2, query=2, key=2) differ\n"
        "largest difference 0.5 (allowed: 1e-05 + 0.0001 x expected)"
    )


def test_the_last_axes_have_the_names():
    expected = torch.zeros(2, 1, 2)
    assert words(expected + 1, expected, "row column").startswith(
        "first difference at axis 0=0, row=0, column=0: got 1, expected 0\n"
        "4 of 4 values of (axis 0=2, row=1, column=2) differ"
    )
    expected = torch.zeros(2)
    assert words(expected + 1, expected, "row column").startswith("first difference at column=0")


def test_a_gradient_is_called_one():
    from kata.tensors import gradients, parameter_gradients

    def half(x, scale=1):
        return x / 2

    [expected] = gradients(half, torch.ones(2))
    assert words(expected + 1, expected).startswith("the gradient of x: first difference at axis 0")
    [expected] = gradients(torch.exp, torch.ones(2))
    assert words(expected + 1, expected).startswith("the gradient of its argument: first")
    _, expected = gradients(torch.add, torch.ones(2), torch.ones(2))
    assert words(None, expected).startswith("the gradient of argument 2: got None")
    linear = torch.nn.Linear(2, 2)
    expected = parameter_gradients(linear, torch.ones(1, 2))["bias"]
    assert words(expected + 1, expected).startswith("the gradient of bias: first difference")
    [expected] = gradients(linear, torch.ones(1, 2))
    assert words(expected + 1, expected).startswith("the gradient of its argument: first")
    close(expected.clone(), expected)


def test_positions_without_names_have_numbers():
    assert words(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 2.0]])) == (
        "first difference at axis 0=0, axis 1=1: got 3, expected 2\n"
        "1 of 2 values of (1, 2) differs\n"
        "largest difference 1 (allowed: 1e-05 + 0.0001 x expected)"
    )


def test_a_single_value_has_no_position():
    assert words(torch.tensor(1.0), torch.tensor(2.0)) == (
        "got 1, expected 2\nlargest difference 1 (allowed: 1e-05 + 0.0001 x expected)"
    )


def test_nan_gets_a_hint():
    nan = float("nan")
    assert words(torch.tensor([1.0, nan]), torch.tensor([1.0, 2.0]), "vocab") == (
        "first difference at vocab=1: got nan, expected 2\n"
        "1 of 2 values of (vocab=2) differs\n"
        "NaN: 0 divided by 0, inf - inf, or a softmax over nothing but -inf?"
    )
    assert "got 2, expected nan" in words(torch.tensor([2.0]), torch.tensor([nan]))


def test_infinity_is_not_close_to_a_number_nor_to_its_opposite():
    inf = float("inf")
    text = words(torch.tensor([inf, inf]), torch.tensor([1e4, -inf]))
    assert (
        text
        == "first difference at axis 0=0: got inf, expected 10000\n2 of 2 values of (2,) differ"
    )


@pytest.mark.parametrize(
    ("dtype", "near", "far"),
    [
        ("float32", 5e-5, 5e-4),
        ("float64", 5e-5, 5e-4),
        ("float16", 1e-3, 1e-2),
        ("bfloat16", 1e-2, 0.1),
    ],
)
def test_tolerance_depends_on_the_dtype(dtype, near, far):
    expected = torch.ones(1, dtype=getattr(torch, dtype))
    close(expected + near, expected)
    assert "allowed" in words(expected + far, expected)


def test_tolerance_can_be_asked_for():
    close(torch.tensor([1.1]), torch.tensor([1.0]), rtol=0.2)
    assert "(allowed: 0 + 0.01 x expected)" in words(
        torch.tensor([1.1]), torch.tensor([1.0]), rtol=0.01, atol=0.0
    )


@pytest.mark.parametrize("values", [([1, 2], [1, 3]), ([True, True], [True, False])])
def test_integers_and_booleans_are_compared_exactly(values):
    actual, expected = map(torch.tensor, values)
    assert words(actual, expected, "vocab") == (
        f"first difference at vocab=1: got {values[0][1]}, expected {values[1][1]}\n"
        "1 of 2 values of (vocab=2) differs"
    )


def test_empty_tensors_are_equal_when_their_shapes_are():
    close(torch.ones(0, 3), torch.zeros(0, 3))
    assert words(torch.ones(0, 2), torch.zeros(0, 3)) == "got shape (0, 2)\nexpected  (0, 3)"


def test_arguments_are_not_changed():
    actual, expected = torch.ones(2, dtype=torch.float16), torch.ones(2, dtype=torch.float16)
    close(actual, expected)
    assert actual.dtype == expected.dtype == torch.float16


# ------------------------------------------------------------------------------ tensors in words


def test_tensors_are_shapes():
    assert brief(torch.ones(2, 3)) == "Tensor[2, 3; float32]"
    assert brief(torch.tensor([1, 2])) == "Tensor[2; int64] = [1, 2]"
    assert brief(torch.tensor(1.5)) == "Tensor[; float32] = 1.5"
    assert brief(torch.ones(2, device="meta")) == "Tensor[2; float32, meta]"
    assert brief({"x": torch.ones(9)}) == "{'x': Tensor[9; float32]}"
    assert brief(torch.nn.Linear(2, 2)) == "<Linear>"
    assert "\n" not in brief(torch.optim.SGD([torch.ones(1)], lr=0.5))
    assert brief(torch.ones(2, 9).topk(8)) == "topk(Tensor[2, 8; float32], Tensor[2, 8; int64])"


def test_a_tensor_instead_of_a_value_is_told():
    assert explain(torch.tensor([1, 2]), [1, 2]) == [
        "got Tensor[2; int64] = [1, 2]",
        "expected [1, 2]",
        "got a tensor, expected a list: .tolist() gives a list",
    ]
    assert explain(torch.tensor(3), 4)[2:] == [
        "got a tensor, expected an int: .item() gives the number in it"
    ]


def test_close_does_not_import_what_is_slow():
    code = (
        "import sys, torch\nbefore = set(sys.modules)\nfrom kata.check import close\n"
        "close(torch.ones(2), torch.ones(2))\n"
        "try: close(torch.ones(2), torch.zeros(2))\nexcept AssertionError: pass\n"
        "new = set(sys.modules) - before\n"
        "print([m for m in new if m.startswith('torch')], len(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    torch_modules, count = done.stdout.rsplit(" ", 1)
    assert torch_modules == "[]"
    assert int(count) < 20
