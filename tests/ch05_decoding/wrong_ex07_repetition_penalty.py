import torch

from kata.wrong import wrong


def check(penalty):
    if not penalty > 0:
        raise ValueError(f"penalty must be greater than 0, got {penalty}")


def lowered(logits, penalty):
    check(penalty)
    return torch.where(logits < 0, logits * penalty, logits / penalty)


def occurring(logits, ids):
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, True)


def counted(logits, ids):
    dtype = torch.promote_types(logits.dtype, torch.float32)
    zeros = torch.zeros_like(logits, dtype=dtype)
    return zeros.scatter_add(-1, ids, torch.ones_like(ids, dtype=dtype))


@wrong(
    caught_by=[
        "lowers_positive_and_negative_logits",
        "a_repeated_token_is_penalised_once",
        "repetition_agrees_with_transformers",
        "zero_and_huge_and_removed_logits",
        "repetition_keeps_the_dtype",
    ]
)
def repetition_penalty__divides_negative_logits(logits, ids, penalty):
    """A negative logit was divided as well. That brings it closer to 0, so that the token becomes
    likelier: multiply where the logit is negative."""
    check(penalty)
    return torch.where(occurring(logits, ids), logits / penalty, logits)


@wrong(
    caught_by=[
        "lowers_positive_and_negative_logits",
        "a_repeated_token_is_penalised_once",
        "repetition_agrees_with_transformers",
        "zero_and_huge_and_removed_logits",
        "repetition_keeps_the_dtype",
    ]
)
def repetition_penalty__multiplies_everything(logits, ids, penalty):
    """A positive logit was multiplied as well, which makes a repeated token likelier: divide where
    the logit is positive."""
    check(penalty)
    return torch.where(occurring(logits, ids), logits * penalty, logits)


@wrong(
    caught_by=[
        "lowers_positive_and_negative_logits",
        "a_repeated_token_is_penalised_once",
        "repetition_agrees_with_transformers",
        "zero_and_huge_and_removed_logits",
        "repetition_keeps_the_dtype",
    ]
)
def repetition_penalty__subtracts(logits, ids, penalty):
    """The penalty was subtracted. This one is a factor; the next function has the penalties that
    are subtracted."""
    check(penalty)
    return torch.where(occurring(logits, ids), logits - penalty, logits)


@wrong(
    caught_by=[
        "a_repeated_token_is_penalised_once",
        "repetition_agrees_with_transformers",
        "zero_and_huge_and_removed_logits",
        "repetition_keeps_the_dtype",
    ]
)
def repetition_penalty__penalises_each_occurrence(logits, ids, penalty):
    """A token that occurs twice was penalised twice. The factor applies once per distinct token."""
    counts = counted(logits, ids)
    factor = torch.full_like(counts, penalty) ** counts
    check(penalty)
    return torch.where(logits < 0, logits * factor, logits / factor).to(logits.dtype)


@wrong(
    caught_by=[
        "lowers_positive_and_negative_logits",
        "a_repeated_token_is_penalised_once",
        "repetition_agrees_with_transformers",
        "zero_and_huge_and_removed_logits",
        "repetition_keeps_the_dtype",
    ]
)
def repetition_penalty__looks_at_the_last_token(logits, ids, penalty):
    """Only the last token was penalised. All tokens of `ids` are, the prompt at its beginning
    too."""
    return torch.where(occurring(logits, ids[..., -1:]), lowered(logits, penalty), logits)


@wrong(
    caught_by=[
        "lowers_positive_and_negative_logits",
        "a_repeated_token_is_penalised_once",
        "repetition_agrees_with_transformers",
        "nothing_to_penalise",
        "repetition_keeps_the_dtype",
    ]
)
def repetition_penalty__penalises_every_token(logits, ids, penalty):
    """Logits of tokens that do not occur in `ids` were changed. They stay as they are."""
    return lowered(logits, penalty)


@wrong(caught_by=["repetition_agrees_with_transformers", "repetition_keeps_the_dtype"])
def repetition_penalty__mixes_the_rows(logits, ids, penalty):
    """The tokens of one row were penalised in the others too. Each row of `ids` belongs to one row
    of `logits`."""
    result = logits.clone()
    result[..., ids.flatten()] = lowered(logits, penalty)[..., ids.flatten()]
    return result


@wrong(
    crashes=[
        "lowers_positive_and_negative_logits",
        "a_repeated_token_is_penalised_once",
        "repetition_agrees_with_transformers",
    ]
)
def repetition_penalty__counts_axes_from_the_left(logits, ids, penalty):
    """Axis 1 was taken for the vocabulary. That is right for (batch, vocab) only: the vocabulary is
    the last axis, -1."""
    check(penalty)
    score = logits.gather(1, ids)
    score = torch.where(score < 0, score * penalty, score / penalty)
    return logits.scatter(1, ids, score)


@wrong(crashes=["stays_on_the_device_of_the_input"])
def repetition_penalty__loops_over_the_ids(logits, ids, penalty):
    """The ids were read one by one, in Python. On a GPU each reading waits for the device, and the
    `meta` device has nothing to read: work on all of them at once, for example with `scatter`."""
    changed, result = lowered(logits, penalty), logits.clone()
    rows, new = result.reshape(-1, logits.shape[-1]), changed.reshape(-1, logits.shape[-1])
    for i, seen in enumerate(ids.reshape(len(rows), ids.shape[-1]).tolist()):
        for token in set(seen):
            rows[i, token] = new[i, token]
    return result


@wrong(
    caught_by=["zero_and_huge_and_removed_logits", "repetition_keeps_the_dtype"],
    crashes=["stays_on_the_device_of_the_input"],
)
def repetition_penalty__makes_the_mask_on_the_cpu(logits, ids, penalty):
    """A new tensor was made on the CPU and in float32 whatever `logits` is. `zeros_like` takes over
    both."""
    seen = torch.zeros(logits.shape).scatter(-1, ids, 1.0)
    return logits * (1 - seen) + lowered(logits, penalty) * seen


@wrong(caught_by=["inputs_are_not_modified"])
def repetition_penalty__modifies_the_input(logits, ids, penalty):
    """`logits` itself was changed: assignments and functions with a `_` at the end write into the
    caller's tensor. Return a new one."""
    return logits.copy_(torch.where(occurring(logits, ids), lowered(logits, penalty), logits))


@wrong(caught_by=["refuses_a_penalty_of_zero_or_less"])
def repetition_penalty__accepts_any_penalty(logits, ids, penalty):
    """A penalty of 0 or less was accepted. Refuse it with a ValueError that says what was got."""
    factor = penalty if penalty else 1.0
    changed = torch.where(logits < 0, logits * factor, logits / factor)
    return torch.where(occurring(logits, ids), changed, logits)


@wrong(
    caught_by=[
        "subtracts_per_occurrence_and_once",
        "frequency_and_presence_agree_with_counting",
        "counts_are_not_rounded",
    ]
)
def frequency_presence_penalty__adds(logits, ids, frequency=0.0, presence=0.0):
    """The penalties were added. They are subtracted: a positive one makes a token less likely."""
    counts = counted(logits, ids)
    return (logits + frequency * counts + presence * (counts > 0)).to(logits.dtype)


@wrong(
    caught_by=[
        "subtracts_per_occurrence_and_once",
        "frequency_and_presence_agree_with_counting",
        "counts_are_not_rounded",
    ]
)
def frequency_presence_penalty__frequency_once(logits, ids, frequency=0.0, presence=0.0):
    """`frequency` was subtracted once, however often the token occurs. It counts per occurrence.
    (`scatter_`, and assigning to `x[ids]`, write to an id only once: `scatter_add` sums up.)"""
    seen = occurring(logits, ids)
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return (logits - (frequency + presence) * seen.to(dtype)).to(logits.dtype)


@wrong(
    caught_by=[
        "subtracts_per_occurrence_and_once",
        "frequency_and_presence_agree_with_counting",
        "counts_are_not_rounded",
    ]
)
def frequency_presence_penalty__presence_per_occurrence(logits, ids, frequency=0.0, presence=0.0):
    """`presence` was subtracted for each occurrence. It is subtracted once per distinct token."""
    return (logits - (frequency + presence) * counted(logits, ids)).to(logits.dtype)


@wrong(
    caught_by=["subtracts_per_occurrence_and_once", "frequency_and_presence_agree_with_counting"]
)
def frequency_presence_penalty__presence_for_all(logits, ids, frequency=0.0, presence=0.0):
    """`presence` was subtracted from the tokens that do not occur as well. It is for those with a
    count above 0."""
    return (logits - frequency * counted(logits, ids) - presence).to(logits.dtype)


@wrong(
    caught_by=[
        "subtracts_per_occurrence_and_once",
        "frequency_and_presence_agree_with_counting",
        "counts_are_not_rounded",
    ]
)
def frequency_presence_penalty__relative_frequency(logits, ids, frequency=0.0, presence=0.0):
    """The counts were divided by the length. `frequency` is subtracted per occurrence, not per
    share of the text."""
    counts = counted(logits, ids)
    share = counts / max(ids.shape[-1], 1)
    return (logits - frequency * share - presence * (counts > 0)).to(logits.dtype)


@wrong(caught_by=["frequency_and_presence_agree_with_counting", "counts_are_not_rounded"])
def frequency_presence_penalty__counts_the_whole_batch(logits, ids, frequency=0.0, presence=0.0):
    """Occurrences were counted over the whole batch. Each row of `ids` belongs to one row of
    `logits`."""
    counts = counted(logits[..., :0].new_zeros(logits.shape[-1]), ids.flatten())
    return (logits - frequency * counts - presence * (counts > 0)).to(logits.dtype)


@wrong(caught_by=["counts_are_not_rounded"])
def frequency_presence_penalty__counts_in_16_bits(logits, ids, frequency=0.0, presence=0.0):
    """The occurrences were counted in the dtype of `logits`. With 16 bits, 2048 + 1 (or already
    256 + 1) is rounded back: count in float32 or in integers."""
    counts = torch.zeros_like(logits).scatter_add(-1, ids, torch.ones_like(ids, dtype=logits.dtype))
    return logits - frequency * counts - presence * (counts > 0)


@wrong(caught_by=["counts_are_not_rounded"])
def frequency_presence_penalty__returns_float32(logits, ids, frequency=0.0, presence=0.0):
    """The result is float32 although `logits` is not: after computing in float32, go back to the
    dtype of `logits`."""
    counts = counted(logits, ids).float()
    return logits.float() - frequency * counts - presence * (counts > 0)


@wrong(caught_by=["inputs_are_not_modified"])
def frequency_presence_penalty__modifies_the_input(logits, ids, frequency=0.0, presence=0.0):
    """`logits` itself was changed: `logits -= ...` writes into the caller's tensor. Return a new
    one."""
    counts = counted(logits, ids)
    logits -= (frequency * counts + presence * (counts > 0)).to(logits.dtype)
    return logits


@wrong(crashes=["stays_on_the_device_of_the_input"])
def frequency_presence_penalty__counts_on_the_cpu(logits, ids, frequency=0.0, presence=0.0):
    """The counts were made on the CPU whatever `logits` is. `zeros_like` stays on its device."""
    counts = torch.zeros(logits.shape).scatter_add(-1, ids, torch.ones(ids.shape))
    return (logits - frequency * counts - presence * (counts > 0)).to(logits.dtype)
