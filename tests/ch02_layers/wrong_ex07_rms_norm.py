import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex07_rms_norm import RMSNorm


def widened(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


@wrong(
    caught_by=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "tiny_and_zero_vectors_agree_with_torch",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
    ]
)
class RMSNorm__subtracts_the_mean(RMSNorm):
    """The mean was subtracted, as LayerNorm does. RMSNorm leaves it in."""

    def forward(self, x):
        wide = widened(x)
        return super().forward(wide - wide.mean(-1, keepdim=True)).to(x.dtype)


@wrong(
    caught_by=["has_only_a_weight_which_starts_at_one"],
    crashes=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
    ],
)
class RMSNorm__has_a_bias(RMSNorm):
    """There is a bias. RMSNorm has only a weight."""

    def __init__(self, d_model, eps=1e-5):
        super().__init__(d_model, eps)
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x):
        return super().forward(x) + self.bias


@wrong(caught_by=["two_vectors_by_hand", "tiny_and_zero_vectors_agree_with_torch"])
class RMSNorm__has_no_eps(RMSNorm):
    """`eps` is missing, and a vector of zeros is divided by 0."""

    def __init__(self, d_model, eps=1e-5):
        super().__init__(d_model, eps=0.0)


@wrong(caught_by=["two_vectors_by_hand"])
class RMSNorm__ignores_eps(RMSNorm):
    """The argument `eps` has no effect: its usual value is written into the code."""

    def __init__(self, d_model, eps=1e-5):
        super().__init__(d_model)


@wrong(caught_by=["two_vectors_by_hand", "tiny_and_zero_vectors_agree_with_torch"])
class RMSNorm__eps_outside_the_root(RMSNorm):
    """`eps` was added to the root mean square. It belongs to the mean square, inside the root."""

    def forward(self, x):
        wide = widened(x)
        rms = wide.square().mean(-1, keepdim=True).sqrt()
        return (wide / (rms + self.eps) * self.weight).to(x.dtype)


@wrong(
    caught_by=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "tiny_and_zero_vectors_agree_with_torch",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
    ]
)
class RMSNorm__divides_by_the_length(RMSNorm):
    """The squares were added up, not averaged: that is the length of the vector, which is larger by
    a factor of sqrt(d_model)."""

    def forward(self, x):
        wide = widened(x)
        length = (wide.square().sum(-1, keepdim=True) + self.eps).sqrt()
        return (wide / length * self.weight).to(x.dtype)


@wrong(
    caught_by=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "tiny_and_zero_vectors_agree_with_torch",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
    ]
)
class RMSNorm__normalises_everything_at_once(RMSNorm):
    """One root mean square was taken of the whole tensor. Each vector along the last axis has its
    own."""

    def forward(self, x):
        wide = widened(x)
        normed = wide * (wide.square().mean() + self.eps).rsqrt()
        return (normed * self.weight).to(x.dtype)


@wrong(
    caught_by=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "tiny_and_zero_vectors_agree_with_torch",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
    ]
)
class RMSNorm__adds_1_to_the_weight(RMSNorm):
    """The result was multiplied by 1 + weight, as Gemma does, whose weights start at 0."""

    def forward(self, x):
        wide = widened(x)
        normed = wide * (wide.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return (normed * (1 + self.weight)).to(x.dtype)


@wrong(caught_by=["half_precision_is_calculated_in_float32"])
class RMSNorm__calculates_in_half_precision(RMSNorm):
    """The squares, their mean or the product were calculated in half precision, where squares
    overflow (float16) and every step costs digits (bfloat16): convert to float32 first."""

    def forward(self, x):
        return x * (x.square().mean(-1, keepdim=True) + self.eps).rsqrt() * self.weight


@wrong(caught_by=["keeps_the_dtype"])
class RMSNorm__stays_in_float32(RMSNorm):
    """The result was not converted back to the dtype of `x`."""

    def forward(self, x):
        wide = x.float()
        return wide * (wide.square().mean(-1, keepdim=True) + self.eps).rsqrt() * self.weight


@wrong(caught_by=["gradients_agree_with_torch"])
class RMSNorm__detaches_the_scale(RMSNorm):
    """The root mean square was treated as a constant (`.detach()`, `.data`, `no_grad`): a part of
    the gradient is missing."""

    def forward(self, x):
        wide = widened(x)
        scale = (wide.detach().square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return (wide * scale * self.weight).to(x.dtype)


@wrong(caught_by=["input_is_not_modified"], crashes=["gradients_agree_with_torch"])
class RMSNorm__modifies_the_input(RMSNorm):
    """`x` itself was changed: `x *= ...` writes into the caller's tensor."""

    def forward(self, x):
        x *= (x.float().square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return x * self.weight


@wrong(caught_by=["keeps_the_dtype", "stays_on_the_device_of_the_input"])
class RMSNorm__fills_a_new_tensor(RMSNorm):
    """The result was written into a new `torch.zeros(...)`, which is float32 and on the CPU
    whatever `x` is."""

    def forward(self, x):
        result = torch.zeros(x.shape)
        result += super().forward(x)
        return result
