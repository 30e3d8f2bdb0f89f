import torch

from kata.wrong import wrong


def finish(seen, m, total):
    """The right weights, from the right maximum and sum."""
    row = torch.cat(seen, -1)
    exps = (row.to(m.dtype) - m.masked_fill(m == -torch.inf, 0.0)[..., None]).exp()
    return m, total, (exps / total.masked_fill(total == 0, 1.0)[..., None]).to(row.dtype)


def safe(m):
    return m.masked_fill(m == -torch.inf, 0.0)


def right_step(m, total, scores):
    new = torch.maximum(m, scores.amax(-1))
    shift = safe(new)
    return new, total * (m - shift).exp() + (scores - shift[..., None]).exp().sum(-1)


def stream(blocks, step, initial=-torch.inf):
    """Fold the blocks with `step(m, total, scores) -> (m, total)`, then make the weights."""
    seen = []
    for block in blocks:
        scores = block.to(torch.promote_types(block.dtype, torch.float32))
        if not seen:
            m = torch.full_like(scores[..., 0], initial)
            total = torch.zeros_like(m)
        m, total = step(m, total, scores)
        seen.append(block)
    if not seen:
        raise ValueError("no blocks")
    return seen, m, total


@wrong(
    caught_by=[
        "two_blocks_by_hand",
        "weights_agree_with_torch",
        "it_does_not_matter_how_the_rows_are_cut",
        "huge_scores_in_order_of_size",
        "blocks_of_minus_infinity",
        "gradients_agree_with_torch",
        "weights_keep_the_dtype",
        "maximum_and_sum_are_not_kept_in_bfloat16",
    ]
)
def online_softmax__forgets_to_rescale(blocks):
    """The sum so far is relative to the old maximum. When a larger score turns up, it has to be
    corrected, by exp(old maximum - new maximum), before the new terms are added."""

    def step(m, total, scores):
        new = torch.maximum(m, scores.amax(-1))
        return new, total + (scores - safe(new)[..., None]).exp().sum(-1)

    return finish(*stream(blocks, step))


@wrong(
    caught_by=[
        "two_blocks_by_hand",
        "weights_agree_with_torch",
        "it_does_not_matter_how_the_rows_are_cut",
        "huge_scores_in_order_of_size",
        "blocks_of_minus_infinity",
        "gradients_agree_with_torch",
        "weights_keep_the_dtype",
        "maximum_and_sum_are_not_kept_in_bfloat16",
    ]
)
def online_softmax__rescales_the_wrong_way(blocks):
    """The correction is upside down: the sum shrinks when the maximum rises, so the factor is
    exp(old maximum - new maximum), at most 1."""

    def step(m, total, scores):
        new = torch.maximum(m, scores.amax(-1))
        factor = (safe(new) - safe(m)).exp()
        return new, total * factor + (scores - safe(new)[..., None]).exp().sum(-1)

    return finish(*stream(blocks, step))


@wrong(
    caught_by=[
        "blocks_of_minus_infinity",
        "a_row_of_nothing_but_minus_infinity",
        "gradients_agree_with_torch",
        "weights_keep_the_dtype",
    ]
)
def online_softmax__gives_nan_for_minus_infinity(blocks):
    """While a row has had nothing but -inf its maximum is -inf too, and -inf - -inf is NaN.
    Subtract something finite there."""

    def step(m, total, scores):
        new = torch.maximum(m, scores.amax(-1))
        return new, total * (m - new).exp() + (scores - new[..., None]).exp().sum(-1)

    return finish(*stream(blocks, step))


@wrong(caught_by=["gradients_agree_with_torch"])
def online_softmax__repairs_nan_too_late(blocks):
    """The NaN of -inf - -inf was replaced after the exponential: the values are right then, but
    backwards the NaN is still there (0 * NaN is NaN). Do not let it arise."""

    def step(m, total, scores):
        new = torch.maximum(m, scores.amax(-1))
        before = total * (m - new).exp().nan_to_num(0.0)
        return new, before + (scores - new[..., None]).exp().nan_to_num(0.0).sum(-1)

    return finish(*stream(blocks, step))


@wrong(
    caught_by=[
        "it_does_not_matter_how_the_rows_are_cut",
        "a_row_of_nothing_but_minus_infinity",
        "blocks_of_minus_infinity",
    ]
)
def online_softmax__starts_the_maximum_at_zero(blocks):
    """The running maximum started at 0, which is larger than every score of a negative row. It has
    to start at -inf."""

    def step(m, total, scores):
        new = torch.maximum(m, scores.amax(-1))
        return new, total * (m - new).exp() + (scores - new[..., None]).exp().sum(-1)

    return finish(*stream(blocks, step, initial=0.0))


@wrong(caught_by=["a_row_of_nothing_but_minus_infinity"])
def online_softmax__starts_the_maximum_at_a_large_number(blocks):
    """The running maximum started at a large negative number instead of -inf. A row of nothing but
    -inf keeps it."""

    def step(m, total, scores):
        new = torch.maximum(m, scores.amax(-1))
        return new, total * (m - new).exp() + (scores - new[..., None]).exp().sum(-1)

    return finish(*stream(blocks, step, initial=-1e30))


@wrong(caught_by=["huge_scores_in_order_of_size"])
def online_softmax__never_subtracts_the_maximum(blocks):
    """`exp` of a large score is infinite. Subtract the running maximum before it, in every
    block."""
    seen, m, total = stream(
        blocks,
        lambda m, total, x: (torch.maximum(m, x.amax(-1)), total + x.exp().sum(-1)),
    )
    return finish(seen, m, total * (-safe(m)).exp())


@wrong(
    caught_by=[
        "two_blocks_by_hand",
        "weights_agree_with_torch",
        "huge_scores_in_order_of_size",
        "blocks_of_minus_infinity",
        "a_row_of_nothing_but_minus_infinity",
        "gradients_agree_with_torch",
        "weights_keep_the_dtype",
    ]
)
def online_softmax__normalises_each_block_when_it_comes(blocks):
    """Each block was divided by the sum that was known when it came. Later blocks make the sum
    larger, so the weights can be had only at the end."""
    parts = []

    def step(m, total, scores):
        new = torch.maximum(m, scores.amax(-1))
        exps = (scores - safe(new)[..., None]).exp()
        total = total * (m - safe(new)).exp() + exps.sum(-1)
        parts.append(exps / total.masked_fill(total == 0, 1.0)[..., None])
        return new, total

    seen, m, total = stream(blocks, step)
    return m, total, torch.cat(parts, -1).to(seen[0].dtype)


@wrong(
    caught_by=[
        "two_blocks_by_hand",
        "weights_agree_with_torch",
        "huge_scores_in_order_of_size",
        "blocks_of_minus_infinity",
        "a_row_of_nothing_but_minus_infinity",
        "gradients_agree_with_torch",
        "weights_keep_the_dtype",
    ]
)
def online_softmax__takes_the_softmax_of_each_block(blocks):
    """Each block got a softmax of its own. The weights of the whole row have to sum to 1."""
    seen, m, total = stream(blocks, right_step)
    return m, total, torch.cat([block.softmax(-1).nan_to_num(0.0) for block in seen], -1)


@wrong(
    caught_by=[
        "weights_agree_with_torch",
        "it_does_not_matter_how_the_rows_are_cut",
        "blocks_of_minus_infinity",
        "a_row_of_nothing_but_minus_infinity",
        "gradients_agree_with_torch",
        "weights_keep_the_dtype",
        "maximum_and_sum_are_not_kept_in_bfloat16",
    ]
)
def online_softmax__skips_blocks_without_a_new_maximum(blocks):
    """A block without a new maximum was skipped. Its exponentials belong to the sum too."""

    def step(m, total, scores):
        new, larger = right_step(m, total, scores)
        return new, larger.where(new > m, total)

    return finish(*stream(blocks, step))


@wrong(
    caught_by=[
        "it_does_not_matter_how_the_rows_are_cut",
        "huge_scores_in_order_of_size",
        "a_row_of_nothing_but_minus_infinity",
        "blocks_of_minus_infinity",
        "maximum_and_sum_are_not_kept_in_bfloat16",
    ],
    crashes=["weights_agree_with_torch"],
)
def online_softmax__shares_the_maximum_between_rows(blocks):
    """One maximum was taken over all rows. Every row has its own."""

    def step(m, total, scores):
        new = torch.maximum(m, scores.amax().expand_as(m))
        shift = safe(new)
        return new, total * (m - shift).exp() + (scores - shift[..., None]).exp().sum(-1)

    return finish(*stream(blocks, step))


@wrong(caught_by=["each_block_is_worked_on_before_the_next"])
def online_softmax__joins_the_blocks_first(blocks):
    """All blocks were collected before any of them was worked on. That is the ordinary softmax: the
    maximum and the sum have to be up to date before the next block is asked for."""
    seen = list(blocks)
    if not seen:
        raise ValueError("no blocks")
    row = torch.cat(seen, -1)
    row = row.to(torch.promote_types(row.dtype, torch.float32))
    m = row.amax(-1)
    return finish(seen, m, (row - safe(m)[..., None]).exp().sum(-1))


@wrong(caught_by=["maximum_and_sum_are_not_kept_in_bfloat16"])
def online_softmax__sums_in_bfloat16(blocks):
    """The sum was kept in the dtype of the blocks, and converted at the end. In bfloat16 256 + 1 is
    256: convert each block to float32 when it comes."""
    seen = []
    for block in blocks:
        if not seen:
            m = torch.full_like(block[..., 0], -torch.inf)
            total = torch.zeros_like(m)
        m, total = right_step(m, total, block)
        seen.append(block)
    if not seen:
        raise ValueError("no blocks")
    dtype = torch.promote_types(block.dtype, torch.float32)
    return finish(seen, m.to(dtype), total.to(dtype))


@wrong(caught_by=["weights_keep_the_dtype"])
def online_softmax__returns_float32_weights(blocks):
    """The weights have to have the dtype of the blocks: convert them back from float32."""
    seen, m, total = stream(blocks, right_step)
    return finish([block.to(m.dtype) for block in seen], m, total)


@wrong(caught_by=["gradients_agree_with_torch"])
def online_softmax__detaches_the_sum(blocks):
    """The sum was treated as a constant (`.detach()`, `.item()`, `no_grad`): its part of the
    gradient is missing."""
    seen, m, total = stream(blocks, right_step)
    return finish(seen, m, total.detach())


@wrong(caught_by=["blocks_are_not_modified"], crashes=["gradients_agree_with_torch"])
def online_softmax__subtracts_in_place(blocks):
    """The caller's blocks were changed: `block -= ...` writes into them."""
    seen, m, total = stream(blocks, right_step)
    for block in seen:
        block -= safe(m)[..., None]
    exps = torch.cat(seen, -1).exp()
    return m, total, (exps / total.masked_fill(total == 0, 1.0)[..., None]).to(exps.dtype)


@wrong(crashes=["stays_on_the_device_of_the_blocks"])
def online_softmax__starts_on_the_cpu(blocks):
    """The running maximum and sum were made on the CPU, whatever the device of the blocks."""
    seen = []
    for block in blocks:
        scores = block.to(torch.promote_types(block.dtype, torch.float32))
        if not seen:
            m = torch.full(scores.shape[:-1], -torch.inf)
            total = torch.zeros(scores.shape[:-1])
        m, total = right_step(m, total, scores)
        seen.append(block)
    if not seen:
        raise ValueError("no blocks")
    return finish(seen, m, total)


@wrong(crashes=["stays_on_the_device_of_the_blocks"])
def online_softmax__asks_whether_a_tensor_is_infinite(blocks):
    """`if` on the value of a tensor: it decides for all rows at once, waits for a GPU, and has no
    answer on the meta device. Use `torch.where` or `masked_fill`."""
    seen = []
    for block in blocks:
        scores = block.to(torch.promote_types(block.dtype, torch.float32))
        if not seen:
            m, total = torch.full_like(scores[..., 0], -torch.inf), torch.zeros_like(scores[..., 0])
        if not (scores == -torch.inf).all():
            m, total = right_step(m, total, scores)
        seen.append(block)
    if not seen:
        raise ValueError("no blocks")
    return finish(seen, m, total)


@wrong(caught_by=["a_stream_without_blocks_is_an_error"])
def online_softmax__accepts_no_blocks(blocks):
    """For a stream without any block the docstring asks for a ValueError."""
    try:
        return finish(*stream(blocks, right_step))
    except ValueError:
        return torch.tensor(-torch.inf), torch.tensor(0.0), torch.tensor([])
