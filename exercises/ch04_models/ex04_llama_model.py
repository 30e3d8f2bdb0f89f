"""4.4 The Llama block and model   [medium, ~35 min]

The open models of today are built like Llama. What changed since GPT-2 (4.2) fits in a sentence:
RMSNorm (2.7) for the norms, SwiGLU (2.9) for the MLP, grouped queries with RoPE (3.12) for the
attention and the positions, no bias anywhere. You have all the parts: put them together so that the
weights of Hugging Face's `LlamaForCausalLM` fit. In 4.9 they come in and tell a story.

Source: Touvron et al. (2023), https://arxiv.org/abs/2302.13971, section 2.2; the names are those of
Llama in https://github.com/huggingface/transformers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..ch02_layers.ex07_rms_norm import RMSNorm
from ..ch02_layers.ex09_swiglu import SwiGLU
from ..ch03_attention.ex12_kv_cache import CachedAttention, KVCache


@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a model, under the names of its `config.json`."""

    vocab_size: int
    hidden_size: int  # d_model
    intermediate_size: int  # d_ff
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0  # the base of RoPE
    max_position_embeddings: int = 2048  # the longest text that it can read
    tie_word_embeddings: bool = False


class LlamaBlock(nn.Module):
    """One layer: attention, then the MLP, each with a norm before it and a sum around both.

    Parts, and nothing else in the state dict; every norm has the eps of `config`:
        input_layernorm, post_attention_layernorm: before the attention and before the MLP.
        self_attn: CachedAttention, or one of your own with its parameters and its `forward`.
        mlp: SwiGLU, with its names w1, w2 and w3.
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        raise NotImplementedError("LlamaBlock.__init__")  # your code here

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        cache: KVCache | None = None,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Add to each token what attention brings, then what the MLP makes of that.

        `cache` and `mask` are as in 3.12. The result has the dtype and device of `x`, which is not
        modified.
        """
        raise NotImplementedError("LlamaBlock.forward")  # your code here


class LlamaModel(nn.Module):
    """A whole language model: embedding, blocks, a last norm, and a head without bias.

    Parts, and nothing else in the state dict; the names are those of Hugging Face without the
    leading `model.`, apart from the three of SwiGLU:
        embed_tokens: an `nn.Embedding` (the same as yours of 2.2, but without looking at the ids
            first: the meta device knows only their shape).
        layers: an `nn.ModuleList` of blocks.
        norm: RMSNorm with the eps of `config`.
        lm_head: an `nn.Linear` without bias. With `tie_word_embeddings` its weight is the very
            parameter that `embed_tokens` has, no second one of equal value.

    The attribute `config` holds the configuration. How the parameters start is up to you.

    >>> model = LlamaModel(LlamaConfig(11, 12, 20, 2, num_attention_heads=6, num_key_value_heads=2))
    >>> sum(parameter.numel() for parameter in model.parameters())
    2532
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        raise NotImplementedError("LlamaModel.__init__")  # your code here

    def forward(
        self,
        ids: Int[Tensor, "batch seq"],
        caches: Sequence[KVCache] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Return the logits of the token that follows, at every place of every text.

        Args:
            ids: the texts, or what follows the part of them that is in the caches.
            caches: one per layer, in order, as `new_caches` makes them; `ids` is added to them.
                None: there is no past.
            mask: True = may attend, as in 3.12, the same for every layer. For texts padded on the
                left it is False at the keys that are padding; there is no need to tell where a
                text begins, as RoPE looks at distances only.

        Raises:
            ValueError: past and `ids` are more than `max_position_embeddings` tokens; the caches
                stay as they were.
        """
        raise NotImplementedError("LlamaModel.forward")  # your code here

    def new_caches(self, max_len: int) -> list[KVCache]:
        """Return an empty cache for each layer, with room for `max_len` tokens."""
        raise NotImplementedError("LlamaModel.new_caches")  # your code here
