import random

import pytest
import torch

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import normal

TOKENS = [10 ** (5 + i / 4) for i in range(21)]  # 1e5 to 1e10
CHINCHILLA = 410.7, 0.28, 1.69
KAPLAN = 15.0, 0.095, 0.0
PLANTED = [CHINCHILLA, KAPLAN, (3e5, 1.1, 0.4), (60.0, 0.34, 0.0)]
NO_POINTS = [
    ([1, 2], [3, 2]),
    ([5, 5, 5, 5], [4, 4, 3, 3]),
    ([1, 2, 3, 4], [4, 3, 2]),
    ([1, 2, 3], [4, 3, 2, 1]),
    ([0, 1, 2, 3], [4, 3, 2, 1.5]),
    ([1, 2, 3, 4], [4, 2, 1, -1]),
    ([], []),
]


def float64(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def curve(x, a, b, E):
    return [E + a * value**-b for value in x]


def noisy(y, seed, noise):
    """The same with relative errors of this standard deviation."""
    return [v * (1 + noise * e) for v, e in zip(y, normal(len(y), seed=seed).tolist(), strict=True)]


def squares(x, y, a, b, E):
    """The sum of the squared differences between curve and points."""
    return sum((p - q) ** 2 for p, q in zip(curve(x, a, b, E), y, strict=True))


def shuffled(*columns):
    """The same points in another order."""
    points = list(zip(*columns, strict=True))
    random.Random(0).shuffle(points)
    return [list(column) for column in zip(*points, strict=True)]


def test_four_points_by_hand(answer):
    # 10 / sqrt(x) is 10, 5, 2.5 and 1.25; 1 is added.
    found = answer.fit_power_law([1, 4, 16, 64], [11, 6, 3.5, 2.25])
    close(float64(found), float64([10, 0.5, 1]), "result", rtol=1e-2)


@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_recovers_planted_exponents(answer, planted):
    a, b, E = answer.fit_power_law(*shuffled(TOKENS, curve(TOKENS, *planted)))
    close(float64([a, b]), float64(planted[:2]), "result", rtol=1e-2, atol=0)
    close(float64(E), float64(planted[2]), rtol=0, atol=0.01 * curve(TOKENS, *planted)[-1])


@given(b=st.floats(0.05, 1.5), E=st.sampled_from([0.0, 0.5, 3.0]), start=st.floats(-3, 9))
@example(b=0.34, E=1.69, start=7.0)
def test_finds_any_exponent(answer, b, E, start):
    x = [10 ** (start + i / 3) for i in range(10)]
    found = answer.fit_power_law(x, curve(x, 2 * x[0] ** b, b, E))
    close(float64(found[1]), float64(b), rtol=1e-2, atol=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("planted", [CHINCHILLA, KAPLAN], ids=str)
def test_noise_does_not_move_the_exponent(answer, planted, seed):
    y = noisy(curve(TOKENS, *planted), seed, 2e-4)
    found = answer.fit_power_law(TOKENS, y)
    close(float64(found[1]), float64(planted[1]), rtol=1e-2)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_no_curve_fits_noisy_points_better(answer, reference, planted, seed):
    y = noisy(curve(TOKENS, *planted), seed, 0.05)
    least = squares(TOKENS, y, *reference.fit_power_law(TOKENS, y))
    a, b, E = answer.fit_power_law(TOKENS, y)
    assert {"E is below 0": E < 0} == {"E is below 0": False}
    found = squares(TOKENS, y, a, b, E)
    close(float64([found]), float64([least]), "sum_of_squares", rtol=1e-2)


@pytest.mark.parametrize(
    ("log_n", "losses", "expected"),
    [([2, 3, 4], [4, 1, 2], 3.25), ([1, 2, 3, 4], [13, 5, 5, 13], 2.5)],
)
def test_parabola_by_hand(answer, log_n, losses, expected):
    # 1 / 4 to the right of the middle: 4, 1, 2 are the values of 2 u^2 - u + 1 at -1, 0 and 1.
    found = answer.isoflop_minimum([10**n for n in log_n], losses)
    close(float64(found), float64(10**expected), rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_minimum_agrees_with_numpy(answer, seed):
    import numpy

    log_n = 18 + normal(9, seed=seed, dtype=torch.float64)
    losses = 3 + 0.1 * (log_n - 18) ** 2 + 0.02 * normal(9, seed=9 + seed, dtype=torch.float64)
    square, slope, _ = numpy.polyfit(log_n.numpy() - 18, losses.numpy(), 2)
    expected = float64(18 - slope / (2 * square)).exp()
    found = answer.isoflop_minimum(log_n.exp().tolist(), losses.tolist())
    close(float64(found), expected, rtol=1e-6)


@pytest.mark.parametrize("losses", [[6, 4.5, 3.2, 2], [2, 3, 5, 6.5], [3, 2, 1.2, 1]])
def test_minimum_outside_of_the_models_is_refused(answer, losses):
    with raises(ValueError):
        answer.isoflop_minimum([1e6, 2e6, 4e6, 8e6], losses)


def test_a_maximum_is_refused(answer):
    with raises(ValueError):
        answer.isoflop_minimum([1e6, 2e6, 4e6, 8e6], [1, 4, 4, 1])


@pytest.mark.parametrize(("x", "y"), NO_POINTS)
@pytest.mark.parametrize("name", ["fit_power_law", "isoflop_minimum"])
def test_impossible_points_are_refused(answer, name, x, y):
    function = getattr(answer, name)
    with raises(ValueError):
        function(x, y)


@pytest.mark.parametrize(
    ("name", "y"),
    [("fit_power_law", [6.0, 11.0, 2.25, 3.5]), ("isoflop_minimum", [3.0, 5.0, 6.0, 4.0])],
)
def test_lists_are_not_modified(answer, name, y):
    points = [4.0, 1.0, 64.0, 16.0], list(y)
    getattr(answer, name)(*points)
    assert points == ([4.0, 1.0, 64.0, 16.0], y)
