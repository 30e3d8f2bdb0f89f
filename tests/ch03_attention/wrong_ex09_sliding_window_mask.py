import torch

from kata.wrong import wrong


def distances(t, window, device=None):
    """How far each key lies before each query; negative for a later key."""
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    positions = torch.arange(t, device=device)
    return positions[:, None] - positions


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "window_of_one_sees_only_itself",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__sees_one_token_more(t, window, device=None):
    """There is one key too many in a row: a query sees `window` tokens, itself included, so the
    last one is `window` - 1 before it."""
    distance = distances(t, window, device)
    return (distance >= 0) & (distance <= window)


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "window_of_one_sees_only_itself",
        "wide_window_is_the_causal_mask",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__leaves_itself_out(t, window, device=None):
    """A token does not see itself. It is the first of the `window` tokens that it may see."""
    distance = distances(t, window, device)
    return (distance > 0) & (distance <= window)


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "wide_window_is_the_causal_mask",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__counts_itself_out(t, window, device=None):
    """There is one key too few in a row: a token may see itself and `window` - 1 before it."""
    distance = distances(t, window, device)
    return (distance >= 0) & (distance < max(window - 1, 1))


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "wide_window_is_the_causal_mask",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__looks_both_ways(t, window, device=None):
    """The window reaches forward as well: later tokens must stay hidden."""
    return distances(t, window, device).abs() < window


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "wide_window_is_the_causal_mask",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__is_centred_on_the_token(t, window, device=None):
    """The window is centred on the token. It ends with it."""
    distance = distances(t, window, device)
    return (distance >= -(window // 2)) & (distance < window - window // 2)


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "window_of_one_sees_only_itself",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__is_twice_as_wide(t, window, device=None):
    """The window is twice as wide as asked for."""
    distance = distances(t, window, device)
    return (distance >= 0) & (distance < 2 * window)


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "window_of_one_sees_only_itself",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__ignores_the_window(t, window, device=None):
    """This is the plain causal mask: nothing is hidden because it is too far away."""
    return distances(t, window, device) >= 0


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__cuts_into_blocks(t, window, device=None):
    """The text was cut into blocks, within which tokens see each other. The window moves along with
    the query: each one sees `window` tokens, wherever it stands."""
    distance = distances(t, window, device)
    block = torch.arange(t, device=device) // window
    return (distance >= 0) & (block[:, None] == block)


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "window_of_one_sees_only_itself",
        "wide_window_is_the_causal_mask",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__is_inverted(t, window, device=None):
    """The mask is inverted: it is True where a key must be ignored. In this course True means "may
    attend"."""
    distance = distances(t, window, device)
    return (distance < 0) | (distance >= window)


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "wide_window_is_the_causal_mask",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
    ]
)
def sliding_window_mask__swaps_queries_and_keys(t, window, device=None):
    """Queries and keys changed places: each token looks ahead. Rows are queries, columns are
    keys."""
    distance = distances(t, window, device)
    return ((distance >= 0) & (distance < window)).T


@wrong(
    caught_by=[
        "window_of_two_by_hand",
        "agrees_with_brute_force",
        "window_of_one_sees_only_itself",
        "wide_window_is_the_causal_mask",
        "attention_sees_the_last_tokens_only",
        "agrees_with_mistral",
        "is_made_on_the_device_asked_for",
    ]
)
def sliding_window_mask__holds_ones_and_zeros(t, window, device=None):
    """The mask holds the numbers 1 and 0, which attention would add to the scores. Make it boolean
    (`dtype=torch.bool`)."""
    distance = distances(t, window, device)
    return ((distance >= 0) & (distance < window)).float()


@wrong(caught_by=["is_made_on_the_device_asked_for"])
def sliding_window_mask__is_always_on_the_cpu(t, window, device=None):
    """The mask was made on the CPU, whatever `device` says."""
    distance = distances(t, window)
    return (distance >= 0) & (distance < window)


@wrong(caught_by=["empty_window_is_refused"])
def sliding_window_mask__accepts_an_empty_window(t, window, device=None):
    """A window of 0 was accepted, in which a token sees nothing, not even itself. The docstring
    asks for a ValueError."""
    distance = distances(t, 1, device)
    return (distance >= 0) & (distance < window)
