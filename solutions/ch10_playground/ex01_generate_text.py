"""10.1 One door to every strategy   [medium, ~40 min]

Chapter 5 has a function for each way of decoding. A playground, or anybody who only wants text,
needs one door: a prompt, the name of a strategy, its parameters, and out comes what the model adds.
A good door is strict: a misspelt name must not silently mean something else, and nothing happens
that was not asked for. (Hugging Face's `generate` cuts every sample to the 50 best tokens, unless
told not to.) The text also comes in chunks (5.15), so that it can be read while it is written.
The names, and what puts a model into eval mode, are given in `strategies.py` beside this file.

Source: https://huggingface.co/docs/transformers/generation_strategies; the parameters `top_k` and
`do_sample` in https://huggingface.co/docs/transformers/main_classes/text_generation.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..ch05_decoding.ex09_sample_next import SamplingConfig
from ..ch05_decoding.ex10_generate import generate
from ..ch05_decoding.ex13_beam_search import beam_search
from ..ch05_decoding.ex15_stream_text import stream_text
from .strategies import STRATEGIES, Model, evaluating


def settings_of(strategy: str, params: Mapping[str, float]) -> dict[str, float]:
    """Return all parameters of a strategy: those of `params`, and the defaults for the others.

    Whether the values make sense is checked later, by the functions of chapter 5. Neither `params`
    nor `STRATEGIES` is modified.

    Raises:
        ValueError: there is no such strategy, and the message has the names of all there are; or
            the strategy does not take a parameter, and the message has the names of those that it
            takes. When `difflib.get_close_matches` finds that a name is similar to one of these
            (take the first), the message also has "did you mean top_p?", or whatever it is.

    >>> settings_of("top_k", {"k": 5})
    {'k': 5, 'temperature': 1.0}
    """
    # solution
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; {offer(strategy, STRATEGIES)}")
    for name in params:
        if name not in STRATEGIES[strategy]:
            options = offer(name, STRATEGIES[strategy])
            raise ValueError(f"{strategy} takes no parameter {name!r}; {options}")
    return STRATEGIES[strategy] | dict(params)


def sampling_config(strategy: str, params: Mapping[str, float]) -> SamplingConfig:
    """Translate a strategy and its parameters for `sample_next` (5.9).

    What the strategy does not speak of stays switched off: there is no hidden top-k.

    Raises:
        ValueError: as `settings_of` does; or the strategy is "beam", which draws no tokens.

    >>> sampling_config("top_k", {"k": 5}) == SamplingConfig(top_k=5, temperature=1.0)
    True
    """
    # solution
    settings = settings_of(strategy, params)
    if strategy == "beam":
        raise ValueError("beam search draws no tokens")
    if strategy == "greedy":
        return SamplingConfig(temperature=0.0)
    p_name = "typical_p" if strategy == "typical" else strategy
    names = {"k": "top_k", "p": p_name, "penalty": "repetition_penalty"}
    return SamplingConfig(**{names.get(name, name): value for name, value in settings.items()})


def generate_ids(
    model: Model,
    ids: Sequence[int],
    strategy: str = "greedy",
    *,
    max_new_tokens: int = 100,
    seed: int | None = None,
    eos_id: int | None = None,
    context: int | None = None,
    **params: float,
) -> Iterator[int]:
    """Yield the ids that follow `ids`, each before the model is asked for the next one.

    All strategies but "beam" are `generate` (5.10) with their `sampling_config`. Beam search (5.13)
    is asked for the best text only, and knows its ids when it is at its end.

    When nobody wants the next id, nothing goes on. The model is in eval mode whenever it is called
    and no gradients are recorded, but the caller must not notice: whenever an id is yielded, the
    model is in the mode in which it came, and gradients are on or off as they were. `evaluating`
    tells on which device the model wants its ids.

    Args:
        model: maps ids to logits.
        ids: the prompt, not modified.
        strategy: a name of `STRATEGIES`.
        max_new_tokens: at most so many.
        seed: where a new generator on the CPU starts, from which all tokens of this text are drawn;
            torch's global generator is left alone. None: draw from the global one.
        eos_id: the text ends before this token, which is not yielded.
        context: the most tokens that the model can read: of a longer text show it the last ones
            (beam search too).
        params: the parameters of the strategy.

    Raises:
        ValueError: as `settings_of` does; `ids` is empty, `max_new_tokens` is negative, or
            `context` is below 1; a value is refused by the function of chapter 5 that gets it. At
            the first `next` is early enough.

    >>> counting = lambda ids: torch.nn.functional.one_hot(ids + 1, num_classes=9).float()
    >>> list(generate_ids(counting, [3, 4], max_new_tokens=3))
    [5, 6, 7]
    """
    # solution
    settings = settings_of(strategy, params)
    if not ids or max_new_tokens < 0 or (context is not None and context < 1):
        raise ValueError(f"got {len(ids)} ids, {max_new_tokens=}, {context=}")
    if strategy == "beam":
        if max_new_tokens > 0:
            yield from beam_ids(model, ids, max_new_tokens, eos_id, context, **settings)
        return
    config = sampling_config(strategy, params)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with evaluating(model) as device:
        text = torch.tensor([ids], device=device)
    options = {"context": context, "generator": generator, "return_prompt": True}
    for _ in range(max_new_tokens):
        text = generate(model, text, 1, config, **options)
        token = int(text[0, -1])
        if token == eos_id:
            return
        yield token


def stream_generate(
    model: Model,
    tokenizer: Any,
    prompt: str,
    strategy: str = "greedy",
    *,
    stop: Sequence[str] = (),
    **options: Any,
) -> Iterator[str]:
    """Yield what the model adds to `prompt` chunk by chunk, as `stream_text` (5.15) cuts it.

    It is the text of the new ids alone. Each chunk comes before the model is asked for the next
    token. Whoever has read enough stops asking, or calls `close()` on the iterator.

    Args:
        model: maps ids to logits.
        tokenizer: has `encode(text)`, which gives a list of ids, and `decode(ids)`, which gives the
            text of a list of ids, with U+FFFD for half a character. A prompt that is encoded and
            decoded need not be the same again (capitals, spaces at its ends).
        prompt: the model is shown its ids; no part of the result.
        strategy: a name of `STRATEGIES`.
        stop: the text ends before the first of these strings that it contains.
        options: for `generate_ids`: `max_new_tokens`, `seed`, `eos_id`, `context`, and the
            parameters of the strategy.

    Raises:
        ValueError: as `generate_ids` and `stream_text` do; or the tokenizer refuses the prompt. At
            the first `next` is early enough.
    """
    # solution
    ids = generate_ids(model, tokenizer.encode(prompt), strategy, **options)
    yield from stream_text(ids, tokenizer.decode, stop)


def generate_text(
    model: Model,
    tokenizer: Any,
    prompt: str,
    strategy: str = "greedy",
    *,
    stop: Sequence[str] = (),
    **options: Any,
) -> str:
    """Return what the model adds to `prompt`: all chunks of `stream_generate` as one text.

    Raises:
        ValueError: as `stream_generate` does.

    >>> from types import SimpleNamespace as Codec
    >>> utf8 = Codec(encode=lambda s: list(s.encode()), decode=lambda ids: bytes(ids).decode())
    >>> counting = lambda ids: torch.nn.functional.one_hot(ids + 1, num_classes=128).float()
    >>> generate_text(counting, utf8, "abc", "top_k", k=1, max_new_tokens=9, stop=["hi"])
    'defg'
    """
    # solution
    return "".join(stream_generate(model, tokenizer, prompt, strategy, stop=stop, **options))


# solution
# ruff: noqa: E402 (what only the reference needs is imported here, where the exercise is cut off)
from difflib import get_close_matches


def offer(name: str, names: Mapping[str, Any]) -> str:
    """Say what there is instead of `name`."""
    similar = get_close_matches(name, names, n=1)
    guess = f"did you mean {similar[0]}? " if similar else ""
    return f"{guess}there is {', '.join(names) or 'none at all'}"


def beam_ids(model, ids, max_new_tokens, eos_id, context, beams, length_penalty) -> list[int]:
    """The best text of beam search, without its end token."""
    with evaluating(model) as device:

        def log_probs(rows: Int[Tensor, "rows seq"]) -> Float[Tensor, "rows vocab"]:
            logits = model((rows if context is None else rows[:, -context:]).to(device))[:, -1]
            return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))

        found = beam_search(log_probs, list(ids), beams, max_new_tokens, eos_id, length_penalty)
    return [token for token in found[0][0] if token != eos_id]
