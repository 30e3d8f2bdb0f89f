"""Mistakes of chapter 9, written a second time."""

import torch
from matplotlib.figure import Figure

from solutions.ch09_scaling.ex02_chinchilla import HOFFMANN, chinchilla_loss, optimal_allocation
from solutions.ch09_scaling.ex05_plot_scaling import KAPLAN
from solutions.ch09_scaling.ex06_model_cost import seconds_per_token
from tests.meta.mistakes import same_as


@same_as("9.1", "forward_flops__forgets_the_pairs")
def forward_flops__lists_the_matrices(config, seq):
    if seq < 1 or seq > config.n_positions:
        raise ValueError("bad length")
    width = config.n_embd
    shapes = []
    for _ in range(config.n_layer):
        shapes += [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
    shapes.append((width, config.vocab_size))
    return sum(2 * seq * rows * columns for rows, columns in shapes)


@same_as("9.2", "chinchilla_loss__raises_the_constant_too")
def chinchilla_loss__of_quotients(n_params, n_tokens, constants=HOFFMANN):
    model_term = (constants.A / n_params) ** constants.alpha
    data_term = (constants.B / n_tokens) ** constants.beta
    return constants.E + model_term + data_term


@same_as("9.2", "optimal_allocation__makes_both_terms_equal")
def optimal_allocation__by_bisection(flops, constants=HOFFMANN):
    if not flops > 0:
        raise ValueError("flops must be positive")

    def gap(n):
        d = flops / 6 / n
        return constants.A * n**-constants.alpha - constants.B * d**-constants.beta

    low, high = 1e-300, flops  # the gap falls from above 0 to below 0
    for _ in range(3000):
        middle = (low * high) ** 0.5
        if middle == 0:
            middle = low**0.5 * high**0.5
        low, high = (middle, high) if gap(middle) > 0 else (low, middle)
    return low, flops / 6 / low


@same_as("9.3", "fit_power_law__has_no_constant")
def fit_power_law__with_polyfit(x, y):
    import numpy as np

    if len(x) != len(y) or len(set(x)) < 3 or min(x) <= 0 or min(y) <= 0:
        raise ValueError("bad points")
    slope, intercept = np.polyfit(np.log(np.array(x)), np.log(np.array(y)), 1)
    return float(np.exp(intercept)), float(-slope), 0.0


@same_as("9.3", "isoflop_minimum__is_linear_in_the_size")
def isoflop_minimum__with_polyfit(n_params, losses):
    import numpy as np

    if len(n_params) != len(losses) or len(set(n_params)) < 3 or min(*n_params, *losses) <= 0:
        raise ValueError("bad points")
    a, b, _ = np.polyfit(n_params, losses, 2)
    bottom = -b / (2 * a)
    if a <= 0 or bottom < min(n_params) or bottom > max(n_params):
        raise ValueError("no minimum")
    return float(bottom)


@same_as("9.4", "quantize_int8__truncates")
def quantize_int8__row_by_row(weight):
    if weight.ndim != 2:
        raise ValueError("a matrix is needed")
    weight = weight.detach()
    if weight.dtype != torch.float64:
        weight = weight.float()
    rows, scales = [], []
    for row in weight:
        scale = row.abs().max() / 127
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        rows.append((row / scale).clamp(-127, 127).type(torch.int8))
        scales.append(scale)
    return torch.stack(rows), torch.stack(scales).unsqueeze(1)


@same_as("9.5", "plot_scaling__forgets_the_6")
def plot_scaling__with_subplots(sizes, budgets):
    if not len(sizes) or not len(budgets) or min(sizes) <= 0 or min(budgets) <= 0:
        raise ValueError("nothing to draw")
    figure = Figure()
    kaplan, chinchilla = figure.subplots(1, 2)
    for name in KAPLAN:
        constant, power = KAPLAN[name]
        kaplan.loglog(sizes, [constant**power * size**-power for size in sizes], label=name)
    for budget in budgets:
        curve = [chinchilla_loss(size, budget / size) for size in sizes]
        chinchilla.loglog(sizes, curve, label=f"{budget:g} FLOPs")
    frontier = [optimal_allocation(budget)[0] for budget in budgets]
    lowest = [chinchilla_loss(*optimal_allocation(budget)) for budget in budgets]
    chinchilla.loglog(frontier, lowest, marker="s", label="compute-optimal")
    kaplan.set(title="Kaplan", xlabel="N or D", ylabel="loss")
    chinchilla.set(title="Chinchilla", xlabel="parameters", ylabel="loss")
    kaplan.legend()
    chinchilla.legend()
    return figure


@same_as("9.6", "memory_bytes__caches_every_query_head")
def memory_bytes__of_the_hidden_size(model, load):
    cache = 2 * load.batch * load.context * model.num_hidden_layers * model.hidden_size
    return model.bytes_per_weight * model.n_params + cache * 2


@same_as("9.6", "price_per_million__rents_parts_of_machines")
def price_per_million__of_one_machine(model, hardware, load):
    tokens_per_second = load.batch / seconds_per_token(model, hardware, load)
    price_per_second = hardware.price_per_hour / 3600
    return price_per_second / tokens_per_second * 1_000_000
