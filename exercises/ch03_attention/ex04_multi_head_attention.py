"""3.4 Multi-head attention   [medium, ~25 min]

The layer in which tokens exchange information, as GPT-2 has it: one projection makes queries, keys
and values of all heads at once, every head attends for itself (3.2), and a last projection mixes
what the heads found. It is put together from the mask (3.1), the attention (3.2) and the two
reshapes (3.3). In chapter 4 it holds the weights of the real GPT-2.

Source: Vaswani et al. (2017), Attention Is All You Need, https://arxiv.org/abs/1706.03762,
section 3.2.2; the names are those of https://github.com/openai/gpt-2/blob/master/src/model.py.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from .ex01_causal_mask import causal_mask
from .ex02_scaled_dot_product_attention import scaled_dot_product_attention
from .ex03_split_heads import merge_heads, split_heads


class MultiHeadAttention(nn.Module):
    """Self-attention with `n_heads` heads of d_model / n_heads features each.

    Parameters, and nothing else in the state dict, in the (out, in) layout of `nn.Linear`, which
    you may use:
        c_attn.weight: (3 * d_model, d_model), with c_attn.bias: (3 * d_model,). The first d_model
            outputs are the queries, the next ones the keys, the last ones the values; each of the
            three is cut into heads by `split_heads`.
        c_proj.weight: (d_model, d_model), with c_proj.bias: (d_model,); it comes last.

    With `causal=True` no token sees a later one. There is no dropout and no residual connection.

    Raises:
        ValueError: `n_heads` does not divide `d_model`, when the layer is made.

    >>> attention = MultiHeadAttention(d_model=6, n_heads=2)
    >>> {name: tuple(parameter.shape) for name, parameter in attention.named_parameters()}
    {'c_attn.weight': (18, 6), 'c_attn.bias': (18,), 'c_proj.weight': (6, 6), 'c_proj.bias': (6,)}
    """

    def __init__(self, d_model: int, n_heads: int, causal: bool = True) -> None:
        super().__init__()
        raise NotImplementedError("MultiHeadAttention.__init__")  # your code here

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Let every token attend to those that it may see.

        Args:
            x: the tokens; the result has their dtype and device, which are those of the parameters.
            mask: True = may attend, broadcastable to (batch, n_heads, seq, seq), queries before
                keys. It is an addition to causality, not a replacement: a token attends only
                where both allow it, and to nothing (see 3.2) where they leave nothing.
        """
        raise NotImplementedError("MultiHeadAttention.forward")  # your code here
