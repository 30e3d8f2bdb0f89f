"""5.12 Prompts of unequal length   [medium, ~30 min]

Several prompts at once cost hardly more than one, but they have to form a rectangle. The padding
goes to the left (1.12): then the last column holds a real token in every row, and new ones come
after it. Two things tell the model what is real. The attention mask hides the padding (3.6), and
the positions count the real tokens, for a model with a table of positions as GPT-2's (4.2). With
either of them wrong nothing fails; rows that are padded just say something else than alone.

Source: `prepare_inputs_for_generation` in https://github.com/huggingface/transformers;
https://huggingface.co/docs/transformers/main/en/llm_tutorial#padding-side.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..ch01_tokenizers.ex12_pad_batch import pad_batch
from .ex09_sample_next import SamplingConfig, sample_next
from .ex10_generate import GREEDY


def generate_batch(
    model: Callable[
        [Int[Tensor, "batch seq"], Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]],
        Float[Tensor, "batch seq vocab"],
    ],
    prompts: list[list[int]],
    max_new_tokens: int,
    config: SamplingConfig = GREEDY,
    *,
    pad_id: int,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> list[list[int]]:
    """Continue every prompt, and return the new tokens of each, in the order of `prompts`.

    What a row says does not depend on the rows beside it: with temperature 0 it is what the prompt
    gives alone, penalties included. A row ends after `max_new_tokens` tokens or with `eos_id`,
    which is part of the result; padding never is.

    Args:
        model: called once per step as `model(ids, attention_mask, position_ids)`, without keywords,
            on all rows that have not ended. Whether those that have ended are still among them is
            up to you. All three are int64, as in Hugging Face transformers: `ids` has the whole
            texts so far, with `pad_id` on the left; the mask is 1 at real tokens and 0 at padding;
            positions count the real tokens of a row, 0, 1, 2, ..., and are 0 at padding. Once
            every row has ended, the model is not called again. Mode and gradients are as in 5.10:
            an `nn.Module` is in eval mode while it works and gets its mode back, and no gradients
            are recorded.
        prompts: ids, at least one in each; not modified. No prompts give no continuations.
        max_new_tokens: at most so many for each prompt; 0 or more.
        config: handed to `sample_next`, whose `ids` are to be the text of a row without padding.
        pad_id: any id of the vocabulary; it may also be that of a real token, or `eos_id`.
        eos_id: what is in a prompt ends nothing.
        generator: handed to `sample_next`. In which order rows draw is up to you.
        device: where the tensors for the model are made; torch's default device when None.

    Raises:
        ValueError: a prompt is empty, or `max_new_tokens` is negative.

    >>> def counting(ids, attention_mask, position_ids):
    ...     return torch.nn.functional.one_hot(ids + 1, num_classes=9).float()
    >>> generate_batch(counting, [[3, 4], [0]], max_new_tokens=4, pad_id=7, eos_id=6)
    [[5, 6], [1, 2, 3, 4]]
    """
    # solution
    if max_new_tokens < 0 or not all(prompts):
        raise ValueError(f"got max_new_tokens={max_new_tokens}, prompts={prompts}")
    texts = [list(prompt) for prompt in prompts]
    running = texts  # the very lists: what is appended to one of them is in `texts` too
    training = isinstance(model, nn.Module) and model.training
    try:
        if training:
            model.eval()
        for _ in range(max_new_tokens):
            if not running:
                break
            ids, mask = torch.tensor(pad_batch(running, pad_id, side="left"), device=device)
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            with torch.no_grad():
                logits = model(ids, mask, positions)[:, -1]  # (batch, vocab)
            for text, row in zip(running, logits, strict=True):
                so_far = torch.tensor([text], device=logits.device)
                text += sample_next(row[None], config, generator, so_far).tolist()
            running = [text for text in running if text[-1] != eos_id]
    finally:
        if training:
            model.train()
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]
