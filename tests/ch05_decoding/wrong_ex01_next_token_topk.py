import torch

from kata.wrong import wrong


def check(k):
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


@wrong(caught_by=["reads_the_last_position", "agrees_with_torch", "never_more_than_the_vocabulary"])
def next_token_topk__reads_the_first_position(logits, k):
    """The first position was read. What it predicts is the second token of the row; the next token
    is predicted at the last position."""
    check(k)
    return logits[:, 0].softmax(-1).topk(min(k, logits.shape[-1]))


@wrong(
    caught_by=[
        "two_most_likely_by_hand",
        "reads_the_last_position",
        "agrees_with_torch",
        "huge_and_hidden_logits",
        "never_more_than_the_vocabulary",
        "keeps_the_dtype",
    ]
)
def next_token_topk__softmax_over_positions(logits, k):
    """The softmax went over the positions of the row (axis 1). The probabilities of one position
    sum to 1 over the vocabulary."""
    check(k)
    return logits.softmax(1)[:, -1].topk(min(k, logits.shape[-1]))


@wrong(
    caught_by=[
        "two_most_likely_by_hand",
        "reads_the_last_position",
        "agrees_with_torch",
        "huge_and_hidden_logits",
        "never_more_than_the_vocabulary",
        "keeps_the_dtype",
    ]
)
def next_token_topk__softmax_over_the_batch(logits, k):
    """The softmax went over the rows of the batch (axis 0 of what was left). The probabilities of
    one row sum to 1 over the vocabulary."""
    check(k)
    return logits[:, -1].softmax(0).topk(min(k, logits.shape[-1]))


@wrong(
    caught_by=[
        "two_most_likely_by_hand",
        "reads_the_last_position",
        "agrees_with_torch",
        "huge_and_hidden_logits",
        "never_more_than_the_vocabulary",
        "keeps_the_dtype",
    ]
)
def next_token_topk__returns_logits(logits, k):
    """The scores themselves were returned. They become probabilities by a softmax."""
    check(k)
    return logits[:, -1].topk(min(k, logits.shape[-1]))


@wrong(
    caught_by=[
        "two_most_likely_by_hand",
        "reads_the_last_position",
        "agrees_with_torch",
        "keeps_the_dtype",
    ]
)
def next_token_topk__shares_among_the_k(logits, k):
    """The softmax was taken over the k best only, so that they sum to 1. A probability is a share
    of the whole vocabulary: softmax first, then choose."""
    check(k)
    best, ids = logits[:, -1].topk(min(k, logits.shape[-1]))
    return best.softmax(-1), ids


@wrong(
    caught_by=[
        "two_most_likely_by_hand",
        "reads_the_last_position",
        "agrees_with_torch",
        "huge_and_hidden_logits",
        "never_more_than_the_vocabulary",
        "keeps_the_dtype",
    ]
)
def next_token_topk__least_likely_first(logits, k):
    """The k least likely tokens were returned: sorting is ascending unless told otherwise."""
    check(k)
    probs, ids = logits[:, -1].softmax(-1).sort(-1)
    return probs[:, :k], ids[:, :k]


@wrong(
    caught_by=[
        "two_most_likely_by_hand",
        "agrees_with_torch",
        "huge_and_hidden_logits",
        "never_more_than_the_vocabulary",
        "keeps_the_dtype",
    ]
)
def next_token_topk__best_of_the_k_last(logits, k):
    """The right tokens came in the wrong order: the most likely one comes first."""
    check(k)
    probs, ids = logits[:, -1].softmax(-1).sort(-1)
    return probs[:, -k:], ids[:, -k:]


@wrong(caught_by=["huge_and_hidden_logits"])
def next_token_topk__overflows(logits, k):
    """`exp` of a large score is infinite, and inf / inf is NaN. Use a softmax that subtracts the
    maximum first."""
    check(k)
    exps = logits[:, -1].exp()
    return (exps / exps.sum(-1, keepdim=True)).topk(min(k, logits.shape[-1]))


@wrong(crashes=["never_more_than_the_vocabulary"])
def next_token_topk__asks_for_more_than_there_are(logits, k):
    """`topk` refuses a k above the size of the vocabulary. Ask for all tokens then."""
    check(k)
    return logits[:, -1].softmax(-1).topk(k)


@wrong(caught_by=["refuses_k_below_one"])
def next_token_topk__accepts_any_k(logits, k):
    """A k of 0 or less was accepted. It is a mistake of the caller: raise a ValueError that says
    what was got."""
    return logits[:, -1].softmax(-1).topk(min(k, logits.shape[-1]))


@wrong(caught_by=["input_is_not_modified"])
def next_token_topk__modifies_the_input(logits, k):
    """`logits` was changed: `last` is a view of it, and `-=` writes through to the caller's
    tensor."""
    check(k)
    last = logits[:, -1]
    last -= last.amax(-1, keepdim=True)
    return (last.exp() / last.exp().sum(-1, keepdim=True)).topk(min(k, logits.shape[-1]))


@wrong(caught_by=["keeps_the_dtype"], crashes=["stays_on_the_device_of_the_input"])
def next_token_topk__sorts_python_lists(logits, k):
    """The numbers were taken out of the tensor and put into a new `torch.tensor(...)`, which is
    float32 and on the CPU whatever `logits` is."""
    check(k)
    probs, ids = [], []
    for row in logits[:, -1].softmax(-1).tolist():
        order = sorted(range(len(row)), key=row.__getitem__, reverse=True)[:k]
        probs.append([row[i] for i in order])
        ids.append(order)
    shape = (logits.shape[0], min(k, logits.shape[-1]))
    return torch.tensor(probs).reshape(shape), torch.tensor(ids, dtype=torch.long).reshape(shape)
