"""1.10 Special tokens in text   [medium, ~25 min]

`<|endoftext|>` ends a document, `<|im_start|>` opens a message: control tokens, which no merge ever
makes. A program that builds a prompt wants them. A user who types them must not get them, or could
end the conversation and speak as the system. Therefore text that looks like a control token is an
error until the caller says what it is. Works with any ordinary encoder, that of 1.9 for instance.

Source: the parameters `allowed_special` and `disallowed_special` of `encode` in tiktoken,
https://github.com/openai/tiktoken/blob/main/tiktoken/core.py.
"""

import re
from collections.abc import Callable, Set


def encode_with_special(
    text: str,
    encode: Callable[[str], list[int]],
    special_tokens: dict[str, int],
    allowed_special: Set[str] | str = "none_raise",
) -> list[int]:
    """Encode text in which special tokens may occur.

    An allowed special token becomes its one id, wherever it stands; where several could start at
    the same place, the longest does. Each stretch of text between them is given to `encode` as it
    is, spaces included.

    Args:
        text: what to encode.
        encode: the ordinary encoder, which knows nothing of special tokens.
        special_tokens: text of each special token -> its id.
        allowed_special: what may become a control token.
            `"none_raise"`: nothing, and a special token in the text is an error.
            a set of strings: these (those that are no special tokens mean nothing); any other
            special token in the text is an error, even as a part of one that is allowed.
            `"all"`: every special token.
            `"none"`: nothing, and special tokens in the text are encoded like any other text.

    Raises:
        ValueError: the text contains a special token that is not allowed (the message names it),
            or `allowed_special` is any other string, whatever the text: even one name needs a set.

    >>> utf8 = lambda text: list(text.encode())
    >>> encode_with_special("Hi<|end|>!", utf8, {"<|end|>": 256}, allowed_special="all")
    [72, 105, 256, 33]
    """
    # solution
    modes = {"none_raise": set(), "none": set(), "all": set(special_tokens)}
    if not isinstance(allowed_special, str):
        allowed = set(allowed_special) & special_tokens.keys()
    elif allowed_special in modes:
        allowed = modes[allowed_special]
    else:
        raise ValueError(f"allowed_special is a set or one of {[*modes]}, got {allowed_special!r}")
    for token in special_tokens:
        if token in text and token not in allowed and allowed_special != "none":
            raise ValueError(f"the special token {token!r} in the text is not allowed")
    longest_first = map(re.escape, sorted(allowed, key=len, reverse=True))
    pieces = re.split(f"({'|'.join(longest_first)})", text) if allowed else [text]
    ids: list[int] = []
    for piece in pieces:  # text, special token, text, ..., text
        ids += [special_tokens[piece]] if piece in allowed else encode(piece)
    return ids
