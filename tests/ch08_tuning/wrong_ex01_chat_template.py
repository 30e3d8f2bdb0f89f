import re

from kata.wrong import wrong
from solutions.ch08_tuning.ex01_chat_template import (
    END,
    START,
    apply_chat_template,
    check,
    encode_chat,
)

HEADER = f"{START}assistant\n"


@wrong(caught_by=["generation_prompt_begins_an_answer", "text_agrees_with_transformers"])
def apply_chat_template__opens_an_answer_to_users_only(messages, add_generation_prompt=False):
    """The beginning of an answer was added only where a user has spoken last. It is added whenever
    it is asked for."""
    last = messages[-1]["role"] if messages else ""
    return apply_chat_template(messages, add_generation_prompt and last == "user")


@wrong(caught_by=["generation_prompt_begins_an_answer", "text_agrees_with_transformers"])
def apply_chat_template__never_opens_an_answer(messages, add_generation_prompt=False):
    """`add_generation_prompt` was ignored. Without the beginning of an answer the model goes on as
    whoever it likes, often as the user."""
    return apply_chat_template(messages)


@wrong(
    caught_by=[
        "conversation_as_text_by_hand",
        "content_stays_as_it_is",
        "text_agrees_with_transformers",
    ]
)
def apply_chat_template__always_opens_an_answer(messages, add_generation_prompt=False):
    """The beginning of an answer was added without being asked for. A finished conversation, such
    as one to train on, ends behind its last message."""
    return apply_chat_template(messages, add_generation_prompt=True)


@wrong(caught_by=["generation_prompt_begins_an_answer", "text_agrees_with_transformers"])
def apply_chat_template__closes_the_answer_too(messages, add_generation_prompt=False):
    """The generation prompt is the beginning of a message and no whole one: the model itself writes
    its content and `<|im_end|>`."""
    text = apply_chat_template(messages)
    return text + f"{HEADER}{END}\n" if add_generation_prompt else text


@wrong(
    caught_by=[
        "conversation_as_text_by_hand",
        "generation_prompt_begins_an_answer",
        "content_stays_as_it_is",
        "text_agrees_with_transformers",
    ]
)
def apply_chat_template__forgets_the_end(messages, add_generation_prompt=False):
    """`<|im_end|>` is missing behind the content. It is what the model learns to stop with."""
    check(messages)
    text = "".join(f"{START}{m['role']}\n{m['content']}\n" for m in messages)
    return text + HEADER if add_generation_prompt else text


@wrong(
    caught_by=[
        "conversation_as_text_by_hand",
        "generation_prompt_begins_an_answer",
        "content_stays_as_it_is",
        "text_agrees_with_transformers",
    ]
)
def apply_chat_template__joins_the_contents(messages, add_generation_prompt=False):
    """The contents were joined without control tokens and roles, as for a model that only completes
    texts. A chat model has never seen such a thing."""
    check(messages)
    text = "\n".join(m["content"] for m in messages)
    return text + "\nassistant\n" if add_generation_prompt else text


@wrong(
    caught_by=[
        "conversation_as_text_by_hand",
        "content_stays_as_it_is",
        "text_agrees_with_transformers",
    ]
)
def apply_chat_template__joins_with_line_breaks(messages, add_generation_prompt=False):
    """The line break behind the last `<|im_end|>` is missing: `join` puts one between messages
    only."""
    check(messages)
    turns = [f"{START}{m['role']}\n{m['content']}{END}" for m in messages]
    return "\n".join(turns) + (f"\n{HEADER}" if add_generation_prompt else "")


@wrong(caught_by=["content_stays_as_it_is", "text_agrees_with_transformers"])
def apply_chat_template__strips_the_content(messages, add_generation_prompt=False):
    """White space at the ends of a content was removed. It goes into the text as it is."""
    stripped = [{**m, "content": m["content"].strip()} for m in messages]
    return apply_chat_template(stripped, add_generation_prompt)


@wrong(caught_by=["content_stays_as_it_is", "text_agrees_with_transformers"])
def apply_chat_template__removes_control_tokens(messages, add_generation_prompt=False):
    """Control tokens were removed from what a user typed. The text takes every content as it is; to
    keep text and control tokens apart is what ids are for."""
    clean = [{**m, "content": re.sub(r"<\|im_\w+\|>", "", m["content"])} for m in messages]
    return apply_chat_template(clean, add_generation_prompt)


@wrong(caught_by=["messages_are_not_modified"])
def apply_chat_template__appends_to_the_messages(messages, add_generation_prompt=False):
    """An empty message was appended to the caller's own list. The next call finds it there: work
    with a list of your own."""
    check(messages)
    if add_generation_prompt:
        messages.append({"role": "assistant", "content": ""})
    text = apply_chat_template(messages)
    return text.removesuffix(f"{END}\n") if add_generation_prompt else text


@wrong(caught_by=["impossible_conversations_have_no_text"])
def apply_chat_template__accepts_any_role(messages, add_generation_prompt=False):
    """A role that is not in `ROLES` was accepted. The model was never tuned on it."""
    check([{**m, "role": m["role"] if m["role"] == "system" else "user"} for m in messages])
    turns = [f"{START}{m['role']}\n{m['content']}{END}\n" for m in messages]
    return "".join(turns) + (HEADER if add_generation_prompt else "")


@wrong(caught_by=["impossible_conversations_have_no_text"])
def apply_chat_template__accepts_a_late_system_message(messages, add_generation_prompt=False):
    """A system message behind another message was accepted. It must be the first one."""
    for message in messages or [{"role": "nobody"}]:
        check([message])
    turns = [f"{START}{m['role']}\n{m['content']}{END}\n" for m in messages]
    return "".join(turns) + (HEADER if add_generation_prompt else "")


@wrong(caught_by=["typed_control_tokens_stay_text"])
def encode_chat__finds_control_tokens_in_the_text(
    messages, encode, special_ids, add_generation_prompt=False
):
    """What a user had typed became control tokens, because the text was searched for them: now a
    user can speak as the system. Encode each message with the ordinary encoder, and put the control
    tokens around it."""
    ids = []
    text = apply_chat_template(messages, add_generation_prompt)
    for piece in filter(None, re.split(r"(<\|im_start\|>|<\|im_end\|>)", text)):
        ids += [special_ids[piece]] if piece in (START, END) else encode(piece)
    return ids


@wrong(caught_by=["typed_control_tokens_stay_text"])
def encode_chat__removes_control_tokens(messages, encode, special_ids, add_generation_prompt=False):
    """Control tokens were removed from what a user typed. That is not needed, and somebody who asks
    what `<|im_end|>` means gets no answer: encode it as ordinary text."""
    clean = [{**m, "content": re.sub(r"<\|im_\w+\|>", "", m["content"])} for m in messages]
    return encode_chat(clean, encode, special_ids, add_generation_prompt)


@wrong(crashes=["typed_control_tokens_stay_text"])
def encode_chat__refuses_control_tokens(messages, encode, special_ids, add_generation_prompt=False):
    """A content with a control token in it was refused. It is text like any other: encode it."""
    if any(token in m["content"] for m in messages for token in (START, END)):
        raise ValueError("a control token in a message")
    return encode_chat(messages, encode, special_ids, add_generation_prompt)


@wrong(caught_by=["ids_by_hand", "typed_control_tokens_stay_text", "ids_agree_with_transformers"])
def encode_chat__encodes_control_tokens_as_text(
    messages, encode, special_ids, add_generation_prompt=False
):
    """The control tokens of the template were encoded as ordinary text, in many tokens. Each is one
    id, from `special_ids`."""
    return encode(apply_chat_template(messages, add_generation_prompt))


@wrong(caught_by=["ids_by_hand", "typed_control_tokens_stay_text", "ids_agree_with_transformers"])
def encode_chat__takes_ids_in_their_order(
    messages, encode, special_ids, add_generation_prompt=False
):
    """The ids were taken in the order in which `special_ids` lists them. Ask for them by name."""
    start, end, *_ = special_ids.values()
    named = {START: start, END: end}
    return encode_chat(messages, encode, named, add_generation_prompt)


@wrong(caught_by=["ids_agree_with_transformers"])
def encode_chat__encodes_role_and_content_apart(
    messages, encode, special_ids, add_generation_prompt=False
):
    """Role, line break and content were encoded apart. What stands between two control tokens is
    one piece for the encoder, which may have a token for the line break and what follows it."""
    check(messages)
    start, end = special_ids[START], special_ids[END]
    ids = []
    for m in messages:
        ids += [start, *encode(m["role"]), *encode("\n"), *encode(m["content"]), end, *encode("\n")]
    return ids + ([start, *encode("assistant\n")] if add_generation_prompt else [])


@wrong(caught_by=["ids_by_hand", "typed_control_tokens_stay_text", "ids_agree_with_transformers"])
def encode_chat__forgets_the_line_break(messages, encode, special_ids, add_generation_prompt=False):
    """The line break behind `<|im_end|>` is missing. It is a part of the template too."""
    check(messages)
    start, end = special_ids[START], special_ids[END]
    ids = []
    for m in messages:
        ids += [start, *encode(f"{m['role']}\n{m['content']}"), end]
    return ids + ([start, *encode("assistant\n")] if add_generation_prompt else [])


@wrong(caught_by=["typed_control_tokens_stay_text", "ids_agree_with_transformers"])
def encode_chat__never_opens_an_answer(messages, encode, special_ids, add_generation_prompt=False):
    """`add_generation_prompt` was ignored. Without the beginning of an answer the model goes on as
    whoever it likes, often as the user."""
    return encode_chat(messages, encode, special_ids)


@wrong(caught_by=["impossible_conversations_have_no_ids"])
def encode_chat__checks_nothing(messages, encode, special_ids, add_generation_prompt=False):
    """`encode_chat` accepted messages that `apply_chat_template` refuses. It raises the same
    errors."""
    start, end = special_ids[START], special_ids[END]
    ids = []
    for m in messages:
        ids += [start, *encode(f"{m['role']}\n{m['content']}"), end, *encode("\n")]
    return ids + ([start, *encode("assistant\n")] if add_generation_prompt else [])
