import torch

from kata.wrong import wrong
from solutions.ch02_layers.ex13_sinusoidal_positions import sinusoidal_positions


def angles(n_positions, exponents, base, device):
    position = torch.arange(n_positions, dtype=torch.float32, device=device)
    return position[:, None] * base ** -exponents.to(position)


@wrong(
    caught_by=[
        "position_zero_is_zeros_and_ones",
        "position_three_by_hand",
        "agrees_with_the_formula",
        "odd_width_ends_with_a_sine",
        "base_sets_the_wavelengths",
    ]
)
def sinusoidal_positions__puts_all_sines_first(n_positions, d_model, base=1e4, device=None):
    """All sines came first and all cosines after them. In this table they alternate."""
    table = sinusoidal_positions(n_positions, d_model, base, device)
    return torch.cat([table[:, 0::2], table[:, 1::2]], dim=1)


@wrong(
    caught_by=[
        "position_three_by_hand",
        "agrees_with_the_formula",
        "odd_width_ends_with_a_sine",
        "base_sets_the_wavelengths",
    ]
)
def sinusoidal_positions__forgets_the_two(n_positions, d_model, base=1e4, device=None):
    """The exponent was i / d_model for pair i. It is 2i / d_model, close to 1 for the last pair."""
    pair = torch.arange(d_model) // 2
    angle = angles(n_positions, pair / d_model, base, device)
    return torch.where(torch.arange(d_model, device=device) % 2 == 0, angle.sin(), angle.cos())


@wrong(
    caught_by=[
        "position_three_by_hand",
        "dot_product_depends_on_distance_only",
        "agrees_with_the_formula",
        "odd_width_ends_with_a_sine",
        "base_sets_the_wavelengths",
    ]
)
def sinusoidal_positions__gives_each_column_a_frequency(
    n_positions, d_model, base=1e4, device=None
):
    """Each column had a frequency of its own. A sine and its cosine share one."""
    column = torch.arange(d_model)
    angle = angles(n_positions, column / d_model, base, device)
    return torch.where(torch.arange(d_model, device=device) % 2 == 0, angle.sin(), angle.cos())


@wrong(
    caught_by=[
        "position_three_by_hand",
        "agrees_with_the_formula",
        "odd_width_ends_with_a_sine",
        "base_sets_the_wavelengths",
    ]
)
def sinusoidal_positions__doubles_the_exponent(n_positions, d_model, base=1e4, device=None):
    """The exponent was doubled twice: the 2i in it already counts columns (0, 2, 4, ...)."""
    column = torch.arange(d_model) // 2 * 2
    angle = angles(n_positions, 2 * column / d_model, base, device)
    return torch.where(torch.arange(d_model, device=device) % 2 == 0, angle.sin(), angle.cos())


@wrong(
    caught_by=[
        "position_three_by_hand",
        "dot_product_depends_on_distance_only",
        "agrees_with_the_formula",
        "odd_width_ends_with_a_sine",
        "base_sets_the_wavelengths",
    ]
)
def sinusoidal_positions__multiplies_by_the_wavelength(n_positions, d_model, base=1e4, device=None):
    """The position was multiplied by base^(2i / d_model). Divide: later columns are slower."""
    return sinusoidal_positions(n_positions, d_model, 1 / base, device)


@wrong(
    caught_by=[
        "position_zero_is_zeros_and_ones",
        "position_three_by_hand",
        "agrees_with_the_formula",
        "odd_width_ends_with_a_sine",
        "base_sets_the_wavelengths",
    ]
)
def sinusoidal_positions__swaps_sine_and_cosine(n_positions, d_model, base=1e4, device=None):
    """Even columns hold cosines and odd ones sines. It is the other way round."""
    angle = angles(n_positions, torch.arange(d_model) // 2 * 2 / d_model, base, device)
    return torch.where(torch.arange(d_model, device=device) % 2 == 0, angle.cos(), angle.sin())


@wrong(
    caught_by=[
        "position_zero_is_zeros_and_ones",
        "position_three_by_hand",
        "agrees_with_the_formula",
        "odd_width_ends_with_a_sine",
        "base_sets_the_wavelengths",
    ]
)
def sinusoidal_positions__counts_from_one(n_positions, d_model, base=1e4, device=None):
    """The first row is that of position 1. Positions start at 0."""
    return sinusoidal_positions(n_positions + 1, d_model, base, device)[1:]


@wrong(crashes=["odd_width_ends_with_a_sine"])
def sinusoidal_positions__assumes_even_width(n_positions, d_model, base=1e4, device=None):
    """There are as many cosines as sines here. With an odd `d_model` there is one cosine less."""
    angle = angles(n_positions, torch.arange(0, d_model, 2) / d_model, base, device)
    table = torch.zeros(n_positions, d_model, device=device)
    table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()
    return table


@wrong(caught_by=["odd_width_ends_with_a_sine"])
def sinusoidal_positions__rounds_an_odd_width(n_positions, d_model, base=1e4, device=None):
    """The exponent was i / (d_model // 2), which is not 2i / d_model when `d_model` is odd."""
    pair = torch.arange(d_model) // 2
    angle = angles(n_positions, pair / max(d_model // 2, 1), base, device)
    return torch.where(torch.arange(d_model, device=device) % 2 == 0, angle.sin(), angle.cos())


@wrong(caught_by=["base_sets_the_wavelengths"])
def sinusoidal_positions__ignores_base(n_positions, d_model, base=1e4, device=None):
    """The base was always 10000, whatever `base` says."""
    return sinusoidal_positions(n_positions, d_model, device=device)


@wrong(caught_by=["lies_on_the_given_device"])
def sinusoidal_positions__ignores_device(n_positions, d_model, base=1e4, device=None):
    """The table was made on the CPU, whatever `device` says."""
    return sinusoidal_positions(n_positions, d_model, base)


@wrong(
    caught_by=[
        "position_zero_is_zeros_and_ones",
        "position_three_by_hand",
        "agrees_with_the_formula",
        "odd_width_ends_with_a_sine",
        "base_sets_the_wavelengths",
        "lies_on_the_given_device",
    ]
)
def sinusoidal_positions__is_double(n_positions, d_model, base=1e4, device=None):
    """The table is float64. It is float32, like the embeddings that it is added to."""
    return sinusoidal_positions(n_positions, d_model, base, device).double()
