import torch

from kata.wrong import wrong
from solutions.ch03_attention.ex08_rope import apply_rope


def partners(x, interleaved):
    """The two features of every pair."""
    return (x[..., ::2], x[..., 1::2]) if interleaved else x.chunk(2, dim=-1)


def joined(a, b, interleaved):
    """The features in the order of the input."""
    return torch.stack((a, b), -1).flatten(-2) if interleaved else torch.cat((a, b), -1)


def angles(positions, head_dim, base=10_000.0):
    if head_dim % 2:
        raise ValueError(f"head_dim={head_dim} is odd")
    pairs = torch.arange(head_dim // 2, device=positions.device)
    return positions[..., None] / base ** (2 * pairs / head_dim)


# --------------------------------------------------------------------------------- the angles


@wrong(caught_by=["angles_by_hand", "angles_agree_with_the_formula", "agrees_with_llama"])
def rope_cos_sin__restarts_at_zero(positions, head_dim, base=10_000.0):
    """The positions that were given were counted, but not used: the angles are those of 0, 1, 2,
    ... whatever `positions` holds."""
    counted = torch.arange(positions.shape[-1], device=positions.device).expand(positions.shape)
    turned = angles(counted, head_dim, base)
    return turned.cos(), turned.sin()


@wrong(caught_by=["angles_agree_with_the_formula", "agrees_with_llama"])
def rope_cos_sin__reads_the_first_text_only(positions, head_dim, base=10_000.0):
    """With one row of positions per text, all texts got the first row."""
    turned = angles(positions, head_dim, base)
    if positions.dim() > 1:
        turned = turned[:1].expand_as(turned)
    return turned.cos(), turned.sin()


@wrong(caught_by=["angles_agree_with_the_formula", "agrees_with_llama"])
def rope_cos_sin__ignores_base(positions, head_dim, base=10_000.0):
    """The base is always 10000, whatever `base` says."""
    turned = angles(positions, head_dim)
    return turned.cos(), turned.sin()


@wrong(caught_by=["angles_by_hand", "angles_agree_with_the_formula", "agrees_with_llama"])
def rope_cos_sin__forgets_the_two_in_the_exponent(positions, head_dim, base=10_000.0):
    """The exponent is i / head_dim. It has to be 2i / head_dim: there are only half as many pairs
    as features, and together they span the whole range."""
    pairs = torch.arange(head_dim // 2, device=positions.device)
    if head_dim % 2:
        raise ValueError(f"head_dim={head_dim} is odd")
    turned = positions[..., None] / base ** (pairs / head_dim)
    return turned.cos(), turned.sin()


@wrong(
    caught_by=[
        "angles_by_hand",
        "angles_agree_with_the_formula",
        "scores_depend_on_the_distance_only",
        "agrees_with_llama",
    ]
)
def rope_cos_sin__multiplies_by_the_wavelength(positions, head_dim, base=10_000.0):
    """The position was multiplied by base^(2i / head_dim). It is divided by it: later pairs turn
    more slowly."""
    if head_dim % 2:
        raise ValueError(f"head_dim={head_dim} is odd")
    pairs = torch.arange(head_dim // 2, device=positions.device)
    turned = positions[..., None] * base ** (2 * pairs / head_dim)
    return turned.cos(), turned.sin()


@wrong(caught_by=["angles_by_hand", "angles_agree_with_the_formula", "agrees_with_llama"])
def rope_cos_sin__swaps_the_two(positions, head_dim, base=10_000.0):
    """Sine and cosine came back in the wrong order: the cosine is first."""
    turned = angles(positions, head_dim, base)
    return turned.sin(), turned.cos()


@wrong(
    caught_by=[
        "angles_by_hand",
        "angles_agree_with_the_formula",
        "stays_on_the_device_of_its_input",
    ],
    crashes=["scores_depend_on_the_distance_only", "agrees_with_llama"],
)
def rope_cos_sin__lists_every_angle_twice(positions, head_dim, base=10_000.0):
    """There is an angle for every feature. Asked for is one per pair, head_dim / 2 of them, which
    serves both layouts."""
    turned = angles(positions, head_dim, base)
    turned = torch.cat((turned, turned), -1)
    return turned.cos(), turned.sin()


@wrong(
    caught_by=[
        "angles_by_hand",
        "angles_agree_with_the_formula",
        "scores_depend_on_the_distance_only",
        "agrees_with_llama",
    ]
)
def rope_cos_sin__works_in_half_precision(positions, head_dim, base=10_000.0):
    """The angles were computed in bfloat16, which cannot even count to 257. Positions need
    float32."""
    turned = angles(positions.bfloat16(), head_dim, base).bfloat16()
    return turned.cos().float(), turned.sin().float()


@wrong(
    caught_by=[
        "angles_by_hand",
        "angles_agree_with_the_formula",
        "stays_on_the_device_of_its_input",
    ]
)
def rope_cos_sin__works_in_double_precision(positions, head_dim, base=10_000.0):
    """cos and sin are float64. The docstring asks for float32, else the queries that are multiplied
    by them become float64 too."""
    turned = angles(positions, head_dim, base).double()
    return turned.cos(), turned.sin()


@wrong(crashes=["stays_on_the_device_of_its_input"])
def rope_cos_sin__makes_tensors_on_the_cpu(positions, head_dim, base=10_000.0):
    """The frequencies were made on the CPU for positions that are elsewhere: give `torch.arange`
    the device of `positions`."""
    if head_dim % 2:
        raise ValueError(f"head_dim={head_dim} is odd")
    pairs = torch.arange(head_dim // 2)
    turned = positions[..., None] / base ** (2 * pairs / head_dim)
    return turned.cos(), turned.sin()


@wrong(caught_by=["odd_size_is_refused"])
def rope_cos_sin__accepts_an_odd_size(positions, head_dim, base=10_000.0):
    """An odd `head_dim` was accepted, although its last feature has no partner. The docstring asks
    for a ValueError."""
    turned = positions[..., None] / base ** (
        torch.arange(0, head_dim, 2, device=positions.device) / head_dim
    )
    return turned.cos(), turned.sin()


# ------------------------------------------------------------------------------- the rotation


@wrong(
    caught_by=[
        "a_quarter_turn_by_hand",
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "agrees_with_llama",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__does_nothing(x, cos, sin, interleaved=False):
    """`x` came back as it was: nothing is rotated."""
    return x.clone()


@wrong(
    caught_by=[
        "a_quarter_turn_by_hand",
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "agrees_with_llama",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__turns_the_other_way(x, cos, sin, interleaved=False):
    """The pairs were rotated by minus the angle: the sign of the sine belongs in the first row,
    a cos - b sin."""
    return apply_rope(x, cos, -sin, interleaved)


@wrong(
    caught_by=[
        "a_quarter_turn_by_hand",
        "scores_depend_on_the_distance_only",
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "agrees_with_llama",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__forgets_the_minus(x, cos, sin, interleaved=False):
    """Both rows were added. A rotation has one minus, a cos - b sin, and keeps the length of every
    pair; without it, lengths change with the position."""
    cos, sin = cos.unsqueeze(-3), sin.unsqueeze(-3)
    a, b = partners(x, interleaved)
    return joined(a * cos + b * sin, a * sin + b * cos, interleaved).to(x.dtype)


@wrong(
    caught_by=[
        "a_quarter_turn_by_hand",
        "scores_depend_on_the_distance_only",
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "agrees_with_llama",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__uses_the_turned_half_twice(x, cos, sin, interleaved=False):
    """The second row was computed from the new a. Both rows need the features from before the
    rotation."""
    cos, sin = cos.unsqueeze(-3), sin.unsqueeze(-3)
    a, b = partners(x, interleaved)
    a = a * cos - b * sin
    return joined(a, a * sin + b * cos, interleaved).to(x.dtype)


@wrong(
    caught_by=[
        "a_quarter_turn_by_hand",
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "layouts_differ_in_the_order_of_features",
        "agrees_with_llama",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__swaps_the_layouts(x, cos, sin, interleaved=False):
    """The two layouts are swapped: unless `interleaved` is set, feature i belongs to feature
    i + head_dim / 2."""
    return apply_rope(x, cos, sin, not interleaved)


@wrong(
    caught_by=[
        "a_quarter_turn_by_hand",
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "layouts_differ_in_the_order_of_features",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__knows_one_layout_only(x, cos, sin, interleaved=False):
    """`interleaved` has no effect."""
    return apply_rope(x, cos, sin)


@wrong(
    caught_by=[
        "a_quarter_turn_by_hand",
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "layouts_differ_in_the_order_of_features",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__leaves_the_features_regrouped(x, cos, sin, interleaved=False):
    """Interleaved pairs were rotated, but not put back in their places: the first halves of all
    pairs come first now. That mixes the layouts."""
    cos, sin = cos.unsqueeze(-3), sin.unsqueeze(-3)
    a, b = partners(x, interleaved)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1).to(x.dtype)


@wrong(
    caught_by=[
        "scores_depend_on_the_distance_only",
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "layouts_differ_in_the_order_of_features",
        "agrees_with_llama",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__joins_halves_with_interleaved_angles(x, cos, sin, interleaved=False):
    """The angles were repeated next to each other (0 0 1 1), but the pairs are half a head apart:
    for them the angles repeat as a whole (0 1 0 1)."""
    if interleaved:
        return apply_rope(x, cos, sin, interleaved)
    cos, sin = (t.unsqueeze(-3).repeat_interleave(2, -1) for t in (cos, sin))
    a, b = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-b, a), -1) * sin).to(x.dtype)


@wrong(caught_by=["each_text_has_positions_of_its_own"], crashes=["agrees_with_llama"])
def apply_rope__takes_heads_for_texts(x, cos, sin, interleaved=False):
    """cos and sin with one row per text were laid along the heads. They need an axis of size 1
    where `x` has its heads."""
    a, b = partners(x, interleaved)
    return joined(a * cos - b * sin, a * sin + b * cos, interleaved).to(x.dtype)


@wrong(
    caught_by=[
        "agrees_with_complex_numbers",
        "each_text_has_positions_of_its_own",
        "agrees_with_llama",
        "gradient_agrees_with_complex_numbers",
        "keeps_the_dtype",
    ]
)
def apply_rope__lays_positions_along_the_heads(x, cos, sin, interleaved=False):
    """The angles were laid along the heads, as if x were (batch, seq, n_heads, head_dim). Here the
    heads come before the tokens."""
    cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
    a, b = partners(x.transpose(-3, -2), interleaved)
    turned = joined(a * cos - b * sin, a * sin + b * cos, interleaved)
    return turned.reshape(x.shape).to(x.dtype)


@wrong(caught_by=["keeps_the_dtype"])
def apply_rope__returns_float32(x, cos, sin, interleaved=False):
    """The result has the dtype of cos and sin. Convert it back to that of `x`."""
    return apply_rope(x.float(), cos, sin, interleaved)


@wrong(caught_by=["input_is_not_modified"], crashes=["gradient_agrees_with_complex_numbers"])
def apply_rope__writes_into_the_input(x, cos, sin, interleaved=False):
    """`x` itself was changed: assigning to a slice of it writes into the caller's tensor."""
    a, b = (part.clone() for part in partners(x, interleaved))
    cos, sin = cos.unsqueeze(-3), sin.unsqueeze(-3)
    first, second = partners(x, interleaved)
    first[...] = a * cos - b * sin
    second[...] = a * sin + b * cos
    return x


@wrong(caught_by=["gradient_agrees_with_complex_numbers"])
def apply_rope__detaches_the_turned_half(x, cos, sin, interleaved=False):
    """The part that is multiplied by the sine was cut off from the gradient (`.detach()`, `.data`,
    `no_grad`): only the part with the cosine learns."""
    cos, sin = cos.unsqueeze(-3), sin.unsqueeze(-3)
    a, b = partners(x, interleaved)
    first, second = a * cos - b.detach() * sin, a.detach() * sin + b * cos
    return joined(first, second, interleaved).to(x.dtype)
