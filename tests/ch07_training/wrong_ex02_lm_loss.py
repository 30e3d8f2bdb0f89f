import torch
from torch.nn import functional as F

from kata.wrong import wrong
from solutions.ch02_layers.ex05_cross_entropy import cross_entropy
from solutions.ch07_training.ex02_lm_loss import lm_loss

EVERYWHERE = [
    "two_rows_by_hand",
    "agrees_with_transformers",
    "ignored_tokens_do_not_count",
    "gradient_agrees_with_transformers",
    "keeps_float64_and_raises_half_precision",
]


def widened(logits):
    """At least float32."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def flat_loss(logits, targets, **options):
    """The loss without any shift."""
    return F.cross_entropy(widened(logits).flatten(0, 1), targets.flatten(), **options)


@wrong(caught_by=[*EVERYWHERE, "nothing_left_gives_nan"])
def lm_loss__does_not_shift(logits, ids):
    """The logits at a token were judged by this token, which the model has just read. They say what
    follows it."""
    return flat_loss(logits, ids)


@wrong(caught_by=EVERYWHERE)
def lm_loss__shifts_twice(logits, ids):
    """The text was moved by two places: once in the labels, and once more in the loss. The logits
    at a token say what the very next one is."""
    labels = ids[:, 1:]
    return flat_loss(logits[:, :-2], labels[:, 1:])


@wrong(caught_by=[*EVERYWHERE, "nothing_left_gives_nan"])
def lm_loss__shifts_the_wrong_way(logits, ids):
    """The logits at a token were judged by the token before it. Logits without the last ones belong
    to ids without the first ones."""
    return flat_loss(logits[:, 1:], ids[:, :-1])


@wrong(caught_by=[*EVERYWHERE, "nothing_left_gives_nan"])
def lm_loss__shifts_across_rows(logits, ids):
    """The batch was flattened first and shifted then: the last token of a row has to predict the
    first one of the next row. Shift within the rows."""
    flat = widened(logits).flatten(0, 1)
    return F.cross_entropy(flat[:-1], ids.flatten()[1:])


@wrong(caught_by=EVERYWHERE)
def lm_loss__mixes_the_axes(logits, ids):
    """The logits were brought into shape by a `reshape` that mixes the vocabulary with the
    positions: that the sizes fit proves nothing. The vocabulary has to stay the last axis."""
    moved = widened(logits)[:, :-1].transpose(1, 2)
    return F.cross_entropy(moved.reshape(-1, logits.shape[-1]), ids[:, 1:].flatten())


@wrong(caught_by=["ignored_tokens_do_not_count", "gradient_agrees_with_transformers"])
def lm_loss__averages_the_rows(logits, ids):
    """Each row was averaged first, and the averages then. With tokens that are ignored rows have
    different lengths: there is one mean, over all tokens."""
    return torch.stack([lm_loss(logits[i : i + 1], ids[i : i + 1]) for i in range(len(ids))]).mean()


@wrong(
    caught_by=[
        "ignored_tokens_do_not_count",
        "gradient_agrees_with_transformers",
        "nothing_left_gives_nan",
    ]
)
def lm_loss__divides_by_all_tokens(logits, ids):
    """The sum was divided by the number of all places. Tokens that are ignored do not count there
    either."""
    total = flat_loss(logits[:, :-1], ids[:, 1:], reduction="sum")
    return total / ids[:, 1:].numel()


@wrong(caught_by=EVERYWHERE)
def lm_loss__ignores_token_0(logits, ids):
    """Token 0 was taken for padding. It is a token like all others; what is to be ignored has the
    id -100."""
    nexts = ids[:, 1:]
    return flat_loss(logits[:, :-1], nexts.masked_fill(nexts == 0, -100))


@wrong(caught_by=["nothing_left_gives_nan"])
def lm_loss__nothing_left_is_zero(logits, ids):
    """When there is no token to predict the loss is 0, the best there is. A mean over nothing is
    NaN, which somebody notices."""
    return lm_loss(logits, ids).nan_to_num()


@wrong(caught_by=["keeps_float64_and_raises_half_precision"])
def lm_loss__stays_in_half_precision(logits, ids):
    """The loss of half precision logits is in half precision, with two or three digits. Convert
    them to float32 before the softmax."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


@wrong(caught_by=["keeps_float64_and_raises_half_precision"])
def lm_loss__converts_too_late(logits, ids):
    """The loss was converted to float32 when it was finished. Its digits were lost by then: convert
    the logits."""
    return widened(F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()))


@wrong(caught_by=["keeps_float64_and_raises_half_precision"])
def lm_loss__converts_all_to_float32(logits, ids):
    """float64 logits were converted to float32 (`.float()`), too. Only half precision is raised."""
    return lm_loss(logits.float(), ids)


@wrong(caught_by=["ids_are_not_modified"])
def lm_loss__writes_into_the_ids(logits, ids):
    """The caller's `ids` were overwritten. Make the targets in a tensor of their own."""
    ids[:, :-1] = ids[:, 1:].clone()
    ids[:, -1:] = -100
    return flat_loss(logits, ids)


@wrong(crashes=["runs_on_the_meta_device"])
def lm_loss__looks_at_the_targets(logits, ids):
    """The targets were read (a boolean mask as an index, `.item()`): the processor has to wait for
    the GPU, and the meta device has no values at all. `F.cross_entropy` ignores -100 itself."""
    return cross_entropy(widened(logits)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


@wrong(
    caught_by=[*EVERYWHERE, "nothing_left_gives_nan", "runs_on_the_meta_device"],
)
def lm_loss__returns_all_losses(logits, ids):
    """The result has a loss for each token (`reduction="none"`). Their mean is wanted."""
    return flat_loss(logits[:, :-1], ids[:, 1:], reduction="none")
