import torch

from kata.wrong import wrong
from solutions.ch06_moe.ex06_grouped_dispatch import grouped_dispatch

VALUES = [
    "three_tokens_by_hand",
    "weights_are_used_as_they_are",
    "agrees_with_the_layer",
    "keeps_the_dtype_of_the_tokens",
    "gradients_agree_with_a_loop",
    "everything_learns_as_in_the_layer",
]
CALLS = ["each_expert_is_called_once_with_its_tokens", "unchosen_expert_is_not_called"]


def groups(idx, n_experts):
    """The choices in the order of their experts, and how many there are of each."""
    chosen = idx.flatten()
    if ((chosen < 0) | (chosen >= n_experts)).any():
        raise ValueError("idx has an unknown expert")
    return chosen.argsort(stable=True), torch.bincount(chosen, minlength=n_experts).tolist()


def outputs(x, token, load, experts):
    """What the experts make of their tokens, in the order of the sorted choices."""
    pairs = zip(experts, x[token].split(load), strict=True)
    made = [expert(group) for expert, group in pairs if len(group)]
    return torch.cat(made) if made else x[:0]


@wrong(caught_by=VALUES)
def grouped_dispatch__loses_the_way_back(x, idx, weights, experts):
    """The results stayed in the order of the experts. They were sorted; each has to go back to the
    row of its token."""
    order, load = groups(idx, len(experts))
    y = outputs(x, order // idx.shape[1], load, experts) * weights.flatten()[order, None]
    return y.view(*idx.shape, x.shape[1]).sum(1).to(x.dtype)


@wrong(caught_by=[*VALUES, "each_expert_is_called_once_with_its_tokens"])
def grouped_dispatch__takes_a_choice_for_a_token(x, idx, weights, experts):
    """The choices were flattened token by token, so that choice number i is of token i // k. i % n
    would be right if all first choices came before all second ones."""
    order, load = groups(idx, len(experts))
    token = order % max(len(x), 1)
    y = outputs(x, token, load, experts) * weights.flatten()[order, None]
    return torch.zeros_like(x).index_add(0, token, y.to(x.dtype))


@wrong(caught_by=VALUES)
def grouped_dispatch__does_not_sort_the_weights(x, idx, weights, experts):
    """The weights are still in the order of the tokens, while the results are in the order of the
    experts: sort both in the same way."""
    order, load = groups(idx, len(experts))
    token = order // idx.shape[1]
    y = outputs(x, token, load, experts) * weights.flatten()[:, None]
    return torch.zeros_like(x).index_add(0, token, y.to(x.dtype))


@wrong(caught_by=VALUES)
def grouped_dispatch__applies_the_weights_twice(x, idx, weights, experts):
    """Each result was multiplied by its weight twice, once after the expert and once more when it
    was added."""
    return grouped_dispatch(x, idx, weights * weights, experts)


@wrong(
    caught_by=[
        "gradients_agree_with_a_loop",
        "inputs_are_not_modified",
        "keeps_the_dtype_of_the_tokens",
        "weights_are_used_as_they_are",
    ]
)
def grouped_dispatch__normalises_the_weights(x, idx, weights, experts):
    """The weights were divided by their sum, in place besides. Whether they should sum to 1 is for
    the router to decide."""
    with torch.no_grad():
        weights /= weights.sum(-1, keepdim=True)
    return grouped_dispatch(x, idx, weights, experts)


@wrong(caught_by=VALUES)
def grouped_dispatch__forgets_the_weights(x, idx, weights, experts):
    """The results were added without their weights."""
    return grouped_dispatch(x, idx, torch.ones_like(weights), experts)


@wrong(
    caught_by=[
        "agrees_with_the_layer",
        "each_expert_is_called_once_with_its_tokens",
        "everything_learns_as_in_the_layer",
        "gradients_agree_with_a_loop",
        "three_tokens_by_hand",
    ]
)
def grouped_dispatch__weighs_what_goes_in(x, idx, weights, experts):
    """The tokens were weighted before they went through the expert. An expert is not linear: the
    weight belongs to what comes out."""
    order, load = groups(idx, len(experts))
    token = order // idx.shape[1]
    pairs = zip(experts, (x[token] * weights.flatten()[order, None]).split(load), strict=True)
    made = torch.cat([expert(group) for expert, group in pairs if len(group)] or [x[:0]])
    return torch.zeros_like(x).index_add(0, token, made.to(x.dtype))


@wrong(
    caught_by=[
        "agrees_with_the_layer",
        "keeps_the_dtype_of_the_tokens",
        "three_tokens_by_hand",
        "weights_are_used_as_they_are",
    ]
)
def grouped_dispatch__keeps_one_result_per_token(x, idx, weights, experts):
    """`y[token] += ...` with a token that occurs several times keeps only one of the sums.
    index_add adds all of them."""
    order, load = groups(idx, len(experts))
    token = order // idx.shape[1]
    y = torch.zeros_like(x)
    made = outputs(x, token, load, experts) * weights.flatten()[order, None]
    y[token] += made.to(x.dtype)
    return y


@wrong(crashes=["keeps_the_dtype_of_the_tokens"])
def grouped_dispatch__adds_another_dtype(x, idx, weights, experts):
    """index_add takes only rows of the dtype of the sum. A bfloat16 result times a float32 weight
    is float32: bring it back to the dtype of `x`."""
    order, load = groups(idx, len(experts))
    token = order // idx.shape[1]
    y = outputs(x, token, load, experts) * weights.flatten()[order, None]
    return torch.zeros_like(x).index_add(0, token, y)


@wrong(caught_by=["keeps_the_dtype_of_the_tokens"])
def grouped_dispatch__sums_in_a_new_float32_tensor(x, idx, weights, experts):
    """The sum was made with `torch.zeros(...)`, float32 and on the CPU, whatever `x` is."""
    order, load = groups(idx, len(experts))
    token = order // idx.shape[1]
    y = outputs(x, token, load, experts) * weights.flatten()[order, None]
    return torch.zeros(x.shape).index_add(0, token.cpu(), y.cpu().float())


@wrong(caught_by=["three_tokens_by_hand", "unchosen_expert_is_not_called"])
def grouped_dispatch__counts_only_who_was_chosen(x, idx, weights, experts):
    """An expert without tokens got the next one's: `unique` leaves its count out, and from there on
    slices and experts do not belong together. bincount with minlength counts zeros too."""
    order, _ = groups(idx, len(experts))
    load = idx.flatten().unique(return_counts=True)[1].tolist()
    token = order // idx.shape[1]
    made = [e(group) for e, group in zip(experts, x[token].split(load), strict=False)]
    y = torch.cat(made or [x[:0]]) * weights.flatten()[order, None]
    return torch.zeros_like(x).index_add(0, token, y.to(x.dtype))


@wrong(caught_by=["unchosen_expert_is_not_called", "no_tokens_call_no_expert"])
def grouped_dispatch__calls_experts_with_nothing(x, idx, weights, experts):
    """An expert that no token chose was called with an empty group. Leave it out."""
    order, load = groups(idx, len(experts))
    token = order // idx.shape[1]
    made = [e(group) for e, group in zip(experts, x[token].split(load), strict=True)]
    y = torch.cat(made) * weights.flatten()[order, None]
    return torch.zeros_like(x).index_add(0, token, y.to(x.dtype))


@wrong(crashes=["no_tokens_call_no_expert"])
def grouped_dispatch__needs_a_token(x, idx, weights, experts):
    """torch.cat cannot join an empty list. With no tokens no expert is called, and the result is as
    empty as `x`."""
    order, load = groups(idx, len(experts))
    token = order // idx.shape[1]
    pairs = zip(experts, x[token].split(load), strict=True)
    y = torch.cat([e(group) for e, group in pairs if len(group)])
    y = y * weights.flatten()[order, None]
    return torch.zeros_like(x).index_add(0, token, y.to(x.dtype))


@wrong(caught_by=["each_expert_is_called_once_with_its_tokens"])
def grouped_dispatch__calls_the_expert_for_each_token(x, idx, weights, experts):
    """An expert was called for one token after the other. A thousand small products take far longer
    than one large one: call it once, with all of its tokens."""
    one_by_one = [lambda g, e=e: torch.cat([e(row) for row in g.split(1)]) for e in experts]
    return grouped_dispatch(x, idx, weights, one_by_one)


@wrong(caught_by=[*CALLS, "no_tokens_call_no_expert"])
def grouped_dispatch__gives_everything_to_everyone(x, idx, weights, experts):
    """Every expert computed with all tokens, and what was not wanted was weighted with 0. That is
    the work of a dense layer, which the router is there to save."""
    groups(idx, len(experts))
    y = torch.zeros_like(x)
    for i, expert in enumerate(experts):
        weight = (weights * (idx == i)).sum(-1, keepdim=True)
        y = y + (weight * expert(x)).to(x.dtype)
    return y


@wrong(
    caught_by=[
        "agrees_with_the_layer",
        "each_expert_is_called_once_with_its_tokens",
        "everything_learns_as_in_the_layer",
        "gradients_agree_with_a_loop",
        "keeps_the_dtype_of_the_tokens",
        "three_tokens_by_hand",
        "weights_are_used_as_they_are",
    ]
)
def grouped_dispatch__follows_the_first_choice_only(x, idx, weights, experts):
    """Only the first expert of each token was asked. Each row of `idx` has k of them."""
    return grouped_dispatch(x, idx[:, :1], weights[:, :1], experts)


@wrong(caught_by=["gradients_agree_with_a_loop", "everything_learns_as_in_the_layer"])
def grouped_dispatch__detaches_the_weights(x, idx, weights, experts):
    """The weights were cut from the graph: the router learns through nothing else."""
    return grouped_dispatch(x, idx, weights.detach(), experts)


@wrong(
    caught_by=[
        "agrees_with_the_layer",
        "gradients_agree_with_a_loop",
        "keeps_the_dtype_of_the_tokens",
        "three_tokens_by_hand",
        "weights_are_used_as_they_are",
    ]
)
def grouped_dispatch__adds_the_token_itself(x, idx, weights, experts):
    """The sum began with `x` instead of zeros. The residual is added by the block, not here."""
    return x + grouped_dispatch(x, idx, weights, experts)


@wrong(caught_by=["unknown_expert_is_refused"])
def grouped_dispatch__drops_unknown_experts(x, idx, weights, experts):
    """A number in `idx` without an expert was passed over, so that the token lost a part of its
    result and nobody was told: raise ValueError."""
    known = (idx >= 0) & (idx < len(experts))
    return grouped_dispatch(x, idx.where(known, 0), weights * known, experts)


@wrong(caught_by=["gradients_agree_with_a_loop", "everything_learns_as_in_the_layer"])
def grouped_dispatch__computes_without_gradient(x, idx, weights, experts):
    """The experts were called under no_grad, so that nothing before or inside of them learns."""
    without = [lambda group, e=e: e(group).detach() for e in experts]
    return grouped_dispatch(x, idx, weights, without)
