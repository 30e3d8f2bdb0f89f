"""4.9 Loading a Llama, and its story   [medium, ~40 min]

A checkpoint is a dictionary of tensors, and a model that takes it over writes what the model of its
makers writes. Mistakes in loading are silent: two matrices of the same shape change places, a head
that should be shared is copied, the rows of the queries are meant for another RoPE. Files of Meta's
pair neighbouring features (interleaved), those of Hugging Face the two halves of a head (see 3.8).
With your model of 4.4 and real weights, `kata show 4` tells a story at the end.

Source: `permute` in https://github.com/huggingface/transformers, convert_llama_weights_to_hf.py;
Karpathy's https://huggingface.co/karpathy/tinyllamas (the checkpoint).
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .ex04_llama_model import LlamaConfig, LlamaModel  # noqa: F401 (the tests make models)


def half_rotated_rows(
    weight: Float[Tensor, "n_heads*head_dim d_model"], n_heads: int
) -> Float[Tensor, "n_heads*head_dim d_model"]:
    """Reorder the rows of a query or key projection: interleaved in, half-rotated out.

    Each head has head_dim rows, one per feature. Rows 2i and 2i + 1 of a head, the pair i of the
    interleaved layout, become its rows i and i + head_dim / 2. `weight` is not modified.

    >>> half_rotated_rows(torch.arange(12.0)[:, None], n_heads=2).flatten().tolist()
    [0.0, 2.0, 4.0, 1.0, 3.0, 5.0, 6.0, 8.0, 10.0, 7.0, 9.0, 11.0]
    """
    raise NotImplementedError("half_rotated_rows")  # your code here


def load_llama_state_dict(
    model: LlamaModel, hf_state_dict: Mapping[str, Tensor], interleaved: bool = False
) -> None:
    """Give `model` the weights of a Hugging Face `LlamaForCausalLM`; return nothing.

    The names of the checkpoint are those of the model, apart from what follows:

        All but `lm_head.weight` begin with `model.`.
        mlp.gate_proj, mlp.up_proj and mlp.down_proj are w1, w3 and w2 (see 2.9).
        lm_head.weight: with `tie_word_embeddings` it may be absent. If it is there all the same, it
            equals `model.embed_tokens.weight`; in the model the two stay one parameter.
        Names that end in `.rotary_emb.inv_freq`, from old checkpoints, are ignored.

    With `interleaved` the rows of all q_proj and k_proj weights are in the interleaved layout, and
    the model gets them half-rotated; k_proj has `num_key_value_heads` heads.

    Values are copied into the parameters that the model has, which keep their dtype and device and
    share no memory with the checkpoint. The checkpoint is not modified.

    Raises:
        ValueError: a parameter of the model is missing in the checkpoint; the checkpoint has a
            tensor that the model has no place for; a shape is another one (for instance with
            another number of key and value heads); or `lm_head.weight` differs from the table of a
            tied model. The message contains every name in question, as the checkpoint has it. The
            model is then unchanged: it is never loaded in part.
    """
    raise NotImplementedError("load_llama_state_dict")  # your code here


@torch.no_grad()
def greedy_story(
    model: Callable[[Int[Tensor, "batch seq"]], Float[Tensor, "batch seq vocab"]],
    ids: Int[Tensor, "seq"],
    max_new_tokens: int,
) -> Int[Tensor, "new"]:
    """Continue one text with the most likely token, again and again, and return the new ids only.

    Args:
        model: maps texts to logits; it is called, and nothing else is asked of it.
        ids: the text so far, one token or more; not modified. The result is on its device, int64.
        max_new_tokens: how many tokens to add; 0 or more.

    >>> counting = lambda ids: torch.nn.functional.one_hot(ids + 1, num_classes=9).float()
    >>> greedy_story(counting, torch.tensor([3, 4]), max_new_tokens=3)
    tensor([5, 6, 7])
    """
    raise NotImplementedError("greedy_story")  # your code here
