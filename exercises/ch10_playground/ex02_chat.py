"""10.2 A chat that forgets in turns   [medium, ~30 min]

A chat model remembers nothing: each time it is shown the whole conversation (8.1), and one day that
is longer than it can read. Cropping ids, as 5.10 does, would cut off the system message first and
then begin in the middle of a sentence, without its control tokens. So whole turns are forgotten,
the oldest first, and there has to be room for the answer too. What a user types stays text,
whatever it looks like.

Source: https://huggingface.co/docs/transformers/conversations;
https://huggingface.co/docs/transformers/chat_templating.
"""

from collections.abc import Callable
from typing import Any

from ..ch08_tuning.ex01_chat_template import END, Message, encode_chat
from .ex01_generate_text import Model, generate_ids


def trim_messages(
    messages: list[Message],
    encode: Callable[[str], list[int]],
    special_ids: dict[str, int],
    max_ids: int,
) -> list[Message]:
    """Leave out the oldest turns, as few as possible, so that the prompt has at most `max_ids` ids.

    The prompt is what `encode_chat` (8.1) makes of the messages that are left, with the generation
    prompt. A system message always stays, and so does the last message. A turn is a message of the
    user with all that follows up to the next one of the user; what stands before the user's first
    message, apart from the system message, is a turn too. The turns that stay are the latest ones,
    each whole and unchanged. `messages` is not modified.

    Raises:
        ValueError: there are no messages, or the last one is not the user's; the system message and
            the last one alone are too long; or `encode_chat` refuses the messages.

    >>> talk = [{"role": role, "content": "Hi"} for role in ("user", "assistant", "user")]
    >>> utf8, ids = lambda text: list(text.encode()), {"<|im_start|>": 256, "<|im_end|>": 257}
    >>> [len(trim_messages(talk, utf8, ids, max_ids)) for max_ids in (21, 45, 46)]
    [1, 1, 3]
    """
    raise NotImplementedError("trim_messages")  # your code here


def chat(
    messages: list[Message],
    model: Model,
    encode: Callable[[str], list[int]],
    decode: Callable[[list[int]], str],
    special_ids: dict[str, int],
    *,
    max_context: int,
    max_new_tokens: int = 100,
    strategy: str = "greedy",
    **options: Any,
) -> str:
    """Return what the model answers to a conversation that ends with a message of the user.

    The model is shown the conversation without the turns that have to go (`trim_messages`), so that
    prompt and answer together have at most `max_context` ids, even if the answer becomes as long as
    it may. It writes by `generate_ids` (10.1). The answer ends before its first control token,
    whichever of `special_ids` that is, and the model is not asked for more.

    Args:
        messages: as in 8.1; not modified.
        model: maps ids to logits.
        encode: text to ids; it knows no control tokens.
        decode: ids to text; it knows no control tokens either. It gets all ids of the answer in one
            list, since half a character may end in the next token.
        special_ids: the id of each control token, among them those of `START` and `END` (8.1).
        max_context: the most tokens that the model can read.
        max_new_tokens: the most tokens of an answer.
        strategy: a name of `STRATEGIES` (10.1). Beam search is to end its texts with `END`.
        options: `seed` and the parameters of the strategy, for `generate_ids`.

    Raises:
        ValueError: as `trim_messages` and `generate_ids` do.
    """
    raise NotImplementedError("chat")  # your code here
