from kata.wrong import wrong
from solutions.ch08_tuning.ex02_build_sft_example import build_sft_example


def ids_of(prompt, encode):
    """The prompt as a list of ids of its own."""
    return list(encode(prompt) if isinstance(prompt, str) else prompt)


@wrong(
    caught_by=[
        "labels_hide_the_prompt_and_nothing_else",
        "prompt_and_response_are_encoded_apart",
        "prompt_may_be_ids",
        "tokens_of_the_prompt_are_learned_in_the_response",
        "long_prompts_lose_their_first_tokens",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__learns_the_prompt(prompt, response, encode, eos_id, max_len=None):
    """Labels are the ids everywhere. At the prompt they are -100: the model is not to learn to ask
    questions."""
    ids, _ = build_sft_example(prompt, response, encode, eos_id, max_len)
    return ids, list(ids)


@wrong(
    caught_by=[
        "labels_hide_the_prompt_and_nothing_else",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__counts_characters(prompt, response, encode, eos_id, max_len=None):
    """As many labels were set to -100 as the prompt has characters. Count its tokens."""
    whole, _ = build_sft_example(prompt, response, encode, eos_id)
    ids, _ = build_sft_example(prompt, response, encode, eos_id, max_len)
    masked = min(len(ids), max(0, len(prompt) - (len(whole) - len(ids))))
    return ids, [-100] * masked + ids[masked:]


@wrong(caught_by=["prompt_and_response_are_encoded_apart"])
def build_sft_example__encodes_both_together(prompt, response, encode, eos_id, max_len=None):
    """Prompt and response were encoded as one text. A token may then span the boundary, and the
    prompt has other tokens than it has alone, as the model will meet it."""
    if not isinstance(prompt, str):
        return build_sft_example(prompt, response, encode, eos_id, max_len)
    ids, start = [*encode(prompt + response), eos_id], len(encode(prompt))
    cut = 0 if max_len is None else max(0, len(ids) - max_len)
    if cut > start:
        raise ValueError("the response is too long")
    return ids[cut:], [-100] * (start - cut) + ids[start:]


@wrong(
    caught_by=[
        "labels_hide_the_prompt_and_nothing_else",
        "prompt_and_response_are_encoded_apart",
        "prompt_may_be_ids",
        "tokens_of_the_prompt_are_learned_in_the_response",
        "long_prompts_lose_their_first_tokens",
        "long_responses_are_refused",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__has_no_end(prompt, response, encode, eos_id, max_len=None):
    """The end token is missing. A model that never saw one never stops."""
    ids, labels = build_sft_example(
        prompt, response, encode, eos_id, None if max_len is None else max_len + 1
    )
    return ids[:-1], labels[:-1]


@wrong(
    caught_by=[
        "labels_hide_the_prompt_and_nothing_else",
        "prompt_and_response_are_encoded_apart",
        "prompt_may_be_ids",
        "tokens_of_the_prompt_are_learned_in_the_response",
        "long_prompts_lose_their_first_tokens",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__does_not_learn_the_end(prompt, response, encode, eos_id, max_len=None):
    """The end token has the label -100. It is part of what the model is to learn."""
    ids, labels = build_sft_example(prompt, response, encode, eos_id, max_len)
    return ids, [*labels[:-1], -100]


@wrong(
    caught_by=[
        "labels_hide_the_prompt_and_nothing_else",
        "prompt_and_response_are_encoded_apart",
        "prompt_may_be_ids",
        "tokens_of_the_prompt_are_learned_in_the_response",
        "long_prompts_lose_their_first_tokens",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__ends_the_prompt_too(prompt, response, encode, eos_id, max_len=None):
    """An end token was put behind the prompt as well. There is one, behind the response."""
    return build_sft_example([*ids_of(prompt, encode), eos_id], response, encode, eos_id, max_len)


@wrong(
    caught_by=[
        "labels_hide_the_prompt_and_nothing_else",
        "prompt_and_response_are_encoded_apart",
        "prompt_may_be_ids",
        "tokens_of_the_prompt_are_learned_in_the_response",
        "long_prompts_lose_their_first_tokens",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__shifts_the_labels(prompt, response, encode, eos_id, max_len=None):
    """The labels were moved by one place. The loss does that: here the label of a token is the
    token itself."""
    ids, labels = build_sft_example(prompt, response, encode, eos_id, max_len)
    return ids, [*labels[1:], -100]


@wrong(
    caught_by=[
        "prompt_may_be_ids",
        "tokens_of_the_prompt_are_learned_in_the_response",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__masks_by_value(prompt, response, encode, eos_id, max_len=None):
    """Every token that occurs in the prompt has the label -100, in the response too. What counts is
    the place, not the token."""
    ids, labels = build_sft_example(prompt, response, encode, eos_id, max_len)
    hidden = {i for i, label in zip(ids, labels, strict=True) if label == -100}
    return ids, [-100 if i in hidden else i for i in ids]


@wrong(
    caught_by=[
        "long_prompts_lose_their_first_tokens",
        "long_responses_are_refused",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__cuts_the_end(prompt, response, encode, eos_id, max_len=None):
    """What is too long was cut at its end, where the response stands. Cut the prompt, from its
    beginning."""
    ids, labels = build_sft_example(prompt, response, encode, eos_id)
    return ids[:max_len], labels[:max_len]


@wrong(
    caught_by=[
        "long_prompts_lose_their_first_tokens",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__keeps_the_first_of_the_prompt(
    prompt, response, encode, eos_id, max_len=None
):
    """The prompt lost its last tokens, which stand right before the response and matter most. It
    loses its first ones."""
    prompt_ids = ids_of(prompt, encode)
    if max_len is not None:
        prompt_ids = prompt_ids[: max(0, max_len - len(encode(response)) - 1)]
    return build_sft_example(prompt_ids, response, encode, eos_id, max_len)


@wrong(
    caught_by=[
        "long_prompts_lose_their_first_tokens",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__keeps_all_when_there_is_no_room(
    prompt, response, encode, eos_id, max_len=None
):
    """Where nothing of the prompt fits, all of it was kept: `ids[-0:]` is the whole list."""
    prompt_ids, answer_ids = ids_of(prompt, encode), [*encode(response), eos_id]
    if max_len is not None:
        if len(answer_ids) > max_len:
            raise ValueError("the response is too long")
        prompt_ids = prompt_ids[-(max_len - len(answer_ids)) :]
    return prompt_ids + answer_ids, [-100] * len(prompt_ids) + answer_ids


@wrong(
    caught_by=[
        "long_prompts_lose_their_first_tokens",
        "long_responses_are_refused",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__forgets_room_for_the_end(prompt, response, encode, eos_id, max_len=None):
    """The example is one token longer than `max_len`: the end token was not counted."""
    longer = None if max_len is None else max_len + 1
    return build_sft_example(prompt, response, encode, eos_id, longer)


@wrong(caught_by=["long_responses_are_refused"])
def build_sft_example__cuts_too_long_responses(prompt, response, encode, eos_id, max_len=None):
    """A response that is too long was cut in silence: the model learns to stop in the middle. It is
    a `ValueError`."""
    room = None if max_len is None else max(0, max_len - 1)
    answer_ids = [*encode(response)[:room], eos_id]
    prompt_ids = ids_of(prompt, encode)
    if max_len is not None:
        prompt_ids = prompt_ids[max(0, len(prompt_ids) + len(answer_ids) - max_len) :]
    return prompt_ids + answer_ids, [-100] * len(prompt_ids) + answer_ids


@wrong(
    caught_by=[
        "labels_hide_the_prompt_and_nothing_else",
        "prompt_and_response_are_encoded_apart",
        "prompt_may_be_ids",
        "tokens_of_the_prompt_are_learned_in_the_response",
        "response_is_whole_and_the_prompt_is_its_end",
    ],
    crashes=["long_prompts_lose_their_first_tokens"],
)
def build_sft_example__puts_a_space_between(prompt, response, encode, eos_id, max_len=None):
    """A space was put between prompt and response. Both are taken as they are."""
    return build_sft_example(prompt, f" {response}", encode, eos_id, max_len)


@wrong(
    caught_by=[
        "labels_hide_the_prompt_and_nothing_else",
        "prompt_and_response_are_encoded_apart",
        "response_is_whole_and_the_prompt_is_its_end",
    ]
)
def build_sft_example__strips_both(prompt, response, encode, eos_id, max_len=None):
    """White space at the ends of the texts was removed. Both are taken as they are."""
    prompt = prompt.strip() if isinstance(prompt, str) else prompt
    return build_sft_example(prompt, response.strip(), encode, eos_id, max_len)


@wrong(
    crashes=[
        "prompt_may_be_ids",
        "tokens_of_the_prompt_are_learned_in_the_response",
        "long_prompts_lose_their_first_tokens",
        "lists_of_others_are_not_modified",
    ]
)
def build_sft_example__encodes_ids(prompt, response, encode, eos_id, max_len=None):
    """A prompt that is a list of ids was given to the encoder. It is encoded already."""
    return build_sft_example(encode(prompt), response, encode, eos_id, max_len)


@wrong(caught_by=["lists_of_others_are_not_modified"])
def build_sft_example__changes_the_given_prompt(prompt, response, encode, eos_id, max_len=None):
    """The list that came as the prompt was changed by `+=`. It is the caller's: make a new list."""
    ids, labels = build_sft_example(prompt, response, encode, eos_id, max_len)
    if not isinstance(prompt, str):
        prompt[:] = ids
    return ids, labels


@wrong(caught_by=["lists_of_others_are_not_modified"])
def build_sft_example__changes_the_lists_of_the_encoder(
    prompt, response, encode, eos_id, max_len=None
):
    """The end token was appended to the list that `encode` returned. The encoder may keep that list
    and return it again: make a new one."""
    answer_ids = encode(response)
    example = build_sft_example(prompt, response, encode, eos_id, max_len)
    answer_ids.append(eos_id)
    return example
