"""4.1 The GPT-2 block   [medium, ~20 min]

A transformer is one block, repeated. The residual stream runs straight through it; two branches
read a normalised copy of the stream and add what they found: attention moves information between
tokens, the MLP works on each token by itself. GPT-2 normalises at the entrance of a branch
(pre-norm), so that nothing stands in the way of the stream, or of its gradient. You have all the
parts: LayerNorm (2.6), Dropout (2.10), the MLP (2.11) and multi-head attention (3.4).

Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, section 2.3;
Xiong et al. (2020), https://arxiv.org/abs/2002.04745, on pre-norm and post-norm.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..ch02_layers.ex06_layer_norm import LayerNorm
from ..ch02_layers.ex10_dropout import Dropout
from ..ch02_layers.ex11_mlp import GPT2MLP
from ..ch03_attention.ex03_split_heads import merge_heads, split_heads
from ..ch03_attention.ex04_multi_head_attention import MultiHeadAttention


class GPT2Block(nn.Module):
    """A pre-norm transformer block: first attention, then the MLP, each added to the stream.

    Parts, whose names are those of Hugging Face; the state dict holds their parameters and nothing
    else, in the (out, in) layout of `nn.Linear`:
        ln_1: the layer norm before attention, with the given `eps`.
        attn: causal multi-head attention, with `c_attn` and `c_proj`. Take yours (3.4), or write it
            anew with `F.scaled_dot_product_attention(q, k, v, is_causal=True)`: you know what it
            does, and it does it in half the time.
        ln_2: the layer norm before the MLP, with the given `eps`.
        mlp: the MLP with its GELU in the tanh form, `c_fc` from d_model to 4 d_model and `c_proj`.

    `dropout` is the probability with which an element of what a branch is about to add is dropped
    in training mode. The stream itself is never dropped, and neither are attention weights.

    >>> block = GPT2Block(d_model=6, n_heads=2)
    >>> list(block.state_dict())[:4]
    ['ln_1.weight', 'ln_1.bias', 'attn.c_attn.weight', 'attn.c_attn.bias']
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float = 0.0, eps: float = 1e-5) -> None:
        super().__init__()
        # solution
        self.ln_1 = LayerNorm(d_model, eps)
        self.attn = FusedAttention(d_model, n_heads)
        self.dropout = Dropout(dropout)
        self.ln_2 = LayerNorm(d_model, eps)
        self.mlp = GPT2MLP(d_model, 4 * d_model, dropout)  # it has the dropout of its branch inside

    def forward(self, x: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch seq d_model"]:
        """Pass the tokens through both branches.

        No token sees a later one. The result has the dtype and device of `x`, which are those of
        the parameters; `x` is not modified.
        """
        # solution
        x = x + self.dropout(self.attn(self.ln_1(x)))
        return x + self.mlp(self.ln_2(x))


# solution
class FusedAttention(MultiHeadAttention):
    """The causal attention of 3.4 by torch's fused kernel, which never holds all (seq, seq) scores.

    The same result as `MultiHeadAttention`; with that one, GPT-2 at 512 tokens is a tenth slower.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__(d_model, n_heads)
        self.n_heads = n_heads

    def forward(self, x: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch seq d_model"]:
        """Let every token attend to itself and to those before it."""
        q, k, v = (split_heads(part, self.n_heads) for part in self.c_attn(x).chunk(3, dim=-1))
        return self.c_proj(merge_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
