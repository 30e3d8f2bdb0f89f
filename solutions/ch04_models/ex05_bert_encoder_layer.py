"""4.5 The BERT encoder layer   [medium, ~25 min]

BERT reads instead of writing: every token sees the whole text, what comes before and what comes
after. Its layer has the two branches of GPT-2's block (4.1), but normalises what comes out of each
addition (post-norm, as in the first transformer) instead of what goes into each branch. You have
the parts: layer norm (2.6), GELU (2.8), and the attention of 3.5, where a text may also ask itself.

Source: Devlin et al. (2018), https://arxiv.org/abs/1810.04805, section 3;
https://github.com/google-research/bert/blob/master/modeling.py.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..ch02_layers.ex01_linear import Linear
from ..ch02_layers.ex06_layer_norm import LayerNorm
from ..ch02_layers.ex08_gelu import gelu
from ..ch03_attention.ex05_cross_attention import CrossAttention


class BertEncoderLayer(nn.Module):
    """A post-norm transformer layer: add and normalise after attention, and again after the MLP.

    Parameters, and nothing else in the state dict, under the names that BART, whose encoder has the
    same layers, has in Hugging Face's library (BERT's own are longer):
        self_attn: attention with q_proj, k_proj, v_proj and out_proj, as in 3.5.
        self_attn_layer_norm: the layer norm after attention, with weight and bias.
        fc1, fc2: the MLP, with biases, from d_model to d_ff and back, in the (out, in) layout of
            `nn.Linear`. Between the two is GELU in its exact form.
        final_layer_norm: the layer norm after the MLP, with weight and bias.

    `eps` goes to both norms. Attention is bidirectional, and there is no dropout.

    Raises:
        ValueError: `n_heads` does not divide `d_model`, when the layer is made.

    >>> layer = BertEncoderLayer(d_model=6, n_heads=2, d_ff=10)
    >>> [name for name, _ in layer.named_children()]
    ['self_attn', 'self_attn_layer_norm', 'fc1', 'fc2', 'final_layer_norm']
    """

    def __init__(self, d_model: int, n_heads: int, d_ff: int, eps: float = 1e-12) -> None:
        super().__init__()
        # solution
        self.self_attn = CrossAttention(d_model, n_heads)
        self.self_attn_layer_norm = LayerNorm(d_model, eps)
        self.fc1 = Linear(d_model, d_ff)
        self.fc2 = Linear(d_ff, d_model)
        self.final_layer_norm = LayerNorm(d_model, eps)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        attention_mask: Int[Tensor, "batch seq"] | Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Let every token look at all real tokens of its text, then transform each one by itself.

        Args:
            x: the tokens; not modified. The result has their dtype and device, which are those of
                the parameters.
            attention_mask: 1 or True = a real token, 0 or False = padding, on whichever side: no
                token attends to it. Every row has a real token. None: all tokens are real.
                What comes out at the padding itself does not matter.
        """
        # solution
        is_real = None if attention_mask is None else attention_mask.bool()
        x = self.self_attn_layer_norm(x + self.self_attn(x, x, is_real))
        return self.final_layer_norm(x + self.fc2(gelu(self.fc1(x))))
