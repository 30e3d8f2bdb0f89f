"""4.7 What kind of model is this?   [hard, ~50 min]

GPT-2, BERT, BART, T5 and Llama are a few parts in different arrangements. A name tells little about
which: a checkpoint may be renamed, wrapped, pruned, or loaded into another class. The modules, the
shapes of their parameters and the sharing of these tell nearly everything, a forward pass the rest.
Only `inspect_model` is tested; the functions above it are one way to cut it into parts.

Source: the modules of https://github.com/huggingface/transformers; Raffel et al. (2019), section
2.1, https://arxiv.org/abs/1910.10683, on what differs between such models.
"""

import torch
from torch import nn


def head_count(module: nn.Module) -> int | None:
    """Return the number of heads of an attention layer, and None for any other module.

    It is written for you: the shapes do not tell this number, so that every layer keeps it.
    """
    own = vars(module)
    if "num_key_value_groups" in own:  # Llama's keep the size of a head instead
        return module.q_proj.out_features // module.head_dim
    names = ("num_heads", "n_heads", "num_attention_heads")  # GPT-2 and BART, T5, BERT
    return next((own[name] for name in names if name in own), None)


def find_stacks(model: nn.Module) -> list[nn.ModuleList]:
    """Return the stacks of blocks: one, or that of the encoder and then that of the decoder.

    A stack is an `nn.ModuleList` that lies in no other one (inside of T5's blocks there are more).
    Which of two is registered first means nothing: the decoder's blocks have cross-attention.
    """
    raise NotImplementedError("find_stacks")  # your code here


def is_causal(model: nn.Module) -> bool:
    """Return whether the last token of a text leaves the outputs of all others as they are.

    Only for a model with one stack. No parameter tells this: a decoder can have the very modules of
    BERT. It is found without dropout, after which every module has its old mode (`training`) again.
    """
    raise NotImplementedError("is_causal")  # your code here


def find_positions(model: nn.Module) -> dict[str, object]:
    """Return the entries `positions` and `n_positions` of `inspect_model`."""
    raise NotImplementedError("find_positions")  # your code here


def inspect_model(model: nn.Module) -> dict[str, object]:
    """Describe a transformer of Hugging Face by its modules, their parameters and what it does.

    The names of classes and submodules prove nothing, nor does `model.config`: tests rename, wrap
    and prune. What `isinstance` says about torch's own classes is true. A model takes `input_ids`,
    gives its outputs as `model(...)[0]`, knows ten tokens or more, and reads four or more of them.

    Returns:
        kind: "encoder-decoder" with two stacks; with one "decoder" if causal, otherwise "encoder".
        n_layer: a list with the number of blocks of each stack, the encoder's first.
        n_head: a list with the number of heads per attention layer of each stack, likewise.
        d_model: the features of a token. The first `nn.Embedding` of a model is the token table.
        norm: "layer_norm" or "rms_norm". The parameters of a norm all have one axis; an RMS norm
            has only a weight, a layer norm also a bias.
        has_cross: whether there are blocks with a second attention layer, which is cross-attention.
        tied: whether an `nn.Linear`, the head, has the token table's own parameter as its weight.
            Equal values are not enough, and sharing among tables is no matter of the head.
        positions: "learned" if there is a table (`nn.Embedding`) outside of the stacks that is not
            the token table, which may be registered several times; otherwise "relative" if there
            is one inside of a stack; otherwise "rotary", which needs no parameters.
        n_positions: how many tokens a learned table has room for; None for the other kinds. BERT
            has another, smaller table, of token types. BART's begins with rows that no position
            uses: their number is the attribute `offset` of the table, which others do not have.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = inspect_model(GPT2LMHeadModel(GPT2Config(n_embd=12, n_layer=2, n_head=3)))
    >>> [model[key] for key in ("kind", "n_layer", "n_head", "positions", "n_positions")]
    ['decoder', [2], [3], 'learned', 1024]
    """
    raise NotImplementedError("inspect_model")  # your code here
