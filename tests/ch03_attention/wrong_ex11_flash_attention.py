import torch

from kata.wrong import wrong


def check(q, k, block_q, block_k, causal):
    if min(block_q, block_k) < 1 or (causal and q.shape[-2] > k.shape[-2]):
        raise ValueError("bad arguments")


def allowed(rows, columns, first, device):
    """True where key j of the tile is no later than query i, which stands `first` keys after it."""
    keys, queries = torch.arange(columns, device=device), torch.arange(rows, device=device)
    return keys <= queries[:, None] + first


def right_step(state, scores, values):
    """Work one tile into maximum, sum and output."""
    m, total, o = state
    new = torch.maximum(m, scores.amax(-1, keepdim=True))
    weights, factor = (scores - new).exp(), (m - new).exp()
    return new, total * factor + weights.sum(-1, keepdim=True), o * factor + weights @ values


def right_end(state):
    m, total, o = state
    return o / total, (m + total.log())[..., 0]


def flash(
    q, k, v, block_q, block_k, causal=False,
    *, scale=None, past=None, step=right_step, end=right_end, keys_for=None, mask=allowed,
    dtype=None, start=-torch.inf,
):  # fmt: skip
    """A right version with parts that can be replaced.

    `keys_for(first, rows, t_k)` says how many keys a block of queries meets.
    """
    check(q, k, block_q, block_k, causal)
    t_q, t_k = q.shape[-2], k.shape[-2]
    past = t_k - t_q if past is None else past
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    dtype = dtype or torch.promote_types(q.dtype, torch.float32)
    parts = []
    for i in range(0, t_q, block_q):
        queries = q[..., i : i + block_q, :].to(dtype)
        rows, first = queries.shape[-2], past + i
        n = min(t_k, keys_for(first, rows, t_k) if keys_for else first + rows) if causal else t_k
        m = torch.full_like(queries[..., :1], start)
        state = m, torch.zeros_like(m), torch.zeros_like(m)
        for j in range(0, n, block_k):
            keys, values = (x[..., j : j + block_k, :].to(dtype) for x in (k, v))
            scores = queries @ keys.mT * scale
            if causal:
                hidden = ~mask(rows, keys.shape[-2], first - j, q.device)
                scores = scores.masked_fill(hidden, -torch.inf)
            state = step(state, scores, values)
        parts.append(end(state))
    outputs, lses = zip(*parts, strict=True)
    return torch.cat(outputs, -2).to(q.dtype), torch.cat(lses, -1)


@wrong(caught_by=["nothing_larger_than_a_tile_is_made", "tiles_in_the_future_are_skipped"])
def flash_attention__materialises_the_scores(q, k, v, block_q, block_k, causal=False):
    """All scores were made at once, (t_q, t_k) of them. They may only ever exist tile by tile."""
    check(q, k, block_q, block_k, causal)
    dtype = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(dtype) @ k.to(dtype).mT * q.shape[-1] ** -0.5
    if causal:
        t_q, t_k = scores.shape[-2:]
        scores = scores.masked_fill(~allowed(t_q, t_k, t_k - t_q, q.device), -torch.inf)
    return (scores.softmax(-1) @ v.to(dtype)).to(q.dtype), scores.logsumexp(-1)


@wrong(caught_by=["nothing_larger_than_a_tile_is_made", "tiles_in_the_future_are_skipped"])
def flash_attention__takes_all_keys_at_once(q, k, v, block_q, block_k, causal=False):
    """Each block of queries met all keys in one go. The keys come in blocks of `block_k` too."""
    check(q, k, block_q, block_k, causal)
    return flash(q, k, v, block_q, k.shape[-2], causal)


@wrong(caught_by=["nothing_larger_than_a_tile_is_made"])
def flash_attention__builds_the_whole_mask(q, k, v, block_q, block_k, causal=False):
    """The causal mask of all queries and keys was made, (t_q, t_k) values. Make that of one tile,
    from the positions of its first query and key."""
    check(q, k, block_q, block_k, causal)
    t_q, t_k = q.shape[-2], k.shape[-2]
    whole = allowed(t_q, t_k, t_k - t_q, q.device) if causal else None

    def cut(rows, columns, first, device):
        i = first - (t_k - t_q)  # rows that the tile lies below the upper left corner
        return whole[max(i, 0) :, max(-i, 0) :][:rows, :columns]

    return flash(q, k, v, block_q, block_k, causal, mask=cut)


@wrong(caught_by=["tiles_in_the_future_are_skipped"])
def flash_attention__computes_all_tiles(q, k, v, block_q, block_k, causal=False):
    """Tiles that lie wholly in the future were computed and then masked. Leave them out: it is half
    of the work."""
    return flash(q, k, v, block_q, block_k, causal, keys_for=lambda first, rows, t_k: t_k)


@wrong(
    caught_by=[
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "huge_positive_scores",
        "gradients_agree_with_torch",
        "gradients_of_lse_agree_with_torch",
    ]
)
def flash_attention__skips_the_diagonal(q, k, v, block_q, block_k, causal=False):
    """Every tile with some key in the future was skipped. In a tile on the diagonal only a part is
    in the future: compute it and mask that part."""

    def keys_for(first, rows, t_k):
        return max(block_k, first // block_k * block_k)

    return flash(q, k, v, block_q, block_k, causal, keys_for=keys_for)


@wrong(
    caught_by=[
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "huge_positive_scores",
        "gradients_agree_with_torch",
        "gradients_of_lse_agree_with_torch",
    ]
)
def flash_attention__stops_at_the_first_query_of_a_block(q, k, v, block_q, block_k, causal=False):
    """The keys ended at the position of the first query of a block. The later queries of the block
    see further, up to the last one."""
    return flash(q, k, v, block_q, block_k, causal, keys_for=lambda first, rows, t_k: first + 1)


@wrong(
    caught_by=[
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "huge_negative_scores",
        "huge_positive_scores",
        "gradients_agree_with_torch",
        "gradients_of_lse_agree_with_torch",
    ]
)
def flash_attention__masks_whole_tiles_only(q, k, v, block_q, block_k, causal=False):
    """Tiles in the future were skipped, but inside a tile on the diagonal nothing was masked: its
    queries see keys of the future."""

    def mask(rows, columns, first, device):
        return torch.ones(rows, columns, dtype=torch.bool, device=device)

    return flash(q, k, v, block_q, block_k, causal, mask=mask)


@wrong(
    caught_by=[
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "huge_negative_scores",
        "huge_positive_scores",
        "gradients_agree_with_torch",
        "gradients_of_lse_agree_with_torch",
    ]
)
def flash_attention__masks_by_the_place_in_the_tile(q, k, v, block_q, block_k, causal=False):
    """Every tile got the same triangle. Compare positions in the whole sequence, not places in the
    tile."""

    def mask(rows, columns, first, device):
        return allowed(rows, columns, 0, device)

    return flash(q, k, v, block_q, block_k, causal, mask=mask)


@wrong(
    caught_by=[
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "huge_negative_scores",
        "huge_positive_scores",
        "gradients_agree_with_torch",
        "gradients_of_lse_agree_with_torch",
    ]
)
def flash_attention__puts_the_first_query_at_the_first_key(q, k, v, block_q, block_k, causal=False):
    """With fewer queries than keys the last query stands at the last key: query i is at position
    i + t_k - t_q, not at i."""
    return flash(q, k, v, block_q, block_k, causal, past=0)


@wrong(
    caught_by=[
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "huge_negative_scores",
        "huge_positive_scores",
        "tiles_in_the_future_are_skipped",
        "gradients_agree_with_torch",
        "gradients_of_lse_agree_with_torch",
    ]
)
def flash_attention__ignores_causal(q, k, v, block_q, block_k, causal=False):
    """`causal` was not used."""
    check(q, k, block_q, block_k, causal)
    return flash(q, k, v, block_q, block_k)


@wrong(
    caught_by=[
        "agrees_with_torch",
        "agrees_however_it_is_cut",
        "huge_positive_scores",
        "gradients_agree_with_torch",
        "output_keeps_the_dtype",
    ]
)
def flash_attention__forgets_to_rescale_the_output(q, k, v, block_q, block_k, causal=False):
    """When the maximum of a query rises, the sum was corrected, but not the output: it is relative
    to the old maximum too."""

    def step(state, scores, values):
        m, total, o = state
        new = torch.maximum(m, scores.amax(-1, keepdim=True))
        weights = (scores - new).exp()
        return new, total * (m - new).exp() + weights.sum(-1, keepdim=True), o + weights @ values

    return flash(q, k, v, block_q, block_k, causal, step=step)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "agrees_with_torch",
        "agrees_however_it_is_cut",
        "huge_negative_scores",
        "gradients_agree_with_torch",
        "output_keeps_the_dtype",
    ]
)
def flash_attention__normalises_in_every_tile(q, k, v, block_q, block_k, causal=False):
    """The output was divided by the sum in every tile. That sum is not complete yet: divide once,
    after the last tile."""

    def step(state, scores, values):
        m, total, o = right_step(state, scores, values)
        return m, total, o / total

    return flash(q, k, v, block_q, block_k, causal, step=step)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "agrees_with_torch",
        "agrees_however_it_is_cut",
        "huge_negative_scores",
        "gradients_agree_with_torch",
        "output_keeps_the_dtype",
    ]
)
def flash_attention__forgets_to_normalise(q, k, v, block_q, block_k, causal=False):
    """The output was never divided by the sum of the exponentials."""

    def end(state):
        return state[2], right_end(state)[1]

    return flash(q, k, v, block_q, block_k, causal, end=end)


@wrong(caught_by=["huge_negative_scores", "huge_positive_scores"])
def flash_attention__never_subtracts_the_maximum(q, k, v, block_q, block_k, causal=False):
    """`exp` of a large score is infinite. Subtract the running maximum before it."""

    def step(state, scores, values):
        m, total, o = state
        weights = scores.exp()
        return m, total + weights.sum(-1, keepdim=True), o + weights @ values

    return flash(q, k, v, block_q, block_k, causal, step=step, start=0.0)


@wrong(caught_by=["huge_negative_scores"])
def flash_attention__starts_the_maximum_at_zero(q, k, v, block_q, block_k, causal=False):
    """The running maximum started at 0. Where all scores of a query are far below it, nothing is
    left of them, and 0 / 0 is NaN: it has to start at -inf."""
    return flash(q, k, v, block_q, block_k, causal, start=0.0)


@wrong(
    caught_by=[
        "agrees_with_torch",
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "gradients_agree_with_torch",
        "gradients_of_lse_agree_with_torch",
        "output_keeps_the_dtype",
    ]
)
def flash_attention__drops_the_last_keys(q, k, v, block_q, block_k, causal=False):
    """Keys that do not fill a whole block were left out. The last block may be smaller."""
    check(q, k, block_q, block_k, causal)
    whole = k.shape[-2] // block_k * block_k or k.shape[-2]
    past = k.shape[-2] - q.shape[-2]
    return flash(q, k[..., :whole, :], v[..., :whole, :], block_q, block_k, causal, past=past)


@wrong(
    caught_by=[
        "agrees_with_torch",
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "gradients_agree_with_torch",
        "output_keeps_the_dtype",
    ]
)
def flash_attention__pads_the_keys_with_zeros(q, k, v, block_q, block_k, causal=False):
    """The last block was filled up with zeros. A key of zeros has score 0, and exp(0) is 1, so it
    takes part: mask it, or let the last block be smaller."""
    check(q, k, block_q, block_k, causal)
    short, past = -k.shape[-2] % block_k, k.shape[-2] - q.shape[-2]
    k, v = (torch.nn.functional.pad(x, (0, 0, 0, short)) for x in (k, v))
    return flash(q, k, v, block_q, block_k, causal, past=past)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "agrees_with_torch",
        "agrees_however_it_is_cut",
        "lse_is_that_of_the_scores",
        "huge_negative_scores",
        "huge_positive_scores",
        "gradients_agree_with_torch",
        "gradients_of_lse_agree_with_torch",
        "output_keeps_the_dtype",
        "statistics_are_not_kept_in_bfloat16",
    ]
)
def flash_attention__forgets_the_scale(q, k, v, block_q, block_k, causal=False):
    """The scores were not divided by sqrt(d)."""
    return flash(q, k, v, block_q, block_k, causal, scale=1.0)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "lse_is_that_of_the_scores",
        "huge_negative_scores",
        "huge_positive_scores",
        "gradients_of_lse_agree_with_torch",
        "statistics_are_not_kept_in_bfloat16",
    ]
)
def flash_attention__returns_the_logarithm_of_the_sum(q, k, v, block_q, block_k, causal=False):
    """The maximum is missing in lse. The sum is that of exp(score - maximum), so its logarithm
    lacks the maximum."""

    def end(state):
        return right_end(state)[0], state[1].log()[..., 0]

    return flash(q, k, v, block_q, block_k, causal, end=end)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "lse_is_that_of_the_scores",
        "huge_negative_scores",
        "huge_positive_scores",
        "gradients_of_lse_agree_with_torch",
        "statistics_are_not_kept_in_bfloat16",
    ]
)
def flash_attention__returns_the_sum(q, k, v, block_q, block_k, causal=False):
    """The sum of the exponentials was returned. lse is its logarithm, plus the maximum."""

    def end(state):
        return right_end(state)[0], state[1][..., 0]

    return flash(q, k, v, block_q, block_k, causal, end=end)


@wrong(
    caught_by=[
        "two_keys_by_hand",
        "lse_is_that_of_the_scores",
        "huge_negative_scores",
        "huge_positive_scores",
        "statistics_are_not_kept_in_bfloat16",
        "stays_on_the_device_of_the_inputs",
    ]
)
def flash_attention__keeps_an_axis_of_size_one(q, k, v, block_q, block_k, causal=False):
    """lse has one number per query: without the axis of size 1 that `keepdim=True` leaves."""
    o, lse = flash(q, k, v, block_q, block_k, causal)
    return o, lse[..., None]


@wrong(caught_by=["statistics_are_not_kept_in_bfloat16"])
def flash_attention__computes_in_bfloat16(q, k, v, block_q, block_k, causal=False):
    """Scores and sums were computed in the dtype of the inputs. In bfloat16 256 + 1 is 256: convert
    each block to float32 first."""
    return flash(q, k, v, block_q, block_k, causal, dtype=q.dtype)


@wrong(caught_by=["statistics_are_not_kept_in_bfloat16"])
def flash_attention__converts_the_scores_too_late(q, k, v, block_q, block_k, causal=False):
    """The scores were rounded to bfloat16 before they became float32. Convert queries and keys
    before the product."""

    def step(state, scores, values):
        return right_step(state, scores.to(q.dtype).to(scores.dtype), values)

    return flash(q, k, v, block_q, block_k, causal, step=step)


@wrong(caught_by=["output_keeps_the_dtype"])
def flash_attention__returns_float32(q, k, v, block_q, block_k, causal=False):
    """The output has to have the dtype of the inputs: convert it back from float32."""
    o, lse = flash(q, k, v, block_q, block_k, causal)
    return o.to(lse.dtype), lse


@wrong(caught_by=["gradients_agree_with_torch"], crashes=["gradients_of_lse_agree_with_torch"])
def flash_attention__detaches_the_weights(q, k, v, block_q, block_k, causal=False):
    """The weights were cut off from the gradient (`.detach()`, `.data`, `no_grad`): queries and
    keys would never learn."""

    def step(state, scores, values):
        return right_step(state, scores.detach(), values)

    return flash(q, k, v, block_q, block_k, causal, step=step)


@wrong(
    caught_by=["inputs_are_not_modified", "statistics_are_not_kept_in_bfloat16"],
    crashes=["gradients_agree_with_torch", "gradients_of_lse_agree_with_torch"],
)
def flash_attention__scales_in_place(q, k, v, block_q, block_k, causal=False):
    """The caller's queries were changed: `q *= ...` writes into them."""
    check(q, k, block_q, block_k, causal)
    q *= q.shape[-1] ** -0.5
    return flash(q, k, v, block_q, block_k, causal, scale=1.0)


@wrong(crashes=["stays_on_the_device_of_the_inputs"])
def flash_attention__makes_the_mask_on_the_cpu(q, k, v, block_q, block_k, causal=False):
    """The mask of a tile was made on the CPU, whatever the device of the inputs."""

    def mask(rows, columns, first, device):
        return allowed(rows, columns, first, "cpu")

    return flash(q, k, v, block_q, block_k, causal, mask=mask)


@wrong(caught_by=["output_keeps_the_dtype"], crashes=["stays_on_the_device_of_the_inputs"])
def flash_attention__fills_an_output_on_the_cpu(q, k, v, block_q, block_k, causal=False):
    """The output was written into a new `torch.zeros(...)`, which is float32 and on the CPU
    whatever the inputs are."""
    o, lse = flash(q, k, v, block_q, block_k, causal)
    result = torch.zeros(o.shape)
    result[...] = o
    return result, lse


@wrong(caught_by=["bad_arguments_are_errors"])
def flash_attention__accepts_bad_arguments(q, k, v, block_q, block_k, causal=False):
    """For a block size below 1, and for more queries than keys with `causal`, the docstring asks
    for a ValueError."""
    if causal and q.shape[-2] > k.shape[-2]:
        q = q[..., : k.shape[-2], :]
    return flash(q, k, v, max(block_q, 1), max(block_k, 1), causal)
