"""3.8 Rotary position embedding (RoPE)   [medium, ~30 min]

Attention alone does not know where a token stands. RoPE tells it by turning: the features of a
query or key are taken in pairs, and each pair is rotated in its plane by an angle that grows with
the position, fast for the first pair and slowly for the last. What two tokens see of each other
then depends on their distance only. Llama, Mistral and Qwen turn queries and keys like this in
every layer. Which features form a pair is a convention, and there are two: a checkpoint that is
read with the wrong one runs, and writes nonsense.

Source: Su et al. (2021), RoFormer, https://arxiv.org/abs/2104.09864, section 3.2.2 and equation 34.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def rope_cos_sin(
    positions: Int[Tensor, "*batch seq"], head_dim: int, base: float = 10_000.0
) -> tuple[Float[Tensor, "*batch seq half"], Float[Tensor, "*batch seq half"]]:
    """Return the cosine and the sine of every angle: one per position and pair of features.

    At position p, pair i of the head_dim / 2 pairs is turned by p / base^(2i / head_dim) radians.

    Args:
        positions: any integers, not only 0, 1, 2, ...; one row for all texts, or one per text.
        head_dim: the number of features of a head.
        base: called theta in Llama's configuration.

    Returns:
        cos and sin, float32, on the device of `positions`.

    Raises:
        ValueError: `head_dim` is odd.

    >>> cos, sin = rope_cos_sin(torch.tensor([0, 3]), head_dim=4)
    >>> torch.atan2(sin, cos)
    tensor([[0.0000, 0.0000],
            [3.0000, 0.0300]])
    """
    # solution
    if head_dim % 2:
        raise ValueError(f"head_dim={head_dim} is odd: one feature has no partner")
    exponents = torch.arange(0, head_dim, 2, device=positions.device) / head_dim  # (half,)
    angles = positions[..., None] / base**exponents  # (*batch, seq, half)
    return angles.cos(), angles.sin()


def apply_rope(
    x: Float[Tensor, "*batch n_heads seq head_dim"],
    cos: Float[Tensor, "*#batch seq half"],
    sin: Float[Tensor, "*#batch seq half"],
    interleaved: bool = False,
) -> Float[Tensor, "*batch n_heads seq head_dim"]:
    """Rotate every pair of features (a, b) to (a cos - b sin, a sin + b cos), in its place.

    Args:
        x: the queries or the keys of all heads; not modified.
        cos: from `rope_cos_sin`, the same for every head. It is (seq, half), for all texts alike,
            or (batch, seq, half), with one row per text, as texts that are padded on the left need.
        sin: likewise.
        interleaved: which features form pair i. False: i and i + head_dim / 2, as Llama in
            Hugging Face transformers (half-rotated). True: 2i and 2i + 1, as the paper, and as
            Llama in Meta's own checkpoints.

    Returns:
        the rotated `x`, with its dtype and on its device, which is that of cos and sin.

    >>> quarter = torch.zeros(1, 2), torch.ones(1, 2)  # cos and sin of 90 degrees
    >>> x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    >>> apply_rope(x, *quarter)
    tensor([[[-3., -4.,  1.,  2.]]])
    >>> apply_rope(x, *quarter, interleaved=True)
    tensor([[[-2.,  1., -4.,  3.]]])
    """
    # solution
    a, b = (x[..., ::2], x[..., 1::2]) if interleaved else x.chunk(2, dim=-1)
    cos, sin = cos.unsqueeze(-3), sin.unsqueeze(-3)  # the same for every head
    turned = a * cos - b * sin, a * sin + b * cos  # (*batch, n_heads, seq, half) each
    if interleaved:
        return torch.stack(turned, dim=-1).flatten(-2).to(x.dtype)
    return torch.cat(turned, dim=-1).to(x.dtype)
