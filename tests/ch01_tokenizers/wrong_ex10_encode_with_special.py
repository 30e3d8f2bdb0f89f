import re

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex10_encode_with_special import encode_with_special


def allowed_tokens(text, special_tokens, allowed_special):
    """The right choice, with its errors: allowed special tokens and their ids, in their order."""
    encode_with_special(text, list, special_tokens, allowed_special)
    if allowed_special in ("none", "none_raise"):
        return {}
    return {
        t: i for t, i in special_tokens.items() if allowed_special == "all" or t in allowed_special
    }


def split(text, patterns):
    return re.split(f"({'|'.join(patterns)})", text) if patterns else [text]


def by_length(tokens):
    return [re.escape(token) for token in sorted(tokens, key=len, reverse=True)]


@wrong(caught_by=["by_default_a_special_token_is_an_error"])
def encode_with_special__allows_everything_by_default(
    text, encode, special_tokens, allowed_special="all"
):
    """Without `allowed_special` every special token was let through. A user could type them."""
    return encode_with_special(text, encode, special_tokens, allowed_special)


@wrong(
    caught_by=[
        "by_default_a_special_token_is_an_error",
        "a_special_token_outside_the_set_is_an_error",
        "part_of_an_allowed_token_may_be_an_error",
    ]
)
def encode_with_special__takes_the_rest_for_text(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """A special token that is not in the set was encoded as text. It is an error."""
    if not isinstance(allowed_special, str):
        special_tokens = {t: i for t, i in special_tokens.items() if t in allowed_special}
    return encode_with_special(text, encode, special_tokens, allowed_special)


@wrong(caught_by=["part_of_an_allowed_token_may_be_an_error"])
def encode_with_special__looks_at_matches_only(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """A special token that is not allowed was not noticed inside a longer one that is."""
    if isinstance(allowed_special, str):
        return encode_with_special(text, encode, special_tokens, allowed_special)
    ids = []
    for piece in split(text, by_length(special_tokens)):
        if piece in special_tokens and piece not in allowed_special:
            raise ValueError(f"the special token {piece!r} in the text is not allowed")
        ids += [special_tokens[piece]] if piece in special_tokens else encode(piece)
    return ids


@wrong(caught_by=["with_none_special_tokens_are_text"])
def encode_with_special__makes_control_tokens_of_text(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """With "none" a special token in the text became a control token. There it is plain text."""
    if allowed_special == "none":
        allowed_special = "all"
    return encode_with_special(text, encode, special_tokens, allowed_special)


@wrong(crashes=["with_none_special_tokens_are_text"])
def encode_with_special__raises_for_none(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """With "none" a special token in the text was an error. There it is plain text."""
    if allowed_special == "none":
        allowed_special = "none_raise"
    return encode_with_special(text, encode, special_tokens, allowed_special)


@wrong(
    caught_by=[
        "a_special_token_is_one_id",
        "spaces_and_text_around_it_stay",
        "the_longest_special_token_wins",
        "nothing_is_lost_or_moved",
        "agrees_with_tiktoken",
    ]
)
def encode_with_special__splits_the_special_token(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """An allowed special token was encoded piece by piece, like text. It is one id."""
    allowed_tokens(text, special_tokens, allowed_special)
    return encode(text)


@wrong(caught_by=["the_longest_special_token_wins"])
def encode_with_special__takes_the_first_that_fits(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """Of two special tokens that start alike the first one listed was taken, not the longest."""
    allowed = allowed_tokens(text, special_tokens, allowed_special)
    ids = []
    for piece in split(text, list(map(re.escape, allowed))):
        ids += [allowed[piece]] if piece in allowed else encode(piece)
    return ids


@wrong(
    caught_by=[
        "a_special_token_is_one_id",
        "spaces_and_text_around_it_stay",
        "the_longest_special_token_wins",
        "nothing_is_lost_or_moved",
        "agrees_with_tiktoken",
    ]
)
def encode_with_special__does_not_escape(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """A sign such as `|` in a special token was read as a regular expression: use `re.escape`."""
    allowed = allowed_tokens(text, special_tokens, allowed_special)
    ids = []
    for piece in split(text, sorted(allowed, key=len, reverse=True)):
        ids += [allowed[piece]] if piece in allowed else encode(piece)
    return ids


@wrong(
    caught_by=["spaces_and_text_around_it_stay", "nothing_is_lost_or_moved", "agrees_with_tiktoken"]
)
def encode_with_special__loses_the_rest(text, encode, special_tokens, allowed_special="none_raise"):
    """The text after the last special token was lost."""
    allowed = allowed_tokens(text, special_tokens, allowed_special)
    ids, start = [], 0
    for match in re.finditer("|".join(by_length(allowed)), text) if allowed else []:
        ids += [*encode(text[start : match.start()]), allowed[match.group()]]
        start = match.end()
    return ids if start else encode(text)


@wrong(
    caught_by=["spaces_and_text_around_it_stay", "nothing_is_lost_or_moved", "agrees_with_tiktoken"]
)
def encode_with_special__strips_the_text(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """Spaces next to a special token were stripped. They belong to the text."""
    allowed = allowed_tokens(text, special_tokens, allowed_special)
    ids = []
    for piece in split(text, by_length(allowed)):
        ids += [allowed[piece]] if piece in allowed else encode(piece.strip() if allowed else piece)
    return ids


@wrong(crashes=["other_names_in_the_set_are_text"])
def encode_with_special__believes_the_set(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """A name in the set that is no special token was looked up all the same. It is plain text."""
    allowed = allowed_tokens(text, special_tokens, allowed_special)
    if not isinstance(allowed_special, str):
        allowed = allowed_special
    ids = []
    for piece in split(text, by_length(allowed)):
        ids += [special_tokens[piece]] if piece in allowed else encode(piece)
    return ids


@wrong(caught_by=["another_string_is_an_error"])
def encode_with_special__takes_a_name_for_a_set(
    text, encode, special_tokens, allowed_special="none_raise"
):
    """A string that is no mode was searched for names. It is an error: names come in a set."""
    if allowed_special not in ("none_raise", "none", "all"):
        allowed_special = {token for token in special_tokens if token in allowed_special}
    return encode_with_special(text, encode, special_tokens, allowed_special)
