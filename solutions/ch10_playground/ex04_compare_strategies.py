"""10.4 Strategies side by side   [medium, ~40 min]

Which strategy writes best? Let all of them continue the same prompt with the same luck, and look:
at the texts, at how much they repeat themselves, at how likely the model itself finds them. Greedy
and beam search find likely texts, which are often dull ones. Where that comes from is seen in the
distribution of a single next token, before and after each filter.

Source: Holtzman et al. (2020), The Curious Case of Neural Text Degeneration,
https://arxiv.org/abs/1904.09751, sections 4 and 5; Li et al. (2016), distinct-n,
https://arxiv.org/abs/1510.03055, section 5;
https://matplotlib.org/stable/gallery/lines_bars_and_markers/barchart.html.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from ..ch05_decoding.ex09_sample_next import process_logits
from .ex01_generate_text import generate_ids, sampling_config, settings_of
from .strategies import Model, evaluating

Setting = tuple[str, Mapping[str, float]]
"""A name of `STRATEGIES` (10.1) and parameters for it, such as ("top_k", {"k": 5})."""


def mean_log_prob(
    model: Model, prompt_ids: Sequence[int], new_ids: Sequence[int], context: int | None = None
) -> float | None:
    """Return the mean of log p(id | prompt and all ids before it) over `new_ids`.

    The probabilities are those of the model itself: no temperature, no filter. It sees what it saw
    when it wrote: at most the last `context` ids before the one in question. It is in eval mode
    meanwhile, gradients are not recorded, and afterwards both are as before (`evaluating`, which is
    given in `strategies.py`). Logits in half precision become float32 first. `prompt_ids` has at
    least one id; without `new_ids` the result is None.

    >>> after = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()  # model: what follows 0, and 1
    >>> round(mean_log_prob(lambda ids: after[ids], [0], [1, 0]), 4)  # log(0.5 * 0.25) / 2
    -1.0397
    """
    # solution
    text, scores = [*prompt_ids, *new_ids], []
    with evaluating(model) as device:
        for i in range(len(prompt_ids), len(text)):
            seen = text[:i] if context is None else text[max(0, i - context) : i]
            logits = model(torch.tensor([seen], device=device))[0, -1]
            scores.append(at_least_float32(logits).log_softmax(-1)[text[i]].item())
    return sum(scores) / len(scores) if scores else None


def compare_strategies(
    model: Model,
    tokenizer: Any,
    prompt: str,
    settings: Sequence[Setting],
    *,
    max_new_tokens: int = 60,
    seed: int = 0,
    eos_id: int | None = None,
    context: int | None = None,
) -> list[dict[str, Any]]:
    """Continue one prompt in several ways, and return a row for each, in their order.

    A row is a dict:
        "name": the name of the strategy.
        "settings": all its parameters, defaults included (`settings_of` of 10.1).
        "text": the tokenizer's `decode` of the new ids, which come from `generate_ids` (10.1).
        "distinct": how many different words the text has, divided by how many words. Words are what
            `str.split()` makes of it, as they are written; None if there are none.
        "log_prob": the `mean_log_prob` of the new ids. (The ids of the text, encoded again, may be
            others.)

    Each text has a new generator that starts at `seed`: a row depends on its own setting alone, not
    on which others there are. Settings may occur twice; nothing that is given is modified.

    Raises:
        ValueError: as `settings_of` does for any of the settings, before the model is called; or as
            `generate_ids` does.
    """
    # solution
    full = [settings_of(name, params) for name, params in settings]
    start, rows = tokenizer.encode(prompt), []
    options = {"max_new_tokens": max_new_tokens, "seed": seed, "eos_id": eos_id, "context": context}
    for (name, _), params in zip(settings, full, strict=True):
        ids = list(generate_ids(model, start, name, **options, **params))
        text = tokenizer.decode(ids)
        words = text.split()
        row = {"name": name, "settings": params, "text": text}
        row["distinct"] = len(set(words)) / len(words) if words else None
        rows.append(row | {"log_prob": mean_log_prob(model, start, ids, context)})
    return rows


def next_token_distribution(
    model: Model,
    ids: Sequence[int],
    settings: Sequence[Setting],
    *,
    top: int = 10,
    context: int | None = None,
) -> tuple[Int[Tensor, "top"], Float[Tensor, "settings top"]]:
    """Return the `top` most likely next tokens, and their probabilities under each setting.

    The tokens are the most likely ones for the model itself, from the most to the least likely;
    they are the same for all settings, and all tokens if there are no more than `top`. A
    probability is the one with which `sample_next` (5.9) draws the token: the softmax of what
    `process_logits` makes of all logits. Penalties see all `ids`, the model the last `context` of
    them. The model is called once, in the way of `mean_log_prob`. There is at least one setting.

    Returns:
        int64, and float32 (float64 if the logits are), both on the CPU.

    Raises:
        ValueError: as `sampling_config` (10.1) does for any of the settings: "beam" draws no token.

    >>> says = torch.tensor([0.1, 0.2, 0.4, 0.3]).log()
    >>> settings = [("temperature", {}), ("top_k", {"k": 2})]
    >>> next_token_distribution(lambda ids: says.expand(1, 1, 4), [0], settings, top=3)
    (tensor([2, 3, 1]), tensor([[0.4000, 0.3000, 0.2000],
            [0.5714, 0.4286, 0.0000]]))
    """
    # solution
    configs = [sampling_config(name, params) for name, params in settings]
    with evaluating(model) as device:
        text = torch.tensor(list(ids), device=device)
        seen = text if context is None else text[-context:]
        logits = at_least_float32(model(seen[None])[0, -1])
        best = logits.topk(min(top, len(logits))).indices
        rows = [process_logits(logits, text, config).softmax(-1)[best] for config in configs]
    return best.cpu(), torch.stack(rows).cpu()


def plot_next_token(
    tokens: Sequence[str], probs: Float[Tensor, "settings tokens"], names: Sequence[str]
) -> Figure:
    """Draw the probabilities of the next token as bars: a group per token, a bar per setting.

    All is in `figure.axes[0]`. Each row of `probs` is one call of `bar`, whose label is its name,
    and a legend has these names. The group of token i stands around x = i, where a tick is labelled
    with `repr(tokens[i])`, so that spaces and line breaks are seen, and literally: dollar signs are
    no formula for matplotlib. In a group the bars stand side by side, in the order of the settings
    from left to right, and no two bars of the picture overlap. The vertical axis has the label
    "probability" and begins at 0.

    Args:
        tokens: the texts of the tokens; several may be equal.
        probs: of any floating-point dtype, on any device; not modified.
        names: one for each setting, such as "top_k k=5".

    Returns:
        A new `matplotlib.figure.Figure`, made without `pyplot`, which would open a window and keep
        every figure in memory.

    Raises:
        ValueError: `probs` has not a row for each name and a column for each token.

    >>> figure = plot_next_token([" the", " a"], torch.tensor([[0.75, 0.25]]), ["temperature"])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ["' the'", "' a'"]
    """
    # solution
    if probs.shape != (len(names), len(tokens)):
        got = f"{len(names)} names and {len(tokens)} tokens"
        raise ValueError(f"{got} for probabilities of shape {tuple(probs.shape)}")
    figure = Figure(figsize=(2 + 0.8 * len(tokens), 4), layout="constrained")
    axes = figure.add_subplot(ylabel="probability")
    width = 0.8 / max(1, len(names))
    for row, (name, heights) in enumerate(zip(names, probs.detach().double().cpu(), strict=True)):
        shift = (row - (len(names) - 1) / 2) * width
        places = [i + shift for i in range(len(tokens))]
        axes.bar(places, heights.tolist(), width, label=name)
    labels = [repr(token) for token in tokens]
    axes.set_xticks(range(len(tokens)), labels, rotation=45, parse_math=False)
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


# solution
def at_least_float32(logits: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
