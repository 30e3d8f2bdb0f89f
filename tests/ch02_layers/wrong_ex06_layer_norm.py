import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex06_layer_norm import LayerNorm


def widened(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


@wrong(
    caught_by=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "tiny_variance_agrees_with_torch",
        "mean_far_from_zero_stays_accurate",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
    ]
)
class LayerNorm__divides_by_n_minus_1(LayerNorm):
    """The variance was divided by d_model - 1, as `x.var(-1)` and `x.std(-1)` do unless told
    otherwise."""

    def forward(self, x):
        wide = widened(x)
        normed = (wide - wide.mean(-1, keepdim=True)) / (
            wide.var(-1, keepdim=True) + self.eps
        ).sqrt()
        return (normed * self.weight + self.bias).to(x.dtype)


@wrong(caught_by=["two_vectors_by_hand", "tiny_variance_agrees_with_torch"])
class LayerNorm__eps_outside_the_root(LayerNorm):
    """`eps` was added to the standard deviation. It belongs to the variance, inside the root."""

    def forward(self, x):
        wide = widened(x)
        centred = wide - wide.mean(-1, keepdim=True)
        normed = centred / (centred.square().mean(-1, keepdim=True).sqrt() + self.eps)
        return (normed * self.weight + self.bias).to(x.dtype)


@wrong(caught_by=["two_vectors_by_hand"])
class LayerNorm__ignores_eps(LayerNorm):
    """The argument `eps` has no effect: its usual value is written into the code."""

    def __init__(self, d_model, eps=1e-5):
        super().__init__(d_model)


@wrong(caught_by=["two_vectors_by_hand", "tiny_variance_agrees_with_torch"])
class LayerNorm__has_no_eps(LayerNorm):
    """`eps` is missing, and a vector of equal values is divided by 0."""

    def __init__(self, d_model, eps=1e-5):
        super().__init__(d_model, eps=0.0)


@wrong(
    caught_by=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "tiny_variance_agrees_with_torch",
        "mean_far_from_zero_stays_accurate",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
    ]
)
class LayerNorm__swaps_weight_and_bias(LayerNorm):
    """Weight and bias have changed places. With their first values, ones and zeros, the result is
    always 1."""

    def forward(self, x):
        wide = widened(x)
        normed = nn.functional.layer_norm(wide, x.shape[-1:], eps=self.eps)
        return (normed * self.bias + self.weight).to(x.dtype)


@wrong(
    caught_by=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "tiny_variance_agrees_with_torch",
        "mean_far_from_zero_stays_accurate",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
    ]
)
class LayerNorm__normalises_the_first_axis(LayerNorm):
    """Mean and variance were taken over the first axis, as batch normalisation does. Each vector
    along the last axis is normalised on its own."""

    def forward(self, x):
        wide = widened(x)
        centred = wide - wide.mean(0, keepdim=True)
        normed = centred * (centred.square().mean(0, keepdim=True) + self.eps).rsqrt()
        return (normed * self.weight + self.bias).to(x.dtype)


@wrong(
    caught_by=[
        "two_vectors_by_hand",
        "agrees_with_torch",
        "tiny_variance_agrees_with_torch",
        "mean_far_from_zero_stays_accurate",
        "gradients_agree_with_torch",
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
    ]
)
class LayerNorm__normalises_everything_at_once(LayerNorm):
    """One mean and one variance were taken of the whole tensor. Each vector along the last axis
    is normalised on its own."""

    def forward(self, x):
        wide = widened(x)
        centred = wide - wide.mean()
        normed = centred * (centred.square().mean() + self.eps).rsqrt()
        return (normed * self.weight + self.bias).to(x.dtype)


@wrong(caught_by=["mean_far_from_zero_stays_accurate"])
class LayerNorm__subtracts_the_squared_mean(LayerNorm):
    """The variance was calculated as mean(x^2) - mean(x)^2. Far from 0 these are two large numbers,
    and little is left of their difference: square the distances from the mean instead."""

    def forward(self, x):
        wide = widened(x)
        mean = wide.mean(-1, keepdim=True)
        variance = wide.square().mean(-1, keepdim=True) - mean.square()
        normed = (wide - mean) * (variance + self.eps).rsqrt()
        return (normed * self.weight + self.bias).to(x.dtype)


@wrong(caught_by=["half_precision_is_calculated_in_float32"])
class LayerNorm__calculates_in_half_precision(LayerNorm):
    """Mean and variance were calculated in bfloat16, which has less than three digits: convert to
    float32 first."""

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        normed = centred * (centred.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return normed * self.weight + self.bias


@wrong(caught_by=["gradients_agree_with_torch"])
class LayerNorm__detaches_the_statistics(LayerNorm):
    """Mean and variance were treated as constants (`.detach()`, `.data`, `no_grad`): a part of the
    gradient is missing."""

    def forward(self, x):
        wide = widened(x)
        mean = wide.detach().mean(-1, keepdim=True)
        variance = (wide.detach() - mean).square().mean(-1, keepdim=True)
        normed = (wide - mean) * (variance + self.eps).rsqrt()
        return (normed * self.weight + self.bias).to(x.dtype)


@wrong(
    caught_by=[
        "weight_starts_at_one_and_bias_at_zero",
        "tiny_variance_agrees_with_torch",
        "mean_far_from_zero_stays_accurate",
        "half_precision_is_calculated_in_float32",
    ]
)
class LayerNorm__starts_random(LayerNorm):
    """Weight and bias start at random. A new LayerNorm only normalises: ones and zeros."""

    def __init__(self, d_model, eps=1e-5):
        super().__init__(d_model, eps)
        self.weight = nn.Parameter(torch.randn(d_model))
        self.bias = nn.Parameter(torch.randn(d_model))


@wrong(caught_by=["input_is_not_modified"], crashes=["gradients_agree_with_torch"])
class LayerNorm__modifies_the_input(LayerNorm):
    """`x` itself was changed: `x -= ...` writes into the caller's tensor."""

    def forward(self, x):
        x -= x.mean(-1, keepdim=True)
        return super().forward(x)


@wrong(
    caught_by=[
        "keeps_the_dtype",
        "half_precision_is_calculated_in_float32",
        "stays_on_the_device_of_the_input",
    ]
)
class LayerNorm__fills_a_new_tensor(LayerNorm):
    """The result was written into a new `torch.zeros(...)`, which is float32 and on the CPU
    whatever `x` is."""

    def forward(self, x):
        result = torch.zeros(x.shape)
        result += super().forward(x)
        return result
