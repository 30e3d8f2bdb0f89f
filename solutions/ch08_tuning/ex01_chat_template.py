"""8.1 Chat templates   [easy, ~25 min]

A chat model is a language model that was tuned on texts of one fixed form: control tokens around
each message say who speaks and where it ends. The model must be asked in exactly that form. Here it
is ChatML, which Qwen and many others use. As one text, a conversation can be forged: a user may
type `<|im_end|>`. As ids it cannot (1.10), if whoever builds them never looks for control tokens in
what was typed.

Source: https://huggingface.co/docs/transformers/chat_templating; OpenAI's ChatML,
https://github.com/openai/openai-python/blob/release-v0.28.1/chatml.md.
"""

from collections.abc import Callable

START, END = "<|im_start|>", "<|im_end|>"
ROLES = ("system", "user", "assistant")

Message = dict[str, str]
"""The keys are `role` and `content`, such as {"role": "user", "content": "Who are you?"}."""


def apply_chat_template(messages: list[Message], add_generation_prompt: bool = False) -> str:
    r"""Write a conversation as one text, in the form of ChatML.

    Each message is `<|im_start|>`, its role, a line break, its content as it is (whatever it
    holds; spaces and line breaks at its ends too), `<|im_end|>`, and a line break. Nothing comes
    before, between or behind the messages, apart from the generation prompt.

    Args:
        messages: in any order, and any role may be repeated; only a system message must be the
            first one, if there is any. Not modified.
        add_generation_prompt: end with the beginning of an answer, up to the line break after its
            role, whoever has spoken last. What the model writes next is then the answer.

    Raises:
        ValueError: there are no messages; a role is not one of `ROLES`; a system message is not the
            first message.

    >>> apply_chat_template([{"role": "user", "content": "Hi!"}], add_generation_prompt=True)
    '<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n'
    """
    # solution
    check(messages)
    turns = [f"{START}{m['role']}\n{m['content']}{END}\n" for m in messages]
    return "".join(turns) + (f"{START}assistant\n" if add_generation_prompt else "")


def encode_chat(
    messages: list[Message],
    encode: Callable[[str], list[int]],
    special_ids: dict[str, int],
    add_generation_prompt: bool = False,
) -> list[int]:
    r"""Give the ids of the text of `apply_chat_template`; only the template makes control tokens.

    One that is typed in a message is ordinary text for `encode`: nothing of it is removed, changed
    or refused.

    Args:
        messages: as in `apply_chat_template`.
        encode: the ordinary encoder, which knows nothing of control tokens. All that stands between
            two control tokens of the template, or behind the last one, goes to it in one piece,
            such as "user\nHi!", or "\n": cut elsewhere, a text may get other tokens.
        special_ids: the ids of `START` and `END`; it may hold others.
        add_generation_prompt: as in `apply_chat_template`.

    Raises:
        ValueError: as `apply_chat_template`.

    >>> utf8 = lambda text: list(text.encode())
    >>> special_ids = {"<|im_start|>": 256, "<|im_end|>": 257}
    >>> encode_chat([{"role": "user", "content": "Hi"}], utf8, special_ids)
    [256, 117, 115, 101, 114, 10, 72, 105, 257, 10]
    """
    # solution
    check(messages)
    start, end = special_ids[START], special_ids[END]
    ids: list[int] = []
    for m in messages:
        ids += [start, *encode(f"{m['role']}\n{m['content']}"), end, *encode("\n")]
    return ids + ([start, *encode("assistant\n")] if add_generation_prompt else [])


# solution
def check(messages: list[Message]) -> None:
    """Raise the errors that both functions document."""
    if not messages:
        raise ValueError("there are no messages")
    for i, message in enumerate(messages):
        role = message["role"]
        if role not in ROLES:
            raise ValueError(f"the role of message {i} must be one of {ROLES}, got {role!r}")
        if role == "system" and i > 0:
            raise ValueError(f"a system message must be the first, but it is message {i}")
