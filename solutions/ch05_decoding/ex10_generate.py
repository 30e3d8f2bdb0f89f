"""5.10 Generating text   [hard, ~45 min]

A language model only ever says what could come next. Writing is a loop around it: show it the text,
choose a token (5.9), append it, again. What is difficult is at the edges: texts longer than the
model can read, rows that end before others, ends that come too early, stop strings across tokens.

Source: `generate` in https://github.com/huggingface/transformers, generation/utils.py; Karpathy's
https://github.com/karpathy/nanoGPT, model.py (the loop at its shortest).
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .ex09_sample_next import SamplingConfig, sample_next

GREEDY = SamplingConfig(temperature=0.0)


def generate(
    model: Callable[[Int[Tensor, "batch seq"]], Float[Tensor, "batch seq vocab"]],
    ids: Int[Tensor, "batch prompt"],
    max_new_tokens: int,
    config: SamplingConfig = GREEDY,
    *,
    eos_id: int | None = None,
    pad_id: int | None = None,
    min_new_tokens: int = 0,
    stop: Sequence[str] = (),
    decode: Callable[[list[int]], str] | None = None,
    context: int | None = None,
    generator: torch.Generator | None = None,
    return_prompt: bool = False,
) -> Int[Tensor, "batch new"]:
    """Continue every row of `ids` token by token, and return the new tokens.

    Each step calls the model once with all rows, and `sample_next` chooses from the logits of the
    last token. It goes on until every row has ended, or until there are `max_new_tokens`; after
    that the model is not called again. A row that has ended is filled while others go on.

    Args:
        model: maps texts to logits, which belong to it: do not modify them. An `nn.Module` is in
            eval mode while it works; at the end, also after an exception, its mode is the one in
            which it came. Gradients are not recorded.
        ids: the prompts, all of one length, without padding; not modified.
        max_new_tokens: at most so many; with 0 the result has no columns.
        config: handed to `sample_next`, with the whole text of each row, prompt included.
        eos_id: a row ends with this token, which is part of the result. The prompt ends nothing.
        pad_id: fills rows that have ended; `eos_id` if it is None.
        min_new_tokens: `eos_id` has the logit -inf as long as there are fewer new tokens. Stop
            strings may end a row before that.
        stop: a row ends with the token after which the text of its continuation, without the
            prompt, contains one of these strings. They may begin and end inside of a token.
        decode: ids to text, needed for `stop`. Half a character becomes U+FFFD, so the text of a
            list is not always made of the texts of its parts.
        context: the most tokens that the model can read: of a longer text show it the last ones.
        generator: handed to `sample_next`.
        return_prompt: the result begins with the prompt.

    Returns:
        int64, on the device of `ids`.

    Raises:
        ValueError: the prompt has no tokens; `max_new_tokens` is negative; `min_new_tokens` is not
            between 0 and `max_new_tokens`; `context` is below 1; there are stop strings but no
            `decode`, or stop strings and several rows, but neither `pad_id` nor `eos_id`.

    >>> counting = lambda ids: torch.nn.functional.one_hot(ids + 1, num_classes=9).float()
    >>> generate(counting, torch.tensor([[3, 4], [0, 1]]), max_new_tokens=5, eos_id=6, pad_id=0)
    tensor([[5, 6, 0, 0, 0],
            [2, 3, 4, 5, 6]])
    """
    # solution
    fill = eos_id if pad_id is None else pad_id
    check(ids, max_new_tokens, min_new_tokens, stop, decode, context, fill)
    prompt, text = ids.shape[1], ids.long()
    ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    training = isinstance(model, nn.Module) and model.training
    try:
        if training:
            model.eval()
        while (new := text.shape[1] - prompt) < max_new_tokens and not ended.all():
            with torch.no_grad():
                logits = model(text if context is None else text[:, -context:])[:, -1]
            if eos_id is not None and new < min_new_tokens:
                is_eos = torch.arange(logits.shape[-1], device=logits.device) == eos_id
                logits = logits.masked_fill(is_eos, float("-inf"))
            token = sample_next(logits, config, generator, text)
            token = token if fill is None else token.masked_fill(ended, fill)
            text = torch.cat([text, token[:, None]], dim=1)
            if eos_id is not None:
                ended |= token == eos_id
            if stop:
                ended |= contains(stop, decode, text[:, prompt:])
    finally:
        if training:
            model.train()
    return text if return_prompt else text[:, prompt:]


# solution
def check(ids, max_new_tokens, min_new_tokens, stop, decode, context, fill) -> None:
    """Raise the errors that `generate` documents."""
    if ids.shape[1] == 0:
        raise ValueError(f"the prompt is empty: ids has shape {tuple(ids.shape)}")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must not be negative, got {max_new_tokens}")
    if not 0 <= min_new_tokens <= max_new_tokens:
        raise ValueError(f"min_new_tokens must be in [0, {max_new_tokens}], got {min_new_tokens}")
    if context is not None and context < 1:
        raise ValueError(f"context must be at least 1, got {context}")
    if stop and decode is None:
        raise ValueError(f"the stop strings {list(stop)} need a decode function")
    if stop and len(ids) > 1 and fill is None:
        raise ValueError(f"{len(ids)} rows may stop one by one, but pad_id and eos_id are None")


def contains(stop, decode, new: Int[Tensor, "batch new"]) -> Tensor:
    """Which rows contain a stop string, as a bool tensor.

    A row that has ended may be decoded with its filling: what it contained, it still contains.
    """
    texts = [decode(row) for row in new.tolist()]
    hits = [any(word in text for word in stop) for text in texts]
    return torch.tensor(hits, dtype=torch.bool, device=new.device)
