"""8.2 One example for instruction tuning   [medium, ~20 min]

Supervised fine-tuning (SFT) shows a model a prompt and the response that it should have given. The
loss is that of 7.2, on the response alone: labels are the ids once more, with -100 where there is
nothing to learn. The end token is to be learned: without it a model never stops. Prompt and
response are encoded apart, because the model will meet the prompt without its response. A token
that spans the boundary would also shift the mask.

Source: Ouyang et al. (2022), https://arxiv.org/abs/2203.02155; the `completion_only_loss` of TRL,
https://huggingface.co/docs/trl/sft_trainer.
"""

from collections.abc import Callable

IGNORED = -100  # a label that counts for nothing


def build_sft_example(
    prompt: str | list[int],
    response: str,
    encode: Callable[[str], list[int]],
    eos_id: int,
    max_len: int | None = None,
) -> tuple[list[int], list[int]]:
    """Return the ids of prompt, response and end, and the labels that go with them.

    Labels are as long as the ids and not shifted (the loss does that): `IGNORED` at every token of
    the prompt, whatever it is, and the token itself at every other one, the end included.

    Args:
        prompt: text, or ids that are there already, such as those of `encode_chat` (8.1); a list is
            not modified. Prompt and response may be empty.
        response: text, as it is: nothing is put between the two, and nothing removed.
        encode: the tokenizer, which adds no tokens of its own. Prompt and response are encoded
            apart, each in one piece. The lists that it returns are not modified.
        eos_id: the end token, put once behind the response.
        max_len: the most tokens that the example may have. One that is longer loses the first
            tokens of its prompt, as many as necessary, and possibly all; the response is never cut.

    Raises:
        ValueError: response and end alone are longer than `max_len`.

    >>> utf8 = lambda text: list(text.encode())
    >>> build_sft_example("2+3=", "5", utf8, eos_id=0)
    ([50, 43, 51, 61, 53, 0], [-100, -100, -100, -100, 53, 0])
    """
    # solution
    prompt_ids = encode(prompt) if isinstance(prompt, str) else prompt
    answer_ids = [*encode(response), eos_id]
    if max_len is not None:
        room = max_len - len(answer_ids)
        if room < 0:
            raise ValueError(f"response and end are {len(answer_ids)} tokens, max_len is {max_len}")
        prompt_ids = prompt_ids[max(0, len(prompt_ids) - room) :]  # [-room:] is all for room = 0
    return prompt_ids + answer_ids, [IGNORED] * len(prompt_ids) + answer_ids
