"""5.14 Speculative decoding   [hard, ~35 min]

A large model reads k + 1 tokens in about the time of one: its weights have to be loaded once. So a
small model drafts k tokens, and the large one, the target, looks at all of them in one call. Some
are accepted, and what comes out is distributed exactly as if the target had been sampled (5.9)
token by token, however bad the draft is: a bad draft costs time, not quality.

Source: Leviathan, Kalman and Matias (2022), https://arxiv.org/abs/2211.17192, algorithm 1; Chen et
al. (2023), https://arxiv.org/abs/2302.01318.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def speculative_decode(
    target_probs: Float[Tensor, "k+1 vocab"],
    draft_probs: Float[Tensor, "k vocab"],
    draft: Int[Tensor, "k"],
    generator: torch.Generator,
) -> Int[Tensor, "n"]:
    """Return the tokens of `draft` that the target accepts, and one token more.

    Tokens are accepted or rejected from the left to the right. The first one that is rejected is
    replaced by another token and ends the result; the rest of the draft is thrown away. When all
    are accepted, a bonus token from the last row of `target_probs` follows, so 1 <= n <= k + 1.
    The result is on the device of `draft`.

    When each `draft[i]` was drawn from `draft_probs[i]`, then
    - every token of the result is distributed as `target_probs` says at its position, and
    - each token is accepted as often as the first allows. A token that the target finds at least as
      likely as the draft does is always accepted, one of target probability 0 never.
    Either may be 0 where the other is not. Rows sum to 1 but for rounding: when a token is rejected
    although no token at all is likelier for the target, the target's row decides what replaces it.

    Args:
        target_probs: row i is the target's distribution of token i, given the tokens of the draft
            before it; not modified, like the others.
        draft_probs: row i is the distribution from which `draft[i]` was drawn.
        draft: the tokens of the small model; may be empty.
        generator: where all random numbers come from. It may be on another device than the rest.

    Raises:
        ValueError: the numbers of rows do not fit `draft`.

    >>> target, other = torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([[0.9, 0.1]])
    >>> speculative_decode(target, other, torch.tensor([0]), torch.Generator())
    tensor([1])
    """
    # solution
    k = len(draft)
    if len(target_probs) != k + 1 or len(draft_probs) != k:
        raise ValueError(
            f"{k} draft tokens need {k + 1} and {k} rows, got {len(target_probs)} and "
            f"{len(draft_probs)}"
        )
    p, q = target_probs.to(generator.device).float(), draft_probs.to(generator.device).float()
    index = draft.to(generator.device)[:, None]
    chance = torch.rand(k, 1, generator=generator, device=generator.device)
    # Accepted with probability min(1, p / q), written without a division by 0.
    accepted = chance * q.gather(1, index) < p[:k].gather(1, index)
    n = int(accepted.cumprod(0).sum())
    rest = p[n]
    if n < k:
        rest = (p[n] - q[n]).clamp(min=0)  # what the accepted tokens still lack of p
        rest = rest if rest.sum() > 0 else p[n]  # p and q are equal but for rounding
    last = torch.multinomial(rest, 1, generator=generator)
    return torch.cat([draft[:n], last.to(draft)])
