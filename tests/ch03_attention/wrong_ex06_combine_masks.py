import torch

from kata.wrong import wrong


def checked(causal, attention_mask):
    """Whether each key is real, (batch, 1, 1, t_k)."""
    if attention_mask.shape[-1] != causal.shape[-1]:
        raise ValueError(f"{attention_mask.shape[-1]} tokens, {causal.shape[-1]} keys")
    return attention_mask.bool()[:, None, None, :]


def without_empty_rows(allowed, causal):
    """The right way to end."""
    return torch.where(allowed.any(-1, keepdim=True), allowed, causal)


@wrong(
    caught_by=[
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "no_softmax_meets_an_empty_row",
        "padding_may_be_numbers_or_booleans",
    ]
)
def combine_masks__leaves_rows_empty(causal, attention_mask):
    """A query in the padding on the left may attend to nothing here: most softmaxes make NaN of
    that. Such a row stays as it is in `causal`."""
    return causal & checked(causal, attention_mask)


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
        "real_tokens_get_the_logits_of_the_unpadded_text",
    ]
)
def combine_masks__masks_the_queries(causal, attention_mask):
    """Padding was hidden as a query. What nobody may look at are its keys: columns, not rows."""
    is_real = checked(causal, attention_mask)
    return without_empty_rows(causal & is_real.transpose(-2, -1), causal)


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
    ]
)
def combine_masks__masks_the_queries_too(causal, attention_mask):
    """The rows of padding were masked as well as its columns. Only keys are hidden: a padding query
    attends to real keys like any other."""
    is_real = checked(causal, attention_mask)
    return without_empty_rows(causal & is_real & is_real.transpose(-2, -1), causal)


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
        "real_tokens_get_the_logits_of_the_unpadded_text",
    ]
)
def combine_masks__allows_what_either_allows(causal, attention_mask):
    """The two were combined with "or", so that real tokens see later ones. Both must allow it:
    "and"."""
    return causal | checked(causal, attention_mask)


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
        "real_tokens_get_the_logits_of_the_unpadded_text",
    ]
)
def combine_masks__inverts_the_padding(causal, attention_mask):
    """`attention_mask` was read the other way round: 1 is a real token, 0 is padding."""
    return without_empty_rows(causal & ~checked(causal, attention_mask), causal)


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "no_softmax_meets_an_empty_row",
        "padding_may_be_numbers_or_booleans",
        "real_tokens_get_the_logits_of_the_unpadded_text",
    ]
)
def combine_masks__returns_the_inverted_mask(causal, attention_mask):
    """The result is True where a key must be ignored. In this course True means "may attend"."""
    return ~without_empty_rows(causal & checked(causal, attention_mask), causal)


@wrong(
    caught_by=[
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
    ]
)
def combine_masks__opens_empty_rows_entirely(causal, attention_mask):
    """A row that would be empty was opened for all keys, later ones too. It stays as it is in
    `causal`."""
    allowed = causal & checked(causal, attention_mask)
    return allowed | ~allowed.any(-1, keepdim=True)


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
    ]
)
def combine_masks__opens_the_diagonal(causal, attention_mask):
    """Every padding token was allowed to see itself. Only a row that would be empty is different,
    and it stays as it is in `causal`."""
    allowed = causal & checked(causal, attention_mask)
    t_q, t_k = causal.shape
    itself = torch.ones(t_q, t_k, dtype=torch.bool, device=causal.device)
    return allowed | (itself.tril(t_k - t_q) & itself.triu(t_k - t_q))


@wrong(
    caught_by=[
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
        "inputs_are_not_modified",
        "real_tokens_get_the_logits_of_the_unpadded_text",
    ]
)
def combine_masks__opens_the_first_key(causal, attention_mask):
    """The first key was made visible to everyone, to avoid empty rows, and in the caller's tensor
    at that. Where it is padding it has to stay hidden from real tokens."""
    attention_mask[:, 0] = 1
    return causal & checked(causal, attention_mask)


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "padding_may_be_numbers_or_booleans",
    ]
)
def combine_masks__holds_numbers(causal, attention_mask):
    """The masks were multiplied, and the result is as integer as `attention_mask`. Make it boolean:
    attention takes numbers for something to add to the scores."""
    checked(causal, attention_mask)
    allowed = causal * attention_mask[:, None, None, :]
    return torch.where(allowed.any(-1, keepdim=True), allowed, causal.to(allowed.dtype))


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "padding_may_be_numbers_or_booleans",
    ]
)
def combine_masks__negates_the_numbers(causal, attention_mask):
    """`~` or `&` was used on integers, where they work on bits: ~1 is -2, which is true. Convert
    `attention_mask` with `.bool()` first."""
    hidden = (~attention_mask).bool()[:, None, None, :]
    checked(causal, attention_mask)
    return without_empty_rows(causal & ~hidden, causal)


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
        "stays_on_the_device_of_the_inputs",
        "real_tokens_get_the_logits_of_the_unpadded_text",
    ],
    crashes=["no_softmax_meets_an_empty_row"],
)
def combine_masks__forgets_the_axis_of_the_heads(causal, attention_mask):
    """The axis of size 1 for the heads is missing: (batch, t_q, t_k) lines up its batch with the
    heads of the scores."""
    return without_empty_rows(causal & checked(causal, attention_mask), causal)[:, 0]


@wrong(
    caught_by=[
        "right_padding_hides_its_keys",
        "left_padding_leaves_no_row_empty",
        "agrees_with_the_rule_key_by_key",
        "agrees_with_the_reference",
        "padding_may_be_numbers_or_booleans",
        "real_tokens_get_the_logits_of_the_unpadded_text",
    ]
)
def combine_masks__takes_the_first_text_for_all(causal, attention_mask):
    """The padding of the first text was used for all of them. Each has its own."""
    is_real = checked(causal, attention_mask)[:1].expand(len(attention_mask), 1, 1, -1)
    return without_empty_rows(causal & is_real, causal)


@wrong(caught_by=["agrees_with_the_reference"], crashes=["stays_on_the_device_of_the_inputs"])
def combine_masks__makes_its_own_causal_mask(causal, attention_mask):
    """`causal` was not used: a new mask was made, square, without a window, and on the CPU. What
    `causal` forbids has to stay forbidden."""
    is_real = checked(causal, attention_mask)
    square = torch.ones(causal.shape[-1], causal.shape[-1], dtype=torch.bool).tril()
    return without_empty_rows(square & is_real, square)


@wrong(caught_by=["padding_of_another_length_is_refused"])
def combine_masks__accepts_any_length(causal, attention_mask):
    """`attention_mask` has another length than `causal` has keys. The docstring asks for a
    ValueError."""
    is_real = attention_mask.bool()[:, None, None, : causal.shape[-1]]
    return without_empty_rows(causal & is_real, causal)
