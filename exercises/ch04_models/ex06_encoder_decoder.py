"""4.6 Encoder and decoder   [hard, ~40 min]

The first transformer was a translator: an encoder reads the source, every token seeing all of it; a
decoder writes the target from left to right and looks at what the encoder made of the source. Given
the parts, you put such a model together: who reads what, and who may see whom (3.1, 3.5). BART and
T5 are wired alike and differ in the parts. BART is post-norm (4.5), starts the target with eos, has
a learned vector for each position, and normalises embeddings. T5 is pre-norm with RMSNorm, starts
with padding, has positions only in attention (a bias for each distance), and may rescale its head.

Source: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, section 3.1; Raffel et al. (2020),
https://arxiv.org/abs/1910.10683 (T5); Lewis et al. (2019), https://arxiv.org/abs/1910.13461 (BART).
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..ch03_attention.ex01_causal_mask import causal_mask


def shift_right(
    labels: Int[Tensor, "batch seq"], start_id: int, pad_id: int
) -> Int[Tensor, "batch seq"]:
    """Turn what the decoder is to write into what it reads: `start_id`, then all but the last.

    A label of -100 (ignored by the loss, 2.5) is no token: it becomes `pad_id`, wherever it stands.
    `labels` has one column at least and is not modified; the result has its dtype and device.

    >>> shift_right(torch.tensor([[7, 8, 9], [6, -100, -100]]), start_id=2, pad_id=1)
    tensor([[2, 7, 8],
            [2, 6, 1]])
    """
    raise NotImplementedError("shift_right")  # your code here


def encoder_decoder_forward(
    src: Int[Tensor, "batch t_src"],
    tgt_in: Int[Tensor, "batch t_tgt"],
    src_mask: Int[Tensor, "batch t_src"] | Bool[Tensor, "batch t_src"],
    *,
    embed_src: Callable[[Tensor], Tensor],
    encoder: Callable[[Tensor, Tensor], Tensor],
    embed_tgt: Callable[[Tensor], Tensor],
    decoder: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    head: Callable[[Tensor], Tensor],
) -> Float[Tensor, "batch t_tgt vocab"]:
    """Return the logits of the next target token at every position, given the parts of the model.

    Args:
        src: the ids of the source.
        tgt_in: the ids that the decoder reads, already shifted. No token sees a later one. Padding
            stands on the right, if anywhere, where no real token sees it: it needs no other mask.
        src_mask: 1 or True = a real token of the source, 0 or False = padding, to which no token
            attends, of the source or of the target.
        embed_src: called as embed_src(ids), gives a vector for each token.
        embed_tgt: the same for the target.
        encoder: all its layers, called as encoder(x, mask).
        decoder: all its layers, called as decoder(y, mask, memory, memory_mask), where `memory` is
            what the encoder returned; the first mask is for self-attention, the other for memory.
        head: called as head(y), gives the logits.

    The masks that go to encoder and decoder are boolean (True = may attend), broadcastable to
    (batch, n_heads, queries, keys), and on the device of the ids.
    """
    raise NotImplementedError("encoder_decoder_forward")  # your code here


def bart_embedding(
    ids: Int[Tensor, "batch seq"],
    tokens: Float[Tensor, "vocab d_model"],
    positions: Float[Tensor, "rows d_model"],
    norm: Callable[[Tensor], Tensor],
) -> Float[Tensor, "batch seq d_model"]:
    """Embed a text as BART does: `norm` of the sum of the vectors of token and position.

    The first token of a text gets row 2 of `positions`: BART never uses the two before it. The
    result is on the device of the ids and tables, and gradients reach both tables.

    Raises:
        ValueError: there are more tokens than rows for them.
    """
    raise NotImplementedError("bart_embedding")  # your code here


def tied_logits(
    hidden: Float[Tensor, "... d_model"],
    tokens: Float[Tensor, "vocab d_model"],
    bias: Float[Tensor, "vocab"] | None = None,
    rescale: bool = False,
) -> Float[Tensor, "... vocab"]:
    """Compare `hidden` with the vector of each token: the dot products are the logits.

    `bias` is added to them, unless it is None (BART has one, `final_logits_bias`). With `rescale`,
    `hidden` is first divided by sqrt(d_model), as in the first T5, but not in T5 v1.1 or BART. The
    result has the dtype of the inputs; none is modified, and gradients reach them all.

    >>> tied_logits(torch.tensor([8.0, 0.0, 0.0, 2.0]), torch.eye(4)[:3], rescale=True)
    tensor([4., 0., 0.])
    """
    raise NotImplementedError("tied_logits")  # your code here
