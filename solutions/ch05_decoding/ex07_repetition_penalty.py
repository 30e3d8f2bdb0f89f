"""5.7 Repetition, frequency and presence penalties   [medium, ~20 min]

A model that always takes a likely token soon repeats itself, and the more it does, the likelier the
next repetition becomes. Penalties lower the logits of the tokens that are already there. The
multiplicative one of CTRL is `repetition_penalty` in Hugging Face's generate, the two subtracted
ones are `frequency_penalty` and `presence_penalty` in OpenAI's API. Unlike a filter, a penalty
removes nothing: a token that is needed again can still win.

Source: Keskar et al. (2019), CTRL, https://arxiv.org/abs/1909.05858, section 4.1; the parameters
frequency_penalty and presence_penalty in https://platform.openai.com/docs/api-reference/chat.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def repetition_penalty(
    logits: Float[Tensor, "... vocab"], ids: Int[Tensor, "... seq"], penalty: float
) -> Float[Tensor, "... vocab"]:
    """Lower the logits of all tokens in `ids` by the factor `penalty`.

    A positive logit is divided by `penalty`, a negative one multiplied, so that both go down; 0 and
    -inf stay. That happens once per token, however often it occurs in `ids`. All other logits stay
    exactly as they are. A `penalty` of 1 changes nothing, one below 1 makes repetition likelier.

    The leading axes of `logits` and `ids` are the same, any number, none included: a row of `ids`
    is what the row of `logits` continues, the prompt included, and concerns no other row. `ids` is
    of dtype long, in [0, vocab), and may be empty (seq = 0). The result has the dtype and device of
    `logits`; neither input is modified. It works on the `meta` device too, where tensors have
    shapes but no values: so do not loop over the ids.

    Raises:
        ValueError: `penalty` is not greater than 0.

    >>> repetition_penalty(torch.tensor([3.0, -3.0, 1.0, -1.0]), torch.tensor([1, 0, 1]), 1.5)
    tensor([ 2.0000, -4.5000,  1.0000, -1.0000])
    """
    # solution
    if not penalty > 0:
        raise ValueError(f"penalty must be greater than 0, got {penalty}")
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, True)
    lowered = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(seen, lowered, logits)


def frequency_presence_penalty(
    logits: Float[Tensor, "... vocab"],
    ids: Int[Tensor, "... seq"],
    frequency: float = 0.0,
    presence: float = 0.0,
) -> Float[Tensor, "... vocab"]:
    """Subtract `frequency` for each occurrence of a token in `ids`, and `presence` once if any.

    Both may be negative: then repetition becomes likelier. Shapes, dtypes, devices and rows are as
    in `repetition_penalty`; neither input is modified. Counts and penalties are computed in float32
    at least (half precision cannot count to 3000), only the result is rounded to the dtype of
    `logits`.

    >>> frequency_presence_penalty(torch.zeros(3), torch.tensor([1, 1, 2]), 0.25, presence=1.0)
    tensor([ 0.0000, -1.5000, -1.2500])
    """
    # solution
    dtype = torch.promote_types(logits.dtype, torch.float32)
    counts = torch.zeros_like(logits, dtype=dtype)
    counts = counts.scatter_add(-1, ids, torch.ones_like(ids, dtype=dtype))
    penalties = frequency * counts + presence * (counts > 0)
    return (logits - penalties).to(logits.dtype)
