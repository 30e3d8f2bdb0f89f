"""What the names on the learner's line held when it failed."""

import linecache

import pytest

from kata import scene


def shown(tmp_path, code, whole=False, **given):
    """The names on the innermost line of code that raises."""
    file = str(tmp_path / "ex01_name.py")
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    with pytest.raises(ArithmeticError) as caught:
        exec(compile(code, file, "exec"), dict(given))
    place = caught.tb
    while place.tb_next is not None:
        place = place.tb_next
    return scene.names(place.tb_frame, place.tb_lineno, None if whole else place.tb_lasti)


LINES = {
    "def f(x, y):\n    return x / y\nf(1, 0)": ["x: 1", "y: 0"],
    "def f(x, y):\n    z = [2]\n    return y + z[0] + (x // 0)\nf(1, 2)": ["x: 1"],
    "def f(x):\n    return (\n        x\n        % 0\n    )\nf(3)": ["x: 3"],
    "def f(x):\n    return sum(i / x for i in [1])\nf(0)": ["i: 1", "x: 0"],
    "def f(x):\n    print; return abs(x) / x\nf(0)": ["x: 0"],
    "def f(é):\n    return 'ééé', é / 0\nf(1)": ["é: 1"],
    "x = 0\nprint(1 / x)": ["x: 0"],
    "def f(x):\n    y = x = 0; y / x\nf(0)": ["y: 0", "x: 0"],
    "def f(a, b, c, d, e, g, h, i):\n    return a*b*c*d*e*g*h*i / 0\nf(1,1,1,1,1,1,1,1)": [
        f"{name}: 1" for name in "abcdeg"
    ],
}


@pytest.mark.parametrize("code", LINES)
def test_the_names_of_the_failed_expression_are_shown(tmp_path, code):
    assert shown(tmp_path, code) == LINES[code]


WHOLE = {
    "def f(x):\n    while x < 1:\n        x = 1 / x\nf(0)": ["x: 0"],
    "def f(x, y):\n    if x or y / x:\n        pass\nf(0, 1)": ["x: 0", "y: 1"],
    "def f(x, y):\n    if 0:\n        pass\n    elif x or y / x:\n        pass\nf(0, 1)": [
        "x: 0",
        "y: 1",
    ],
    "def f(x, y):\n    return y + [1 / x,\n        2][0]\nf(0, 1)": [],
}


@pytest.mark.parametrize("code", WHOLE)
def test_of_a_loop_the_whole_line_counts(tmp_path, code):
    assert shown(tmp_path, code, whole=True) == WHOLE[code]


def test_what_an_object_holds_itself_is_shown(tmp_path):
    code = (
        "class A:\n    def __init__(self):\n        self.n = 0\n    @property\n    def m(self):\n"
        "        return asked.append(1) or 1\n    def f(self):\n        return self.m / self.n\n"
        "A().f()"
    )
    asked = []
    assert shown(tmp_path, code, asked=asked) == ["self.n: 0"]
    assert asked == [1]  # by the line itself, once


def test_parameters_of_a_module_are_shown(tmp_path):
    torch = pytest.importorskip("torch")

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2, 3))
            self.inner = torch.nn.Linear(1, 1)

    code = "def f(self, x):\n    return self.inner and self.weight.numel() / x\nf(layer, 0)"
    assert shown(tmp_path, code, layer=Layer()) == ["self.weight: Tensor[2, 3; float32]", "x: 0"]


def test_modules_and_functions_are_left_out(tmp_path):
    code = "import math\ndef f(x, g):\n    return g(math.floor(x)) / int(x)\nf(0, abs)"
    assert shown(tmp_path, code) == ["x: 0"]


def test_a_long_value_is_cut(tmp_path):
    [line] = shown(tmp_path, "def f(x):\n    return len(x) / 0\nf('a' * 10**6)")
    assert len(line) < 100


def test_a_file_that_is_gone_has_no_names(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("x = 0\n1 / x", str(tmp_path / "no.py"), "exec"), {})
    place = caught.tb.tb_next
    assert scene.names(place.tb_frame, place.tb_lineno, place.tb_lasti) == []
