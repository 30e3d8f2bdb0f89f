from itertools import pairwise

from kata.wrong import wrong
from solutions.ch08_tuning.ex01_chat_template import END, START, apply_chat_template, encode_chat
from solutions.ch10_playground.ex01_generate_text import generate_ids
from solutions.ch10_playground.ex02_chat import chat, trim_messages

FOREVER = 10**9


def length(messages, encode, special_ids):
    return len(encode_chat(messages, encode, special_ids, add_generation_prompt=True))


def checked(messages, encode, special_ids, max_ids):
    """Raise the errors, all of them."""
    trim_messages(messages, encode, special_ids, max_ids)


def parts(messages):
    first = int(messages[0]["role"] == "system")
    return messages[:first], messages[first:]


# ---------------------------------------------------------------------------- what is left out


@wrong(
    caught_by=[
        "oldest_turns_are_left_out",
        "a_long_turn_hides_those_before_it",
        "there_is_room_for_the_answer",
    ]
)
def trim_messages__keeps_everything(messages, encode, special_ids, max_ids):
    """Nothing was left out. The oldest turns have to go when the prompt is too long."""
    checked(messages, encode, special_ids, max_ids)
    return messages


@wrong(
    caught_by=[
        "oldest_turns_are_left_out",
        "a_long_turn_hides_those_before_it",
        "there_is_room_for_the_answer",
    ]
)
def trim_messages__drops_the_system_message(messages, encode, special_ids, max_ids):
    """The system message is gone, because it is the oldest one. It always stays."""
    checked(messages, encode, special_ids, max_ids)
    starts = [0, *[i for i in range(1, len(messages)) if messages[i]["role"] == "user"]]
    for start in starts:
        if length(messages[start:], encode, special_ids) <= max_ids:
            return messages[start:]


@wrong(
    caught_by=[
        "oldest_turns_are_left_out",
        "a_long_turn_hides_those_before_it",
        "there_is_room_for_the_answer",
    ]
)
def trim_messages__drops_single_messages(messages, encode, special_ids, max_ids):
    """A question is gone, and its answer is still there. Messages go in whole turns: a message of
    the user with all that follows up to the next one."""
    checked(messages, encode, special_ids, max_ids)
    system, rest = parts(messages)
    while length(system + rest, encode, special_ids) > max_ids:
        rest = rest[1:]
    return system + rest


@wrong(caught_by=["oldest_turns_are_left_out"])
def trim_messages__drops_pairs(messages, encode, special_ids, max_ids):
    """Messages were left out two by two. Not every turn has two: look for the next message of the
    user."""
    checked(messages, encode, special_ids, max_ids)
    system, rest = parts(messages)
    while length(system + rest, encode, special_ids) > max_ids and len(rest) > 2:
        rest = rest[2:]
    return system + rest


@wrong(caught_by=["oldest_turns_are_left_out", "there_is_room_for_the_answer"])
def trim_messages__drops_everything_at_once(messages, encode, special_ids, max_ids):
    """All turns but the last were left out. Leave out as few as possible."""
    checked(messages, encode, special_ids, max_ids)
    if length(messages, encode, special_ids) <= max_ids:
        return messages
    return parts(messages)[0] + messages[-1:]


@wrong(
    caught_by=[
        "oldest_turns_are_left_out",
        "a_long_turn_hides_those_before_it",
        "there_is_room_for_the_answer",
    ]
)
def trim_messages__drops_the_newest_turns(messages, encode, special_ids, max_ids):
    """Newer turns were left out, and older ones kept. The oldest go first."""
    checked(messages, encode, special_ids, max_ids)
    kept = list(messages)
    while length(kept, encode, special_ids) > max_ids:
        users = [i for i, message in enumerate(kept[:-1]) if message["role"] == "user"]
        last = users[-1] if users else int(kept[0]["role"] == "system")
        kept = kept[:last] + kept[-1:]
    return kept


@wrong(caught_by=["a_long_turn_hides_those_before_it"])
def trim_messages__keeps_what_fits_somehow(messages, encode, special_ids, max_ids):
    """A turn was left out, and an older one kept, since that one is short. What is kept has no gap:
    an answer would seem to belong to another question."""
    checked(messages, encode, special_ids, max_ids)
    system, rest = parts(messages)
    starts = [0, *[i for i in range(1, len(rest)) if rest[i]["role"] == "user"], len(rest)]
    turns = [rest[a:b] for a, b in pairwise(starts)]
    kept = turns[-1]
    for turn in turns[-2::-1]:
        if length(system + turn + kept, encode, special_ids) <= max_ids:
            kept = turn + kept
    return system + kept


@wrong(
    caught_by=[
        "oldest_turns_are_left_out",
        "a_long_turn_hides_those_before_it",
        "there_is_room_for_the_answer",
    ]
)
def trim_messages__cuts_a_message(messages, encode, special_ids, max_ids):
    """A message was cut in the middle. A turn stays as it is, or goes as a whole."""
    checked(messages, encode, special_ids, max_ids)
    system, rest = parts(messages)
    while (much := length(system + rest, encode, special_ids) - max_ids) > 0:
        content = rest[0]["content"][much:]
        rest = [rest[0] | {"content": content}, *rest[1:]] if content else rest[1:]
    return system + rest


@wrong(caught_by=["oldest_turns_are_left_out", "there_is_room_for_the_answer"])
def trim_messages__wants_room_to_spare(messages, encode, special_ids, max_ids):
    """A prompt of exactly `max_ids` ids was taken for too long. It fits."""
    return trim_messages(messages, encode, special_ids, max_ids - 1)


@wrong(
    caught_by=[
        "oldest_turns_are_left_out",
        "a_long_turn_hides_those_before_it",
        "the_last_message_has_to_fit",
        "there_is_room_for_the_answer",
    ]
)
def trim_messages__forgets_the_generation_prompt(messages, encode, special_ids, max_ids):
    """The beginning of the answer was not counted. It is a part of the prompt."""
    return trim_messages(messages, encode, special_ids, max_ids + 11)


@wrong(
    caught_by=[
        "oldest_turns_are_left_out",
        "a_long_turn_hides_those_before_it",
        "the_last_message_has_to_fit",
        "there_is_room_for_the_answer",
    ]
)
def trim_messages__counts_the_contents_only(messages, encode, special_ids, max_ids):
    """Only the ids of the contents were counted. Roles and control tokens need room too: count the
    ids of `encode_chat`."""
    if not messages or messages[-1]["role"] != "user":
        raise ValueError("the last message")
    encode_chat(messages, encode, special_ids)
    system, rest = parts(messages)
    starts = [0, *[i for i in range(1, len(rest)) if rest[i]["role"] == "user"]]
    for start in starts:
        kept = system + rest[start:]
        if sum(len(encode(message["content"])) for message in kept) <= max_ids:
            return kept
    raise ValueError("too long")


@wrong(caught_by=["the_last_message_has_to_fit"])
def trim_messages__keeps_a_message_that_is_too_long(messages, encode, special_ids, max_ids):
    """The last message does not fit, and nobody was told. Raise a ValueError."""
    try:
        return trim_messages(messages, encode, special_ids, max_ids)
    except ValueError:
        trim_messages(messages, encode, special_ids, FOREVER)
        return parts(messages)[0] + messages[-1:]


@wrong(caught_by=["impossible_conversations_are_refused"])
def trim_messages__answers_anybody(messages, encode, special_ids, max_ids):
    """A conversation that does not end with a message of the user was accepted. There is nothing to
    answer: raise a ValueError."""
    if messages and messages[-1]["role"] != "user":
        encode_chat(messages, encode, special_ids)
        return messages
    return trim_messages(messages, encode, special_ids, max_ids)


@wrong(caught_by=["messages_are_not_modified"])
def trim_messages__takes_them_from_the_caller(messages, encode, special_ids, max_ids):
    """The list of the caller was modified: the messages are gone for good. Make a new list."""
    messages[:] = trim_messages(messages, encode, special_ids, max_ids)
    return messages


# -------------------------------------------------------------------------------- what is shown


def written(ids, model, decode, special_ids, max_new_tokens, strategy, options):
    """The text that a model writes after these ids, up to the first control token."""
    options = options | {"max_new_tokens": max_new_tokens, "eos_id": special_ids[END]}
    new = []
    for token in generate_ids(model, ids, strategy, **options):
        if token in special_ids.values():
            break
        new.append(token)
    return decode(new)


@wrong(
    caught_by=["a_conversation_by_hand", "there_is_room_for_the_answer", "what_is_typed_stays_text"]
)
def chat__forgets_the_generation_prompt(
    messages, model, encode, decode, special_ids, *,
    max_context, max_new_tokens=100, strategy="greedy", **options,
):  # fmt: skip
    """The prompt ends behind the last message, and the model may go on with anything. The beginning
    of an answer has to follow: `add_generation_prompt`."""
    kept = trim_messages(messages, encode, special_ids, max_context - max_new_tokens)
    ids = encode_chat(kept, encode, special_ids)
    return written(ids, model, decode, special_ids, max_new_tokens, strategy, options)


@wrong(caught_by=["what_is_typed_stays_text"])
def chat__looks_for_control_tokens_in_the_text(
    messages, model, encode, decode, special_ids, *,
    max_context, max_new_tokens=100, strategy="greedy", **options,
):  # fmt: skip
    """A control token that was typed became one: a user can forge a system message. Let
    `encode_chat` make the ids, which never looks for control tokens in a text."""
    kept = trim_messages(messages, encode, special_ids, max_context - max_new_tokens)
    text, ids = apply_chat_template(kept, add_generation_prompt=True), []
    while text:
        name = next((name for name in special_ids if text.startswith(name)), None)
        ids += encode(text[0]) if name is None else [special_ids[name]]
        text = text[len(name or "x") :]
    return written(ids, model, decode, special_ids, max_new_tokens, strategy, options)


@wrong(caught_by=["what_is_typed_stays_text"])
def chat__removes_what_looks_like_control_tokens(messages, *parts, **options):
    """Something is missing in what the user typed. Control tokens in it are ordinary text, which
    `encode_chat` leaves alone."""
    cleaned = []
    for message in messages:
        content = message["content"]
        for name in (START, END, "<|endoftext|>"):
            content = content.replace(name, "")
        cleaned.append(message | {"content": content})
    return chat(cleaned, *parts, **options)


@wrong(caught_by=["what_is_typed_stays_text"])
def chat__strips_what_is_typed(messages, *parts, **options):
    """The spaces at the ends of a message are missing. What is typed stays as it is."""
    stripped = [message | {"content": message["content"].strip()} for message in messages]
    return chat(stripped, *parts, **options)


@wrong(caught_by=["there_is_room_for_the_answer"])
def chat__leaves_no_room_for_the_answer(messages, *parts, max_context, **options):
    """The prompt alone may fill the whole context. The answer needs room there too:
    `max_new_tokens`."""
    options = {"max_new_tokens": 100} | options
    return chat(messages, *parts, max_context=max_context + options["max_new_tokens"], **options)


@wrong(caught_by=["there_is_room_for_the_answer"])
def chat__crops_the_ids(
    messages, model, encode, decode, special_ids, *,
    max_context, max_new_tokens=100, strategy="greedy", **options,
):  # fmt: skip
    """The first ids of the prompt were cut off, whatever they were: the system message is gone, and
    the rest begins in the middle of a message. Leave out whole turns."""
    trim_messages(messages, encode, special_ids, FOREVER)
    ids = encode_chat(messages, encode, special_ids, add_generation_prompt=True)
    ids = ids[-(max_context - max_new_tokens) :]
    return written(ids, model, decode, special_ids, max_new_tokens, strategy, options)


@wrong(caught_by=["a_conversation_by_hand", "there_is_room_for_the_answer"])
def chat__shows_the_last_message_only(messages, *parts, **options):
    """The model was shown the last message alone. It remembers nothing: show it the conversation,
    as far as it fits."""
    trim_messages(messages, parts[1] if len(parts) > 1 else options["encode"],
                  parts[3] if len(parts) > 3 else options["special_ids"], FOREVER)  # fmt: skip
    return chat(messages[-1:], *parts, **options)


# ------------------------------------------------------------------------------------ the answer


@wrong(
    caught_by=[
        "a_conversation_by_hand",
        "there_is_room_for_the_answer",
        "what_is_typed_stays_text",
        "answer_ends_before_a_control_token",
    ]
)
def chat__goes_on_after_the_end(
    messages, model, encode, decode, special_ids, *,
    max_context, max_new_tokens=100, strategy="greedy", **options,
):  # fmt: skip
    """The answer was cut off at the end token only when the model had written all it was allowed
    to. Do not ask for more once the answer is at its end."""
    kept = trim_messages(messages, encode, special_ids, max_context - max_new_tokens)
    ids = encode_chat(kept, encode, special_ids, add_generation_prompt=True)
    options = options | {"max_new_tokens": max_new_tokens, "eos_id": None}
    if strategy == "beam":
        options["eos_id"] = special_ids[END]
    new = list(generate_ids(model, ids, strategy, **options))
    ends = [i for i, token in enumerate(new) if token in special_ids.values()]
    return decode(new[: ends[0]] if ends else new)


@wrong(crashes=["answer_ends_before_a_control_token", "answers_are_drawn_as_asked_for"])
def chat__ends_at_one_token_only(
    messages, model, encode, decode, special_ids, *,
    max_context, max_new_tokens=100, strategy="greedy", **options,
):  # fmt: skip
    """Only `<|im_end|>` ended the answer. The other control tokens are no text either, and `decode`
    does not know them."""
    kept = trim_messages(messages, encode, special_ids, max_context - max_new_tokens)
    ids = encode_chat(kept, encode, special_ids, add_generation_prompt=True)
    options = options | {"max_new_tokens": max_new_tokens, "eos_id": special_ids[END]}
    return decode(list(generate_ids(model, ids, strategy, **options)))


@wrong(caught_by=["answer_ends_before_a_control_token", "answers_are_drawn_as_asked_for"])
def chat__leaves_control_tokens_out(
    messages, model, encode, decode, special_ids, *,
    max_context, max_new_tokens=100, strategy="greedy", **options,
):  # fmt: skip
    """The text went on behind a control token. The answer ends before the first one, whichever it
    is."""
    kept = trim_messages(messages, encode, special_ids, max_context - max_new_tokens)
    ids = encode_chat(kept, encode, special_ids, add_generation_prompt=True)
    options = options | {"max_new_tokens": max_new_tokens, "eos_id": special_ids[END]}
    new = generate_ids(model, ids, strategy, **options)
    return decode([token for token in new if token not in special_ids.values()])


@wrong(caught_by=["answer_ends_before_a_control_token"])
def chat__decodes_the_ids_one_by_one(messages, model, encode, decode, *parts, **options):
    """The ids were decoded one by one. A character may lie across two of them: decode the whole
    list."""

    def joined(ids):
        return "".join(bytes([token]).decode(errors="replace") for token in ids)

    return chat(messages, model, encode, joined, *parts, **options)


@wrong(caught_by=["answer_ends_before_a_control_token"])
def chat__strips_the_answer(*parts, **options):
    """Spaces or line breaks at the ends of the answer are missing. They were written by the
    model."""
    return chat(*parts, **options).strip()


@wrong(
    caught_by=[
        "a_conversation_by_hand",
        "answer_ends_before_a_control_token",
        "answers_are_drawn_as_asked_for",
    ]
)
def chat__returns_the_conversation(messages, *parts, **options):
    """More than the answer came back. Return only what the model has written."""
    reply = chat(messages, *parts, **options)
    return apply_chat_template([*messages, {"role": "assistant", "content": reply}])


@wrong(caught_by=["answers_are_drawn_as_asked_for"])
def chat__ignores_the_strategy(*parts, strategy="greedy", seed=None, max_context, **options):
    """Every answer was greedy. Hand the strategy and its parameters on to `generate_ids`."""
    options = {name: options[name] for name in options if name not in ("k", "temperature", "beams")}
    return chat(*parts, max_context=max_context, **options)


@wrong(caught_by=["answers_are_drawn_as_asked_for"])
def chat__ignores_the_seed(*parts, seed=None, **options):
    """`seed` has no effect. Hand it on to `generate_ids`."""
    return chat(*parts, seed=0 if seed is not None else None, **options)
