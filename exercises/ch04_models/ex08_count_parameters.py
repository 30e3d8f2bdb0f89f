"""4.8 Counting parameters   [easy, ~20 min]

How large is a model, and where does its size sit? GPT-2 small was announced with 117 million
parameters and has 124 million; in small models a large part of them is the token table, in large
ones nearly all are in the blocks. Memory, compute and scaling laws (chapter 9) start from this sum.

Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, table 2;
Kaplan et al. (2020), https://arxiv.org/abs/2001.08361, table 1.
"""

from torch import nn

# The names that GPT-2, Llama, BART and T5 give to their parts, and those of this course.
COMPONENTS = {
    "embedding": ["wte", "embed_tokens", "shared"],
    "positions": ["wpe", "embed_positions", "relative_attention_bias"],
    "attention": ["attn", "crossattention", "self_attn", "encoder_attn",
                  "SelfAttention", "EncDecAttention"],
    "mlp": ["mlp", "fc1", "fc2", "DenseReluDense"],
    "norm": ["ln_1", "ln_2", "ln_cross_attn", "ln_f", "norm", "layer_norm", "layernorm_embedding",
             "self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm",
             "input_layernorm", "post_attention_layernorm"],
    "head": ["lm_head"],
}  # fmt: skip


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Return how many numbers the parameters of `model` have, per component and in total.

    A parameter belongs to the component of `COMPONENTS` that lists a part of its dotted name. Where
    several parts are listed, the last one decides: `h.0.attn.ln_1.weight` would be part of a norm.
    Biases and frozen parameters count, buffers do not. A parameter that is registered at several
    places counts once, under the first name that `model.named_parameters()` has for it; two
    parameters are two, even if their values are equal. The model may be on the meta device, which
    has shapes but no memory.

    Returns:
        The six keys of `COMPONENTS`, and "total". A tied head has 0.

    Raises:
        ValueError: no part of a parameter's name is listed; the message has the whole name.

    >>> tiny = nn.ModuleDict({"wte": nn.Embedding(10, 4), "ln_f": nn.LayerNorm(4)})
    >>> {component: count for component, count in count_parameters(tiny).items() if count}
    {'embedding': 40, 'norm': 8, 'total': 48}
    """
    raise NotImplementedError("count_parameters")  # your code here


def gpt2_parameters(vocab_size: int, n_positions: int, n_embd: int, n_layer: int) -> dict[str, int]:
    """Return the same counts for a GPT-2 of these sizes, without making one.

    Its attention is that of 3.4 and its MLP that of 2.11, with 4 * n_embd features inside; a block
    has two layer norms, and one more comes after the last block. The head is tied.

    >>> gpt2_parameters(vocab_size=50257, n_positions=1024, n_embd=768, n_layer=12)["total"]
    124439808
    """
    raise NotImplementedError("gpt2_parameters")  # your code here
