import math

import pytest
import torch

from kata.check import close


def formula(n_positions, d_model, base=10_000.0):
    """The definition, one number at a time."""
    rows = [
        [
            (math.cos if j % 2 else math.sin)(position / base ** (2 * (j // 2) / d_model))
            for j in range(d_model)
        ]
        for position in range(n_positions)
    ]
    return torch.tensor(rows).view(n_positions, d_model)


def test_position_zero_is_zeros_and_ones(answer):
    expected = torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]])
    close(answer.sinusoidal_positions(1, 6), expected, "pos dim")


def test_position_three_by_hand(answer):
    # d_model = 4: the frequencies are 1 / 10000^0 = 1 and 1 / 10000^(2/4) = 1/100.
    expected = torch.tensor([math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)])
    close(answer.sinusoidal_positions(4, 4)[3], expected, "dim")


def test_dot_product_depends_on_distance_only(answer):
    # sin a sin b + cos a cos b = cos(a - b), pair by pair.
    table = answer.sinusoidal_positions(12, 6)
    products = table @ table.T
    close(products[2:, 2:], products[:-2, :-2], "pos other_pos", atol=1e-4)


@pytest.mark.parametrize(("n_positions", "d_model"), [(50, 16), (7, 10), (5, 2), (0, 8)])
def test_agrees_with_the_formula(answer, device, n_positions, d_model):
    expected = formula(n_positions, d_model).to(device)
    table = answer.sinusoidal_positions(n_positions, d_model, device=device)
    close(table, expected, "pos dim", atol=1e-4)


@pytest.mark.parametrize("d_model", [1, 3, 7])
def test_odd_width_ends_with_a_sine(answer, d_model):
    close(answer.sinusoidal_positions(9, d_model), formula(9, d_model), "pos dim", atol=1e-4)


@pytest.mark.parametrize("base", [100.0, 500_000.0])
def test_base_sets_the_wavelengths(answer, base):
    expected = formula(20, 8, base)
    close(answer.sinusoidal_positions(20, 8, base=base), expected, "pos dim", atol=1e-4)


def test_lies_on_the_given_device(answer):
    table = answer.sinusoidal_positions(5, 6, device="meta")
    close(table, torch.empty(5, 6, device="meta"), "pos dim")
