"""5.11 Generating with a KV cache   [medium, ~30 min]

The loop of 5.10 shows the model the whole text for every new token: each step is longer than the
one before, and nearly all of it was computed before. With a KV cache (3.12) the model reads the
prompt once, the prefill, and from then on one token at a time. The text stays the same, id by id;
only the bill changes. What is left to get wrong is who has read what.

Source: Pope et al. (2022), https://arxiv.org/abs/2211.05102, section 2;
https://huggingface.co/docs/transformers/main/en/cache_explanation.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..ch04_models.ex04_llama_model import LlamaConfig, LlamaModel  # noqa: F401 (the example's)
from .ex09_sample_next import SamplingConfig
from .ex10_generate import GREEDY, generate


def generate_cached(
    model: LlamaModel,
    ids: Int[Tensor, "batch prompt"],
    max_new_tokens: int,
    config: SamplingConfig = GREEDY,
    *,
    eos_id: int | None = None,
    pad_id: int | None = None,
    min_new_tokens: int = 0,
    context: int | None = None,
    generator: torch.Generator | None = None,
    return_prompt: bool = False,
) -> Int[Tensor, "batch new"]:
    """Return the ids that `generate` (5.10) returns, and let the model read every token only once.

    The first call of the model has the whole prompt, each later one the tokens of the step before,
    of shape (batch, 1): a row that has ended stays in the batch, and its token is `pad_id`. When
    the last token is chosen, the model is not called again. The caches are made once in each call
    of this function, with room for the prompt and `max_new_tokens` tokens.

    `model` is a `LlamaModel` (4.4), or something else with its two methods. `new_caches(max_len)`
    returns a list of empty caches, whose content is not your business. `model(ids, caches)`, called
    without keywords, reads `ids` as what follows the text in `caches`, and adds them to it. Mode
    and gradients are as in 5.10: an `nn.Module` is in eval mode while it works and gets its mode
    back, and no gradients are recorded.

    `context` is the longest text that the model can read. A cache does not forget its first tokens,
    as 5.10 does by cropping; a text that could become longer is an error here. All other arguments
    and the result are those of `generate`; the stop strings are left out.

    Raises:
        ValueError: prompt and `max_new_tokens` together are more than `context`; or what 5.10
            raises for the other arguments. Either way the model has not been called yet.

    >>> model = LlamaModel(LlamaConfig(9, 12, 20, 2, num_attention_heads=6, num_key_value_heads=2))
    >>> prompt = torch.tensor([[1, 2, 3], [4, 5, 6]])
    >>> torch.equal(generate_cached(model, prompt, 7), generate(model, prompt, 7))
    True
    """
    raise NotImplementedError("generate_cached")  # your code here
