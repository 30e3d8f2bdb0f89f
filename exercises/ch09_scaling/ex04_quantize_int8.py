"""9.4 INT8 quantisation   [medium, ~25 min]

To write one token, a model reads all of its weights, so their bytes decide how fast it is and where
it fits (9.6). A weight needs no 32 bits. Here it gets 8: a whole number from -127 to 127, which
counts in steps of a size of its own for every row, since a single large weight would make the steps
of a whole matrix coarse.

Source: Dettmers et al. (2022), LLM.int8(), https://arxiv.org/abs/2208.07339, sections 2.1 and 3.1;
Wu et al. (2020), Integer Quantization for Deep Learning Inference,
https://arxiv.org/abs/2004.09602, section 3.
"""

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn
from torch.nn import functional as F


def quantize_int8(
    weight: Float[Tensor, "out in"],
) -> tuple[Int8[Tensor, "out in"], Float[Tensor, "out 1"]]:
    """Return whole numbers q and one step size, `scale`, per row, so that q * scale is `weight`.

    `scale` is the largest absolute value of the row divided by 127. q is weight / scale, rounded to
    the nearest whole number, and half way to the even one: it is within -127..127, never -128. The
    two numbers differ by at most half a step. A row of zeros has scale 1.

    The arithmetic and `scale` are in float32, in float64 if `weight` is. Neither result requires a
    gradient. `weight` is not modified, and its device stays.

    Raises:
        ValueError: `weight` does not have two axes.

    >>> quantize_int8(torch.tensor([[2.54, -1.0, 0.02]]))
    (tensor([[127, -50,   1]], dtype=torch.int8), tensor([[0.0200]]))
    """
    raise NotImplementedError("quantize_int8")  # your code here


def dequantize(q: Int8[Tensor, "out in"], scale: Float[Tensor, "out 1"]) -> Float[Tensor, "out in"]:
    """Return the weight that `q` stands for, in the dtype of `scale`.

    >>> dequantize(torch.tensor([[127, -50]], dtype=torch.int8), torch.tensor([[0.5]]))
    tensor([[ 63.5000, -25.0000]])
    """
    raise NotImplementedError("dequantize")  # your code here


class Int8Linear(nn.Module):
    """A linear layer for inference that holds its weight in 8 bits.

    Buffers; it has no parameters, since nothing in it is trained:
        weight: q, int8.
        scale: one per row, (out, 1).
        bias: (out,), or None.

    >>> layer = Int8Linear(torch.tensor([[4, -2]], dtype=torch.int8), torch.tensor([[0.5]]), None)
    >>> layer(torch.tensor([10.0, 1.0]))
    tensor([19.])
    """

    def __init__(
        self,
        weight: Int8[Tensor, "out in"],
        scale: Float[Tensor, "out 1"],
        bias: Float[Tensor, "out"] | None,
    ) -> None:
        super().__init__()
        raise NotImplementedError("Int8Linear.__init__")  # your code here

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> "Int8Linear":
        """Quantise the weight of `linear`, which is not modified, and copy its bias, if any.

        The bias keeps its dtype. The two layers share no memory.
        """
        raise NotImplementedError("Int8Linear.from_linear")  # your code here

    def forward(self, x: Float[Tensor, "... in"]) -> Float[Tensor, "... out"]:
        """Compute x W^T + bias with the weight that the buffers stand for, in the dtype of `x`.

        `x` is not modified or rounded, and gradients flow to it. The result is also right in
        float16, whose largest number is 65504.
        """
        raise NotImplementedError("Int8Linear.forward")  # your code here
