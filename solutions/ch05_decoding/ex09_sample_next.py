"""5.9 From logits to the next token   [medium, ~25 min]

The filters of 5.2 to 5.8 become one decoder: they run one after the other, and one of the tokens
that are left is drawn. Their order is part of the result: the same settings mean another text in
another order. Yours is that of Hugging Face's `generate`. The draw takes its random numbers from a
generator that the caller holds, so that a text can be had again.

Source: `_get_logits_processor` in https://github.com/huggingface/transformers, generation/utils.py;
Holtzman et al. (2020), https://arxiv.org/abs/1904.09751.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .ex02_apply_temperature import apply_temperature
from .ex03_top_k_filter import top_k_filter
from .ex04_top_p_filter import top_p_filter
from .ex05_min_p_filter import min_p_filter
from .ex06_typical_filter import typical_filter
from .ex07_repetition_penalty import repetition_penalty
from .ex08_no_repeat_ngram import no_repeat_ngram_filter


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is chosen, under the names of Hugging Face's `GenerationConfig`.

    None switches a filter off. The filters check their values themselves.
    """

    temperature: float = 1.0  # 0: always the most likely token
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None  # the `mass` of typical_filter
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int | None = None  # the `n` of no_repeat_ngram_filter


def process_logits(
    logits: Float[Tensor, "... vocab"], ids: Int[Tensor, "... seq"] | None, config: SamplingConfig
) -> Float[Tensor, "... vocab"]:
    """Apply everything that `config` asks for, each step to the result of the one before.

    The order: repetition penalty, no-repeat n-gram, temperature, top-k, top-p, min-p, typical. Each
    is one of your functions (with its `min_keep` left alone). `ids` is the text so far of each row,
    with the leading dimensions of `logits`. Neither is modified, and the result has the shape,
    dtype and device of `logits`.

    Raises:
        ValueError: `ids` is None, and `config` asks for a repetition penalty other than 1 or for
            no repeated n-grams; or a filter does not accept its value.

    >>> logits = torch.tensor([4.0, 3.0, 2.0, 1.0])
    >>> config = SamplingConfig(temperature=0.5, top_k=2, repetition_penalty=4.0)
    >>> process_logits(logits, torch.tensor([0, 0]), config)
    tensor([-inf, 6., 4., -inf])
    """
    # solution
    logits = apply_temperature(look_back(logits, ids, config), config.temperature)
    for keep_likely, value in (
        (top_k_filter, config.top_k),
        (top_p_filter, config.top_p),
        (min_p_filter, config.min_p),
        (typical_filter, config.typical_p),
    ):
        if value is not None:
            logits = keep_likely(logits, value)
    return logits


def sample_next(
    logits: Float[Tensor, "batch vocab"],
    config: SamplingConfig,
    generator: torch.Generator | None = None,
    ids: Int[Tensor, "batch seq"] | None = None,
) -> Int[Tensor, "batch"]:
    """Choose the next token of every row: one draw from the softmax of the processed logits.

    Rows are drawn independently of each other, each from its own probabilities. Logits in half
    precision become float32 before anything else: in float16, 1e4 at temperature 0.1 is infinite.
    The result is int64, on the device of `logits`.

    Args:
        logits: what the model says about the next token; not modified.
        config: see `process_logits`. With temperature 0 nothing is drawn: the most likely token is
            taken, the first of equals, and the generator stays as it was.
        generator: where all random numbers come from; its state moves on with each draw, that of
            torch's global generator does not. It may live on another device than `logits`, usually
            on the CPU: draw there, so that a seed gives the same tokens wherever the logits are.
            None: torch's global generator.
        ids: the text so far, for the penalties that look back.

    Raises:
        ValueError: as `process_logits` does.

    >>> logits = torch.tensor([[0.0, 9.0, 8.0], [5.0, 0.0, 5.0]])
    >>> sample_next(logits, SamplingConfig(temperature=0.0))
    tensor([1, 0])
    """
    # solution
    at_least_float32 = torch.promote_types(logits.dtype, torch.float32)
    logits = logits.to(at_least_float32)
    if config.temperature == 0:  # what is most likely stays so, and no filter drops it
        return look_back(logits, ids, config).argmax(-1)
    logits = process_logits(logits, ids, config)
    device = logits.device if generator is None else generator.device
    probs = logits.softmax(-1).to(device)
    return torch.multinomial(probs, 1, generator=generator)[:, 0].to(logits.device)


# solution
def look_back(logits, ids, config):
    """Apply the two steps that look at the text so far."""
    looks_back = config.repetition_penalty != 1.0 or config.no_repeat_ngram_size is not None
    if ids is None and looks_back:
        raise ValueError(f"{config} looks at the text so far, but ids is None")
    if config.repetition_penalty != 1.0:
        logits = repetition_penalty(logits, ids, config.repetition_penalty)
    if config.no_repeat_ngram_size is not None:
        logits = no_repeat_ngram_filter(logits, ids, config.no_repeat_ngram_size)
    return logits
