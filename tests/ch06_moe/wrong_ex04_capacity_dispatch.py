import math

import torch

from kata.wrong import wrong


def earlier(queue, n_experts):
    """How many entries of the queue before each one name the same expert."""
    chosen = (queue[:, None] == torch.arange(n_experts, device=queue.device)).long()
    return ((chosen.cumsum(0) - chosen) * chosen).sum(-1)


def in_order(idx, n_experts):
    """The slots as they should be."""
    return earlier(idx.T.flatten(), n_experts).reshape(idx.T.shape).T


def places(idx, keep, slot):
    """The token of each kept choice, its column, and where in the buffers it lies."""
    token, choice = keep.nonzero(as_tuple=True)
    return token, choice, (idx[token, choice], slot[token, choice])


@wrong(caught_by=["capacity_is_a_share_rounded_up", "capacity_is_an_int"])
def expert_capacity__rounds_down(n_tokens, n_experts, k, capacity_factor):
    """The capacity was rounded down (`int` and `//` do that). Round up, or even a balanced load
    does not fit when the tokens do not divide evenly."""
    if capacity_factor <= 0:
        raise ValueError(f"capacity_factor must be greater than 0, got {capacity_factor}")
    return int(n_tokens * k / n_experts * capacity_factor)


@wrong(caught_by=["capacity_is_a_share_rounded_up", "capacity_is_an_int"])
def expert_capacity__rounds_to_the_nearest(n_tokens, n_experts, k, capacity_factor):
    """The capacity was rounded to the nearest integer. Round up."""
    if capacity_factor <= 0:
        raise ValueError(f"capacity_factor must be greater than 0, got {capacity_factor}")
    return round(n_tokens * k / n_experts * capacity_factor)


@wrong(caught_by=["capacity_is_a_share_rounded_up", "capacity_is_an_int"])
def expert_capacity__rounds_the_share_first(n_tokens, n_experts, k, capacity_factor):
    """The equal share was rounded before it was multiplied by the factor. Round once, at the
    end."""
    if capacity_factor <= 0:
        raise ValueError(f"capacity_factor must be greater than 0, got {capacity_factor}")
    return math.ceil(math.ceil(n_tokens * k / n_experts) * capacity_factor)


@wrong(caught_by=["capacity_is_a_share_rounded_up"])
def expert_capacity__forgets_k(n_tokens, n_experts, k, capacity_factor):
    """Each token makes `k` choices: the experts share `n_tokens * k` of them."""
    if capacity_factor <= 0:
        raise ValueError(f"capacity_factor must be greater than 0, got {capacity_factor}")
    return math.ceil(n_tokens / n_experts * capacity_factor)


@wrong(caught_by=["capacity_is_an_int"])
def expert_capacity__returns_a_float(n_tokens, n_experts, k, capacity_factor):
    """The capacity is a float, as `//` of floats gives one. The size of a buffer is an int."""
    if capacity_factor <= 0:
        raise ValueError(f"capacity_factor must be greater than 0, got {capacity_factor}")
    return -(-n_tokens * k / n_experts * capacity_factor // 1)


@wrong(caught_by=["factor_must_be_positive"])
def expert_capacity__accepts_any_factor(n_tokens, n_experts, k, capacity_factor):
    """A factor of 0 or less was accepted: no expert could take any token."""
    return math.ceil(n_tokens * k / n_experts * capacity_factor)


@wrong(caught_by=["first_choices_are_served_first", "slots_agree_with_serving_one_by_one"])
def capacity_dispatch__drops_the_earlier_tokens(idx, n_experts, capacity):
    """The last tokens were served first, so that the earlier ones were dropped."""
    slot = in_order(idx.flip(0), n_experts).flip(0)
    return slot < capacity, slot


@wrong(caught_by=["first_choices_are_served_first", "slots_agree_with_serving_one_by_one"])
def capacity_dispatch__serves_token_by_token(idx, n_experts, capacity):
    """All choices of a token were served before the next token. The first choices of all tokens
    come before any second choice."""
    slot = earlier(idx.flatten(), n_experts).reshape(idx.shape)
    return slot < capacity, slot


@wrong(caught_by=["first_choices_are_served_first", "slots_agree_with_serving_one_by_one"])
def capacity_dispatch__counts_each_column_anew(idx, n_experts, capacity):
    """The counts began anew for the second choices, so that two tokens got the same slot. The first
    choices are in the buffer already."""
    columns = [earlier(idx[:, c], n_experts) for c in range(idx.shape[1])]
    slot = torch.stack(columns, dim=1)
    return slot < capacity, slot


@wrong(caught_by=["first_choices_are_served_first", "slots_agree_with_serving_one_by_one"])
def capacity_dispatch__numbers_from_one(idx, n_experts, capacity):
    """The slots are numbered from 1: `cumsum` counts the choice itself too. The first slot is 0."""
    slot = in_order(idx, n_experts) + 1
    return slot <= capacity, slot


@wrong(caught_by=["first_choices_are_served_first", "slots_agree_with_serving_one_by_one"])
def capacity_dispatch__keeps_one_too_many(idx, n_experts, capacity):
    """Slot number `capacity` was kept. The slots are 0 to capacity - 1."""
    slot = in_order(idx, n_experts)
    return slot <= capacity, slot


@wrong(caught_by=["first_choices_are_served_first", "slots_agree_with_serving_one_by_one"])
def capacity_dispatch__shares_one_counter(idx, n_experts, capacity):
    """All choices were numbered in one row. Each expert counts its own."""
    k, tokens = idx.T.shape
    slot = torch.arange(k * tokens, device=idx.device).reshape(k, tokens).T
    return slot < capacity, slot


@wrong(caught_by=["first_choices_are_served_first", "slots_agree_with_serving_one_by_one"])
def capacity_dispatch__mixes_up_the_axes(idx, n_experts, capacity):
    """The slots were computed in the order of the choices, but reshaped to (tokens, k) directly:
    first to (k, tokens), then transpose."""
    slot = earlier(idx.T.flatten(), n_experts).reshape(idx.shape)
    return slot < capacity, slot


@wrong(crashes=["slots_stay_on_the_device_of_the_choices"])
def capacity_dispatch__loops_over_the_tokens(idx, n_experts, capacity):
    """The choices were counted in a Python loop, which reads every value back from the device and
    is far too slow for real batches."""
    counts, slot = [0] * n_experts, torch.zeros_like(idx)
    for c in range(idx.shape[1]):
        for t in range(idx.shape[0]):
            expert = int(idx[t, c])
            slot[t, c] = counts[expert]
            counts[expert] += 1
    return slot < capacity, slot


@wrong(crashes=["slots_stay_on_the_device_of_the_choices"])
def capacity_dispatch__counts_on_the_cpu(idx, n_experts, capacity):
    """A new tensor (`arange`, `zeros`) was made on the CPU, whatever device `idx` is on: pass
    `device=idx.device`."""
    queue = idx.T.flatten()
    chosen = (queue[:, None] == torch.arange(n_experts)).long()
    slot = ((chosen.cumsum(0) - chosen) * chosen).sum(-1).reshape(idx.T.shape).T
    return slot < capacity, slot


@wrong(
    crashes=[
        "dispatch_copies_tokens_into_their_slots",
        "dropped_tokens_keep_their_residual",
        "gradient_of_dispatch_agrees",
    ]
)
def dispatch__ignores_keep(x, idx, keep, slot, n_experts, capacity):
    """Choices that were not kept were copied too: they have no slot in the buffer."""
    token, _, place = places(idx, torch.ones_like(keep), slot)
    return x.new_zeros(n_experts, capacity, x.shape[-1]).index_put(place, x[token])


@wrong(
    caught_by=[
        "dispatch_copies_tokens_into_their_slots",
        "dropped_tokens_keep_their_residual",
        "gradient_of_dispatch_agrees",
    ]
)
def dispatch__puts_dropped_tokens_into_the_last_slot(x, idx, keep, slot, n_experts, capacity):
    """Dropped tokens went into the last slot (`clamp`), over the token that is there."""
    buffers = x.new_zeros(n_experts, capacity, x.shape[-1])
    if capacity == 0:
        return buffers
    for c in range(idx.shape[1]):
        buffers = buffers.index_put((idx[:, c], slot[:, c].clamp(max=capacity - 1)), x)
    return buffers


@wrong(caught_by=["dispatch_copies_tokens_into_their_slots", "gradient_of_dispatch_agrees"])
def dispatch__copies_for_the_first_choice_only(x, idx, keep, slot, n_experts, capacity):
    """Only the first choices were copied. A token with `k` kept choices is in `k` buffers."""
    token, _, place = places(idx[:, :1], keep[:, :1], slot[:, :1])
    return x.new_zeros(n_experts, capacity, x.shape[-1]).index_put(place, x[token])


@wrong(caught_by=["dispatch_copies_tokens_into_their_slots", "gradient_of_dispatch_agrees"])
def dispatch__fills_the_buffers_without_gaps(x, idx, keep, slot, n_experts, capacity):
    """The tokens were put in the order of the tokens, not into the slots that were given."""
    buffers = x.new_zeros(n_experts, capacity, x.shape[-1])
    for e in range(n_experts):
        rows = x[((idx == e) & keep).any(-1)]
        buffers = buffers.index_put((torch.tensor(e), torch.arange(len(rows))), rows)
    return buffers


@wrong(crashes=["gradient_of_dispatch_agrees"])
def dispatch__cuts_the_tokens_from_the_graph(x, idx, keep, slot, n_experts, capacity):
    """The tokens were copied without their gradient (`.detach()`, `.data`, `no_grad`)."""
    token, _, place = places(idx, keep, slot)
    buffers = x.new_zeros(n_experts, capacity, x.shape[-1])
    return buffers.index_put(place, x[token].detach())


@wrong(caught_by=["dispatch_copies_tokens_into_their_slots"])
def dispatch__makes_buffers_in_float32(x, idx, keep, slot, n_experts, capacity):
    """The buffers are in float32 and on the CPU, whatever `x` is: `torch.zeros` makes them so, and
    `x.new_zeros` does not."""
    token, _, place = places(idx, keep, slot)
    return torch.zeros(n_experts, capacity, x.shape[-1]).index_put(place, x[token].float())


@wrong(
    caught_by=["combine_adds_up_the_kept_choices"], crashes=["dropped_tokens_keep_their_residual"]
)
def combine__returns_the_kept_tokens_only(buffers, idx, keep, slot, weights):
    """Tokens without a kept choice are missing in the result, so that it does not line up with the
    residual any more. They come back as zeros."""
    token, choice, place = places(idx, keep, slot)
    rows = buffers[place] * weights[token, choice, None]
    y = buffers.new_zeros(len(idx), buffers.shape[-1]).index_add(0, token, rows)
    return y[keep.any(-1)]


@wrong(
    caught_by=[
        "combine_adds_up_the_kept_choices",
        "dropped_tokens_keep_their_residual",
        "gradients_of_combine_agree",
    ]
)
def combine__reads_the_last_slot_for_dropped_tokens(buffers, idx, keep, slot, weights):
    """A dropped choice brought back the last slot (`clamp`), which belongs to another token."""
    if 0 in buffers.shape:
        return buffers.new_zeros(len(idx), buffers.shape[-1])
    rows = buffers[idx, slot.clamp(max=buffers.shape[1] - 1)]
    return (rows * weights[..., None]).sum(1)


@wrong(
    caught_by=[
        "combine_adds_up_the_kept_choices",
        "dropped_tokens_keep_their_residual",
        "gradients_of_combine_agree",
    ]
)
def combine__forgets_the_weights(buffers, idx, keep, slot, weights):
    """The rows of a token were added without its weights."""
    token, _, place = places(idx, keep, slot)
    y = buffers.new_zeros(len(idx), buffers.shape[-1])
    return y.index_add(0, token, buffers[place])


@wrong(
    caught_by=[
        "combine_adds_up_the_kept_choices",
        "dropped_tokens_keep_their_residual",
        "gradients_of_combine_agree",
    ]
)
def combine__renormalises_the_weights(buffers, idx, keep, slot, weights):
    """The weights of the kept choices were scaled to sum to 1 again. They stay as they are: what a
    dropped choice would have added is missing."""
    kept = (weights * keep).sum(-1, keepdim=True)
    weights = torch.where(kept > 0, weights / kept, weights)
    token, choice, place = places(idx, keep, slot)
    rows = buffers[place] * weights[token, choice, None]
    return buffers.new_zeros(len(idx), buffers.shape[-1]).index_add(0, token, rows)


@wrong(caught_by=["combine_adds_up_the_kept_choices"])
def combine__keeps_one_choice_per_token(buffers, idx, keep, slot, weights):
    """`y[token] = ...` and `y[token] += ...` write each token once, however often it is named: the
    other choices were lost. `index_add` adds them all up."""
    token, choice, place = places(idx, keep, slot)
    y = buffers.new_zeros(len(idx), buffers.shape[-1])
    y[token] += buffers[place] * weights[token, choice, None]
    return y


@wrong(caught_by=["gradients_of_combine_agree"])
def combine__cuts_the_weights_from_the_graph(buffers, idx, keep, slot, weights):
    """The weights were used without their gradient (`.detach()`, `.data`): the router would not
    learn."""
    token, choice, place = places(idx, keep, slot)
    rows = buffers[place] * weights[token, choice, None].detach()
    return buffers.new_zeros(len(idx), buffers.shape[-1]).index_add(0, token, rows)


@wrong(caught_by=["combine_adds_up_the_kept_choices"])
def combine__adds_up_in_float32(buffers, idx, keep, slot, weights):
    """The result is in float32 and on the CPU, whatever the buffers are: `torch.zeros` makes it
    so, and `buffers.new_zeros` does not."""
    token, choice, place = places(idx, keep, slot)
    rows = (buffers[place] * weights[token, choice, None]).float()
    return torch.zeros(len(idx), buffers.shape[-1]).index_add(0, token, rows)
