"""2.13 Sinusoidal positions   [medium, ~20 min]

Attention alone does not know the order of the tokens. The first transformer told it by adding a
fixed pattern to each position: waves of many lengths, like the hands of a clock, so that no two
positions look alike and the step from one position to another is the same rotation everywhere.
Rotary embeddings (3.8) turn the same waves into rotations of queries and keys.

Source: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, section 3.5.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def sinusoidal_positions(
    n_positions: int,
    d_model: int,
    base: float = 10_000.0,
    device: torch.device | str | None = None,
) -> Float[Tensor, "n_positions d_model"]:
    """Return the table of sinusoidal position encodings, one row per position from 0 on.

    Sine and cosine alternate along the columns, and the two of a pair share one frequency:

        table[pos, 2i]     = sin(pos / base^(2i / d_model))
        table[pos, 2i + 1] = cos(pos / base^(2i / d_model))

    `d_model` may be odd; the last sine then has no cosine. The table is float32 and lies on
    `device`, the CPU unless told.

    >>> sinusoidal_positions(2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    # solution
    position = torch.arange(n_positions, device=device, dtype=torch.float32)
    column = torch.arange(d_model, device=device)
    frequency = base ** (-(column // 2 * 2) / d_model)
    angle = position[:, None] * frequency  # (n_positions, d_model)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())
