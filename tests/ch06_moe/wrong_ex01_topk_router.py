import torch

from kata.wrong import wrong


def router_logits(x, weight, k):
    """What the mistakes below have in common with a right answer."""
    if not 1 <= k <= len(weight):
        raise ValueError(f"k must be from 1 to {len(weight)}, got {k}")
    return (x @ weight.T).to(torch.promote_types(x.dtype, torch.float32))


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "gradients_agree_with_the_reference",
    ]
)
def topk_router__takes_the_softmax_over_the_chosen(x, weight, k):
    """`probs` holds the softmax over the `k` chosen logits. The weights come out right that way,
    but `probs` is the softmax over all experts: the load-balancing loss needs every one of them."""
    logits = router_logits(x, weight, k)
    top, idx = logits.topk(k, dim=-1)
    weights = top.softmax(-1)
    probs = torch.zeros_like(logits).scatter(-1, idx, weights)
    return weights.to(x.dtype), idx, probs


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "equal_logits_share_equally",
        "gradients_agree_with_the_reference",
    ]
)
def topk_router__does_not_renormalise(x, weight, k):
    """The weights are the plain probabilities of the chosen experts. They have to be divided by
    their sum, so that the weights of each token sum to 1."""
    probs = router_logits(x, weight, k).softmax(-1)
    top, idx = probs.topk(k, dim=-1)
    return top.to(x.dtype), idx, probs


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "huge_logits_stay_finite",
        "gradients_agree_with_the_reference",
    ]
)
def topk_router__takes_a_softmax_of_probabilities(x, weight, k):
    """A second softmax was applied to the chosen probabilities. It sums to 1 too, but makes the
    weights nearly equal: divide the probabilities by their sum instead."""
    probs = router_logits(x, weight, k).softmax(-1)
    top, idx = probs.topk(k, dim=-1)
    return top.softmax(-1).to(x.dtype), idx, probs


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "each_token_chooses_for_itself",
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "huge_logits_stay_finite",
        "gradients_agree_with_the_reference",
    ]
)
def topk_router__routes_all_by_the_first_token(x, weight, k):
    """The experts of the first token were given to every token. Each token chooses its own."""
    probs = router_logits(x, weight, k).softmax(-1)
    idx = probs[0].topk(k).indices.expand(len(x), k)
    top = probs.gather(-1, idx)
    return (top / top.sum(-1, keepdim=True)).to(x.dtype), idx, probs


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "huge_logits_stay_finite",
        "gradients_agree_with_the_reference",
    ]
)
def topk_router__takes_the_least_likely(x, weight, k):
    """The least likely experts were taken: `argsort` and `sort` put the smallest value first."""
    probs = router_logits(x, weight, k).softmax(-1)
    idx = probs.argsort(-1)[:, :k]
    top = probs.gather(-1, idx)
    return (top / top.sum(-1, keepdim=True)).to(x.dtype), idx, probs


@wrong(
    caught_by=[
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "huge_logits_stay_finite",
        "gradients_agree_with_the_reference",
    ]
)
def topk_router__orders_the_experts_by_number(x, weight, k):
    """The chosen experts are in the order of their numbers. The most likely one comes first."""
    probs = router_logits(x, weight, k).softmax(-1)
    idx = probs.topk(k, dim=-1).indices.sort(-1).values
    top = probs.gather(-1, idx)
    return (top / top.sum(-1, keepdim=True)).to(x.dtype), idx, probs


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "each_token_chooses_for_itself",
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "huge_logits_stay_finite",
        "gradients_agree_with_the_reference",
    ]
)
def topk_router__takes_the_softmax_over_the_tokens(x, weight, k):
    """The softmax was taken along the axis of the tokens. Each token compares the experts: its
    probabilities, along the last axis, sum to 1."""
    probs = router_logits(x, weight, k).softmax(0)
    top, idx = probs.topk(k, dim=-1)
    return (top / top.sum(-1, keepdim=True)).to(x.dtype), idx, probs


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "each_token_chooses_for_itself",
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "equal_logits_share_equally",
        "huge_logits_stay_finite",
        "gradients_agree_with_the_reference",
    ]
)
def topk_router__divides_by_the_sum_over_all_tokens(x, weight, k):
    """The weights were divided by the sum over all tokens. Each token needs the sum over its own
    experts (`dim=-1, keepdim=True`)."""
    probs = router_logits(x, weight, k).softmax(-1)
    top, idx = probs.topk(k, dim=-1)
    return (top / top.sum()).to(x.dtype), idx, probs


@wrong(
    caught_by=[
        "agrees_with_the_reference",
        "bfloat16_has_probabilities_in_float32",
        "agrees_with_mixtral",
        "equal_logits_share_equally",
    ]
)
def topk_router__always_takes_two(x, weight, k):
    """Two experts were taken, whatever `k` says."""
    probs = router_logits(x, weight, k).softmax(-1)
    top, idx = probs.topk(2, dim=-1)
    return (top / top.sum(-1, keepdim=True)).to(x.dtype), idx, probs


@wrong(caught_by=["huge_logits_stay_finite"])
def topk_router__overflows(x, weight, k):
    """`exp` of a large logit is infinite, and inf / inf is NaN: use a softmax that subtracts the
    largest logit first, as torch's own and that of 2.3 do."""
    exps = router_logits(x, weight, k).exp()
    probs = exps / exps.sum(-1, keepdim=True)
    top, idx = probs.topk(k, dim=-1)
    return (top / top.sum(-1, keepdim=True)).to(x.dtype), idx, probs


@wrong(caught_by=["gradients_agree_with_the_reference"])
def topk_router__detaches_the_sum(x, weight, k):
    """The sum by which the weights are divided was treated as a constant (`.detach()`, `no_grad`,
    `.item()`): its part of the gradient is missing."""
    probs = router_logits(x, weight, k).softmax(-1)
    top, idx = probs.topk(k, dim=-1)
    return (top / top.sum(-1, keepdim=True).detach()).to(x.dtype), idx, probs


@wrong(crashes=["gradients_agree_with_the_reference"])
def topk_router__cuts_the_weights_from_the_graph(x, weight, k):
    """The weights were computed without a gradient (`no_grad`, `.detach()`, `.data`). Only the
    choice has none: through the weights the router learns."""
    probs = router_logits(x, weight, k).softmax(-1)
    top, idx = probs.detach().topk(k, dim=-1)
    return (top / top.sum(-1, keepdim=True)).to(x.dtype), idx, probs


@wrong(caught_by=["bfloat16_has_probabilities_in_float32"])
def topk_router__takes_the_softmax_in_low_precision(x, weight, k):
    """The softmax was computed in bfloat16, where probabilities have two or three digits. Convert
    the logits to float32 first, and leave `probs` in float32."""
    probs = router_logits(x, weight, k).to(x.dtype).softmax(-1)
    top, idx = probs.topk(k, dim=-1)
    return top / top.sum(-1, keepdim=True), idx, probs


@wrong(caught_by=["bfloat16_has_probabilities_in_float32"])
def topk_router__leaves_the_weights_in_float32(x, weight, k):
    """The weights are still in float32, the dtype of the softmax. They come in the dtype of `x`,
    so that what they are multiplied with keeps it."""
    probs = router_logits(x, weight, k).softmax(-1)
    top, idx = probs.topk(k, dim=-1)
    return top / top.sum(-1, keepdim=True), idx, probs


@wrong(crashes=["stays_on_the_device_of_its_input"])
def topk_router__makes_a_mask_on_the_cpu(x, weight, k):
    """A new tensor was made on the CPU, whatever device `x` is on: pass `device=x.device`."""
    probs = router_logits(x, weight, k).softmax(-1)
    top, idx = probs.topk(k, dim=-1)
    chosen = torch.zeros(probs.shape).scatter(-1, idx, 1.0)
    total = (probs * chosen).sum(-1, keepdim=True)
    return (top / total).to(x.dtype), idx, probs


@wrong(caught_by=["impossible_k_is_refused"])
def topk_router__accepts_any_k(x, weight, k):
    """`k` was not checked: with no expert nothing is computed, and nobody can choose more experts
    than there are."""
    probs = router_logits(x, weight, 1).softmax(-1)
    top, idx = probs.topk(min(k, len(weight)), dim=-1)
    return (top / top.sum(-1, keepdim=True)).to(x.dtype), idx, probs
