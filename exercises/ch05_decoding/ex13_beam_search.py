"""5.13 Beam search   [hard, ~45 min]

Greedy decoding takes the likeliest next token and can never go back: the best text may begin with
a less likely one. Beam search keeps several beginnings at a time. Translation and speech
recognition use it, where one best answer is wanted. `log_prob_fn` is any model with a log-softmax
(2.4) on top; a table of probabilities will do.

Source: Graves (2012), https://arxiv.org/abs/1211.3711; Wu et al. (2016), length normalisation,
https://arxiv.org/abs/1609.08144, section 7. The rules below are those of transformers' `num_beams`.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor


def beam_search(
    log_prob_fn: Callable[[Int[Tensor, "rows seq"]], Float[Tensor, "rows vocab"]],
    start: list[int],
    beams: int,
    max_new_tokens: int,
    eos_id: int | None = None,
    length_penalty: float = 1.0,
) -> list[tuple[list[int], float]]:
    """Return the continuations of `start` with the best scores found, each with its score.

    They are without `start`, best first, at most `beams` of them. A score is
    `log P / length ** length_penalty`: log P is the sum of the log-probabilities of the new tokens,
    length their number, and the EOS counts in both.

    Each step appends every token to every running beam and ranks all the results by log P.
    - Finished: those of the best `beams` results that end in `eos_id`; at step `max_new_tokens`
      all of the best `beams`. Nothing is appended to these, and the `beams` best scores are kept.
    - The running beams of the next step: the best `beams` of the results that do not end in EOS.
    - The search is over after `max_new_tokens` steps, when nothing runs, or as soon as there are
      `beams` finished ones and the best running beam, scored at its present length, does not score
      more than the worst of them.
    A result of probability 0 (log P = -inf) neither finishes nor runs. Which of two equal results
    ranks first is free.

    Args:
        log_prob_fn: gives the log-probabilities of the next token after each row of ids (`start`
            and what follows). Ids are handed over on the CPU, the answer may be on any device.
            The first call has the one row `start`. In every later call, one for each step, no two
            rows are equal, and each is a row of the call before with one more token: so it can
            find the row's parent, and keep a KV cache.
        start: the ids of the prompt, at least one; not modified.
        beams: how many beams run at most.
        max_new_tokens: the length of the longest continuation.
        eos_id: the token that ends a text; None: there is none.
        length_penalty: above 0 it is in favour of long texts, below 0 of short ones.

    Raises:
        ValueError: `start` is empty, or `beams` or `max_new_tokens` is less than 1.

    >>> after = torch.tensor([[0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.0, 0.1, 0.9]]).log()
    >>> for ids, score in beam_search(lambda ids: after[ids[:, -1]], [0], 2, max_new_tokens=2):
    ...     print(ids, round(score, 2))  # log(0.4 * 0.9) / 2 and log(0.6 * 0.4) / 2
    [2, 2] -0.51
    [1, 0] -0.71
    """
    raise NotImplementedError("beam_search")  # your code here
