"""7.3 Perplexity   [medium, ~20 min]

How good is a language model on text that it has not seen? Perplexity is the number of tokens among
which it hesitates: a model that finds all V of them equally likely has perplexity V, one that is
always right has 1. It is the exponential of the mean loss per token of the *whole* text. Means of
means, dropout left on and targets shifted twice are the usual ways to publish a wrong one.

Source: Jelinek et al. (1977), Perplexity: a measure of the difficulty of speech recognition tasks,
https://doi.org/10.1121/1.2016299; https://huggingface.co/docs/transformers/perplexity.
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


def evaluate_perplexity(
    model: Callable[[Int[Tensor, "batch seq"]], Float[Tensor, "batch seq vocab"]],
    batches: Iterable[tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]],
    device: torch.device | str | None = None,
) -> float:
    """Return exp(sum of -log p(target) / number of targets), over all batches together.

    Args:
        model: maps ids to logits. An `nn.Module` is in eval mode while it works; at the end, also
            after an exception, its mode is the one in which it came. Gradients are not recorded.
        batches: pairs (x, y) as 7.1 makes them, gone through once: `y[i, j]` is the target of the
            logits at `x[i, j]`, no shift is needed. The targets -100 do not count. Batches may have
            different sizes.
        device: both tensors of a batch are moved there first; with None they stay where they are.

    Returns:
        A Python float; infinite when it is too large for one. Half precision logits are converted
        to float32 first.

    Raises:
        ValueError: there is no target that counts.

    >>> coin = lambda x: torch.zeros(*x.shape, 2)
    >>> x, y = torch.tensor([[0, 1, 1]]), torch.tensor([[1, 1, 0]])
    >>> round(evaluate_perplexity(coin, [(x, y)]), 4)
    2.0
    """
    # solution
    training = isinstance(model, nn.Module) and model.training
    nll, tokens = 0.0, 0
    try:
        if training:
            model.eval()
        with torch.no_grad():
            for x, y in batches:
                logits, targets = model(x.to(device)).flatten(0, 1), y.to(device).flatten()
                nll += F.cross_entropy(logits.float(), targets, reduction="sum").item()
                tokens += int((targets != -100).sum())
    finally:
        if training:
            model.train()
    if tokens == 0:
        raise ValueError("there is no token to predict: no batch, or nothing but targets of -100")
    return torch.tensor(nll / tokens, dtype=torch.float64).exp().item()  # inf, not OverflowError
