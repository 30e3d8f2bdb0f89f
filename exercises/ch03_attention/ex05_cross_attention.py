"""3.5 Cross-attention   [medium, ~20 min]

A translator writes one text while reading another: the queries come from the text that is written,
keys and values from the one that is read. The two have different lengths, every position may look
at the whole source, and the source is padded where a batch holds shorter ones. Encoder-decoder
models have it in every decoder block. It needs 3.2 and 3.3.

Source: Vaswani et al. (2017), Attention Is All You Need, https://arxiv.org/abs/1706.03762,
section 3.2.3; the names are those of BART in https://github.com/huggingface/transformers.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from .ex02_scaled_dot_product_attention import scaled_dot_product_attention
from .ex03_split_heads import merge_heads, split_heads


class CrossAttention(nn.Module):
    """Attention from one sequence to another, with `n_heads` heads of d_model / n_heads features.

    Parameters, and nothing else in the state dict, in the (out, in) layout of `nn.Linear`, which
    you may use:
        q_proj.weight, k_proj.weight, v_proj.weight, out_proj.weight: (d_model, d_model) each.
        q_proj.bias, k_proj.bias, v_proj.bias, out_proj.bias: (d_model,) each.

    `out_proj` comes last. Nothing is causal, and there is no dropout and no residual connection.

    Raises:
        ValueError: `n_heads` does not divide `d_model`, when the layer is made.

    >>> attention = CrossAttention(d_model=6, n_heads=2)
    >>> sorted(name for name, _ in attention.named_parameters() if name.endswith("weight"))
    ['k_proj.weight', 'out_proj.weight', 'q_proj.weight', 'v_proj.weight']
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        raise NotImplementedError("CrossAttention.__init__")  # your code here

    def forward(
        self,
        x_q: Float[Tensor, "batch t_q d_model"],
        x_kv: Float[Tensor, "batch t_k d_model"],
        kv_mask: Bool[Tensor, "batch t_k"] | None = None,
    ) -> Float[Tensor, "batch t_q d_model"]:
        """Let every token of `x_q` attend to all real tokens of `x_kv`.

        Args:
            x_q: the tokens that ask. The result has their dtype and device, which are those of the
                parameters and of the other inputs.
            x_kv: the tokens that are asked.
            kv_mask: True = a real token of `x_kv`, False = padding, to which nobody attends. Where
                a row has only padding, the attention gives zeros (see 3.2).
        """
        raise NotImplementedError("CrossAttention.forward")  # your code here
