"""8.7 How likely is a response   [easy, ~15 min]

Preferences compare whole responses. The log-probability of one is the sum over its tokens, each
given all before it. The prompt was not the model's choice, so its tokens do not count; the token
that ends the response does. The loss of 7.2 is minus the mean of the same numbers. DPO (8.8) needs
their sum, for each response of its own.

Source: Rafailov et al. (2023), Direct Preference Optimization, https://arxiv.org/abs/2305.18290,
section 4.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def sequence_logprobs(
    model: Callable[[Int[Tensor, "batch seq"]], Float[Tensor, "batch seq vocab"]],
    ids: Int[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"] | Int[Tensor, "batch seq"],
) -> Float[Tensor, "batch"]:
    """Return for each row the sum of log p(token | all tokens before it) over the masked tokens.

    The model is called once, with `ids` and nothing else; its logits at a token are about the next
    one. Gradients flow to its parameters: whoever wants none (of a reference model) calls this in
    `torch.no_grad()`.

    Nothing depends on the values in a tensor (no `.item()`, no boolean mask as index), so that it
    runs on the meta device.

    Args:
        model: gives logits in float64, float32, or half precision, which is converted to float32
            before the softmax.
        ids: prompt, response and padding; not modified.
        mask: not shifted: True (or 1) at the very tokens that count, those of the response, and
            False (or 0) at prompt and padding. The first token of a row has none before it and
            never counts. Tokens that do not count have no influence, even if their own
            probability is 0. A row in which none counts has the sum 0.

    Returns:
        On the device of the logits; float64 for float64, else float32.

    Raises:
        ValueError: `mask` has not the shape of `ids`.

    >>> says = torch.tensor([[0.1, 0.9], [0.25, 0.75], [0.5, 0.5]]).log()
    >>> ids, mask = torch.tensor([[0, 1, 0]]), torch.tensor([[False, True, True]])
    >>> sequence_logprobs(lambda ids: says[None], ids, mask).exp()  # 0.9 times 0.25
    tensor([0.2250])
    """
    raise NotImplementedError("sequence_logprobs")  # your code here
