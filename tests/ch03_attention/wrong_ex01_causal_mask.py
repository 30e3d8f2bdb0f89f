import torch

from kata.wrong import wrong
from solutions.ch03_attention.ex01_causal_mask import causal_mask


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "two_tokens_after_a_cache_of_three",
        "square_mask_agrees_with_tril",
        "queries_are_the_last_positions",
        "offset_alone_puts_keys_before_the_queries",
        "offset_is_the_position_of_the_first_query",
        "means_the_same_to_torch_as_is_causal",
    ]
)
def causal_mask__is_inverted(t_q, t_k=None, offset=None, device=None):
    """The mask is inverted: it is True where a key must be ignored. In this course True means "may
    attend"."""
    return ~causal_mask(t_q, t_k, offset, device)


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "two_tokens_after_a_cache_of_three",
        "square_mask_agrees_with_tril",
        "queries_are_the_last_positions",
        "offset_alone_puts_keys_before_the_queries",
        "offset_is_the_position_of_the_first_query",
        "means_the_same_to_torch_as_is_causal",
    ]
)
def causal_mask__loses_the_diagonal(t_q, t_k=None, offset=None, device=None):
    """The diagonal is missing: a token may attend to itself, not only to those before it."""
    if t_k is None:
        t_k = t_q + (offset or 0)
    if offset is None:
        if t_k < t_q:
            raise ValueError(f"{t_q} queries, but only {t_k} keys")
        offset = t_k - t_q
    return torch.ones(t_q, t_k, dtype=torch.bool, device=device).tril(offset - 1)


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "two_tokens_after_a_cache_of_three",
        "square_mask_agrees_with_tril",
        "queries_are_the_last_positions",
        "offset_alone_puts_keys_before_the_queries",
        "offset_is_the_position_of_the_first_query",
        "means_the_same_to_torch_as_is_causal",
    ]
)
def causal_mask__looks_forward(t_q, t_k=None, offset=None, device=None):
    """Queries and keys changed places: each query attends to the keys after it. Rows are queries,
    columns are keys."""
    if t_k is None:
        t_k = t_q + (offset or 0)
    if offset is None:
        if t_k < t_q:
            raise ValueError(f"{t_q} queries, but only {t_k} keys")
        offset = t_k - t_q
    return torch.ones(t_q, t_k, dtype=torch.bool, device=device).triu(offset)


@wrong(caught_by=["two_tokens_after_a_cache_of_three", "queries_are_the_last_positions"])
def causal_mask__starts_at_the_first_key(t_q, t_k=None, offset=None, device=None):
    """Without an offset the queries were put at the first keys. They are the last ones: the keys
    before them are the past, which they may see."""
    if t_k is None:
        t_k = t_q + (offset or 0)
    if offset is None and t_k < t_q:
        raise ValueError(f"{t_q} queries, but only {t_k} keys")
    return torch.ones(t_q, t_k, dtype=torch.bool, device=device).tril(offset or 0)


@wrong(caught_by=["offset_is_the_position_of_the_first_query"])
def causal_mask__takes_offset_0_for_none(t_q, t_k=None, offset=None, device=None):
    """An offset of 0 was treated as if none was given. 0 is a position too: ask for
    `offset is None`."""
    if t_k is None:
        t_k = t_q + (offset or 0)
    if not offset and t_k < t_q:
        raise ValueError(f"{t_q} queries, but only {t_k} keys")
    offset = offset or t_k - t_q
    return torch.ones(t_q, t_k, dtype=torch.bool, device=device).tril(offset)


@wrong(caught_by=["offset_is_the_position_of_the_first_query"])
def causal_mask__ignores_the_offset(t_q, t_k=None, offset=None, device=None):
    """The offset was not used to place the queries: query i stands at position `offset` + i,
    however many keys there are."""
    if t_k is None:
        t_k = t_q + (offset or 0)
    if offset is None and t_k < t_q:
        raise ValueError(f"{t_q} queries, but only {t_k} keys")
    return torch.ones(t_q, t_k, dtype=torch.bool, device=device).tril(t_k - t_q)


@wrong(caught_by=["offset_alone_puts_keys_before_the_queries"])
def causal_mask__forgets_the_keys_of_the_past(t_q, t_k=None, offset=None, device=None):
    """With an offset and no `t_k` the mask must be wider than high: the `offset` tokens before the
    first query have keys too."""
    return causal_mask(t_q, t_q if t_k is None else t_k, offset, device)


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "two_tokens_after_a_cache_of_three",
        "square_mask_agrees_with_tril",
        "queries_are_the_last_positions",
        "offset_alone_puts_keys_before_the_queries",
        "offset_is_the_position_of_the_first_query",
        "is_made_on_the_device_asked_for",
    ]
)
def causal_mask__is_a_float_mask(t_q, t_k=None, offset=None, device=None):
    """This is the other kind of mask, 0 and -inf, which is added to the scores. Asked for is a
    boolean one, True = may attend."""
    mask = causal_mask(t_q, t_k, offset, device)
    return torch.zeros(mask.shape, device=device).masked_fill(~mask, -torch.inf)


@wrong(
    caught_by=[
        "three_tokens_by_hand",
        "two_tokens_after_a_cache_of_three",
        "square_mask_agrees_with_tril",
        "queries_are_the_last_positions",
        "offset_alone_puts_keys_before_the_queries",
        "offset_is_the_position_of_the_first_query",
        "means_the_same_to_torch_as_is_causal",
        "is_made_on_the_device_asked_for",
    ]
)
def causal_mask__holds_ones_and_zeros(t_q, t_k=None, offset=None, device=None):
    """The mask holds the numbers 1 and 0, which attention would add to the scores. Make it boolean
    (`dtype=torch.bool`)."""
    return causal_mask(t_q, t_k, offset, device).float()


@wrong(caught_by=["is_made_on_the_device_asked_for"])
def causal_mask__is_always_on_the_cpu(t_q, t_k=None, offset=None, device=None):
    """The mask was made on the CPU, whatever `device` says."""
    return causal_mask(t_q, t_k, offset)


@wrong(caught_by=["more_queries_than_keys_are_refused"])
def causal_mask__accepts_too_few_keys(t_q, t_k=None, offset=None, device=None):
    """More queries than keys and no offset: there is no place for the first queries. The docstring
    asks for a ValueError."""
    t_k = t_q + (offset or 0) if t_k is None else t_k
    return causal_mask(t_q, t_k, t_k - t_q if offset is None else offset, device)
