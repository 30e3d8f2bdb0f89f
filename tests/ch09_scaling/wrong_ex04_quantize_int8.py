import torch
from torch import nn
from torch.nn import functional as F

from kata.wrong import wrong
from solutions.ch09_scaling.ex04_quantize_int8 import Int8Linear, dequantize, quantize_int8


def wide(weight):
    """The weight as it is to be quantised."""
    if weight.dim() != 2:
        raise ValueError("two axes")
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))


def steps(weight, dim=1, levels=127):
    """One step size per slice of a wide weight, 1 where all is zero."""
    largest = weight.abs().amax(dim, keepdim=True)
    return torch.where(largest > 0, largest / levels, 1)


def numbers(weight, scale, rounded=torch.round):
    return rounded(weight / scale).to(torch.int8)


# --------------------------------------------------------------------------------- quantize_int8


@wrong(
    caught_by=["three_rows_by_hand", "row_of_zeros_has_scale_one", "error_is_at_most_half_a_step"]
)
def quantize_int8__has_one_scale_for_all(weight):
    """All rows share one scale. A single large weight then makes the steps of the whole matrix
    coarse: every row has its own."""
    weight = wide(weight)
    scale = steps(weight.flatten()[None]).expand(len(weight), 1)
    return numbers(weight, scale), scale


@wrong(
    caught_by=[
        "three_rows_by_hand",
        "half_way_rounds_to_even",
        "row_of_zeros_has_scale_one",
        "error_is_at_most_half_a_step",
        "layer_holds_8_bits_per_weight",
    ],
    crashes=[
        "layer_comes_from_a_linear_layer",
        "everything_stays_on_the_meta_device",
        "inputs_are_not_modified",
    ],
)
def quantize_int8__scales_the_columns(weight):
    """The scales are those of the columns. A row is what belongs to one output."""
    weight = wide(weight)
    scale = steps(weight, dim=0)
    return numbers(weight, scale), scale.mT


@wrong(
    caught_by=[
        "three_rows_by_hand",
        "half_way_rounds_to_even",
        "row_of_zeros_has_scale_one",
        "error_is_at_most_half_a_step",
        "layer_comes_from_a_linear_layer",
    ]
)
def quantize_int8__goes_to_minus_128(weight):
    """The steps are a 128th of the largest weight, as int8 goes down to -128. It does not go up to
    128, which becomes -128: 127 on both sides."""
    weight = wide(weight)
    scale = steps(weight, levels=128)
    return numbers(weight, scale), scale


@wrong(
    caught_by=[
        "three_rows_by_hand",
        "half_way_rounds_to_even",
        "row_of_zeros_has_scale_one",
        "error_is_at_most_half_a_step",
    ]
)
def quantize_int8__clamps_to_minus_128(weight):
    """A 128th of the largest weight was taken for the step, and the largest cut to 127. It is off
    by a whole step then: 127 on both sides."""
    weight = wide(weight)
    scale = steps(weight, levels=128)
    return (weight / scale).round().clamp(-128, 127).to(torch.int8), scale


@wrong(
    caught_by=[
        "three_rows_by_hand",
        "half_way_rounds_to_even",
        "row_of_zeros_has_scale_one",
        "error_is_at_most_half_a_step",
        "layer_comes_from_a_linear_layer",
    ]
)
def quantize_int8__spreads_over_255_levels(weight):
    """The step was made from the distance between the smallest and the largest weight. Without a
    zero point, 0 has to stay 0, and the largest absolute value decides."""
    weight = wide(weight)
    span = weight.amax(1, keepdim=True) - weight.amin(1, keepdim=True)
    scale = torch.where(span > 0, span / 254, 1)
    return (weight / scale).round().clamp(-127, 127).to(torch.int8), scale


@wrong(
    caught_by=[
        "three_rows_by_hand",
        "error_is_at_most_half_a_step",
        "layer_comes_from_a_linear_layer",
    ]
)
def quantize_int8__forgets_the_sign(weight):
    """The largest value was taken, not the largest absolute value. In a row whose largest weight is
    negative it is too small."""
    weight = wide(weight)
    largest = weight.amax(1, keepdim=True)
    scale = torch.where(largest > 0, largest / 127, 1)
    return numbers(weight, scale), scale


@wrong(caught_by=["three_rows_by_hand", "half_way_rounds_to_even", "error_is_at_most_half_a_step"])
def quantize_int8__truncates(weight):
    """The fraction was cut off: `.to(torch.int8)` does not round. Errors are then up to a whole
    step, and all towards zero."""
    weight = wide(weight)
    return numbers(weight, steps(weight), torch.trunc), steps(weight)


@wrong(caught_by=["three_rows_by_hand", "half_way_rounds_to_even", "error_is_at_most_half_a_step"])
def quantize_int8__rounds_down(weight):
    """Everything was rounded down (`floor`). Take the nearest whole number."""
    weight = wide(weight)
    return numbers(weight, steps(weight), torch.floor), steps(weight)


@wrong(caught_by=["half_way_rounds_to_even"])
def quantize_int8__rounds_half_up(weight):
    """A half was always rounded away from zero, or up. `torch.round` goes to the even number, so
    that halves do not pull all in one direction."""
    weight = wide(weight)
    return numbers(weight, steps(weight), lambda x: (x + 0.5).floor()), steps(weight)


@wrong(caught_by=["row_of_zeros_has_scale_one"])
def quantize_int8__divides_zero_by_zero(weight):
    """A row of zeros has the largest absolute value 0, and 0 / 0 is NaN. Its scale is 1."""
    weight = wide(weight)
    scale = weight.abs().amax(1, keepdim=True) / 127
    return (weight / scale).round().nan_to_num(-1).to(torch.int8), scale


@wrong(caught_by=["row_of_zeros_has_scale_one", "error_is_at_most_half_a_step"])
def quantize_int8__adds_a_small_number(weight):
    """A small number was added to the scale, or the scale was kept above one. That changes the
    scale of rows of small weights: only a row of zeros needs another one."""
    weight = wide(weight)
    scale = (weight.abs().amax(1, keepdim=True) / 127).clamp(min=1e-4)
    return numbers(weight, scale), scale


@wrong(
    caught_by=[
        "three_rows_by_hand",
        "row_of_zeros_has_scale_one",
        "error_is_at_most_half_a_step",
        "layer_comes_from_a_linear_layer",
    ]
)
def quantize_int8__returns_the_inverse(weight):
    """The scale is the inverse: 127 divided by the largest weight. It is the size of a step, which
    q is multiplied with."""
    q, scale = quantize_int8(weight)
    return q, torch.where(scale == 1, 1, 1 / scale)


@wrong(
    caught_by=[
        "three_rows_by_hand",
        "row_of_zeros_has_scale_one",
        "error_is_at_most_half_a_step",
        "layer_holds_8_bits_per_weight",
    ],
    crashes=[
        "layer_comes_from_a_linear_layer",
        "everything_stays_on_the_meta_device",
        "inputs_are_not_modified",
    ],
)
def quantize_int8__drops_the_axis(weight):
    """The scale has lost its second axis (`keepdim=True`), so that it lines up with the columns."""
    q, scale = quantize_int8(weight)
    return q, scale.flatten()


@wrong(
    caught_by=[
        "three_rows_by_hand",
        "half_way_rounds_to_even",
        "row_of_zeros_has_scale_one",
        "layer_holds_8_bits_per_weight",
    ]
)
def quantize_int8__stays_in_float(weight):
    """q holds whole numbers, but in a floating-point dtype, which takes four times the memory."""
    q, scale = quantize_int8(weight)
    return q.to(scale.dtype), scale


@wrong(caught_by=["error_is_at_most_half_a_step"])
def quantize_int8__computes_in_bfloat16(weight):
    """The arithmetic was done in the dtype of the weight. With the 8 bits of bfloat16 the scale
    itself is inexact: convert to float32 first."""
    weight = wide(weight).to(weight.dtype)
    scale = steps(weight)
    return numbers(weight, scale), scale


@wrong(caught_by=["error_is_at_most_half_a_step"])
def quantize_int8__rounds_float64(weight):
    """A float64 weight was computed in float32. Only smaller types are converted to float32."""
    return quantize_int8(wide(weight).float())


@wrong(caught_by=["nothing_is_left_to_train"])
def quantize_int8__keeps_the_gradient(weight):
    """The scale requires a gradient, because the weight does: it keeps the whole float weight in
    memory. Detach it."""
    q, _ = quantize_int8(weight)
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    return q, steps(weight)


@wrong(crashes=["everything_stays_on_the_meta_device"])
def quantize_int8__makes_scales_on_the_processor(weight):
    """A tensor was made on the CPU, wherever the weight is. `torch.ones_like`, `weight.new_ones` or
    a plain number follow it."""
    q, scale = quantize_int8(weight)
    return q, torch.where(scale == 1, torch.ones(len(weight), 1, dtype=scale.dtype), scale)


@wrong(caught_by=["inputs_are_not_modified"])
def quantize_int8__divides_in_place(weight):
    """The weight itself was divided (`/=`, `div_`). It belongs to the caller."""
    q, scale = quantize_int8(weight)
    weight.data /= scale
    return q, scale


@wrong(caught_by=["other_shapes_are_refused"])
def quantize_int8__accepts_any_shape(weight):
    """A weight with another number of axes than two was accepted. The docstring asks for a
    ValueError."""
    return quantize_int8(weight.reshape(-1, weight.shape[-1]))


# ------------------------------------------------------------------------------------- dequantize


@wrong(
    caught_by=[
        "dequantized_weight_is_q_times_scale",
        "layer_computes_with_the_weight_it_stands_for",
        "result_has_the_dtype_of_the_input",
        "layer_comes_from_a_linear_layer",
        "gradient_flows_to_the_input",
    ]
)
def dequantize__divides(q, scale):
    """q was divided by the scale. The scale is the size of a step: multiply."""
    return q / scale


@wrong(caught_by=["dequantized_weight_is_q_times_scale"])
def dequantize__is_always_float32(q, scale):
    """The result is float32, whatever the scale is."""
    return (q * scale).float()


# ------------------------------------------------------------------------------------- Int8Linear


@wrong(
    caught_by=[
        "layer_computes_with_the_weight_it_stands_for",
        "result_has_the_dtype_of_the_input",
        "layer_comes_from_a_linear_layer",
        "gradient_flows_to_the_input",
    ]
)
class Int8Linear__forgets_the_scale(Int8Linear):
    """`x` was multiplied with the whole numbers, and the scale forgotten."""

    def forward(self, x):
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype), bias)


@wrong(
    caught_by=[
        "layer_computes_with_the_weight_it_stands_for",
        "result_has_the_dtype_of_the_input",
        "layer_comes_from_a_linear_layer",
    ]
)
class Int8Linear__forgets_the_bias(Int8Linear):
    """The bias was not added."""

    def forward(self, x):
        return F.linear(x, dequantize(self.weight, self.scale).to(x.dtype))


@wrong(
    caught_by=[
        "layer_computes_with_the_weight_it_stands_for",
        "result_has_the_dtype_of_the_input",
        "layer_comes_from_a_linear_layer",
    ]
)
class Int8Linear__scales_the_bias(Int8Linear):
    """The bias was multiplied with the scale. It was never divided by it."""

    def forward(self, x):
        bias = 0 if self.bias is None else (self.bias * self.scale.flatten()).to(x.dtype)
        return F.linear(x, dequantize(self.weight, self.scale).to(x.dtype)) + bias


@wrong(
    crashes=[
        "layer_computes_with_the_weight_it_stands_for",
        "layer_comes_from_a_linear_layer",
        "inputs_are_not_modified",
    ]
)
class Int8Linear__expects_a_bias(Int8Linear):
    """Not every layer has a bias: it can be None."""

    def forward(self, x):
        weight = dequantize(self.weight, self.scale).to(x.dtype)
        return F.linear(x, weight) + self.bias.to(x.dtype)


@wrong(caught_by=["result_has_the_dtype_of_the_input"])
class Int8Linear__returns_float32(Int8Linear):
    """The result is float32 (or in the dtype of the scale), whatever `x` is: so is every later
    layer's input."""

    def forward(self, x):
        bias = None if self.bias is None else self.bias
        return F.linear(x.float(), dequantize(self.weight, self.scale), bias)


@wrong(crashes=["result_has_the_dtype_of_the_input"])
class Int8Linear__needs_the_dtype_of_the_scale(Int8Linear):
    """`x` and the weight have different dtypes, which cannot be multiplied. Bring the weight to
    that of `x`."""

    def forward(self, x):
        return F.linear(x, dequantize(self.weight, self.scale), self.bias)


@wrong(caught_by=["result_has_the_dtype_of_the_input"])
class Int8Linear__overflows_in_float16(Int8Linear):
    """The scale was applied to the finished sums. Sums of numbers up to 127 times `x` can exceed
    what float16 holds: apply it to the weight."""

    def forward(self, x):
        sums = F.linear(x, self.weight.to(x.dtype)) * self.scale.flatten().to(x.dtype)
        return sums if self.bias is None else sums + self.bias.to(x.dtype)


@wrong(
    caught_by=[
        "layer_computes_with_the_weight_it_stands_for",
        "result_has_the_dtype_of_the_input",
        "layer_comes_from_a_linear_layer",
        "gradient_flows_to_the_input",
    ]
)
class Int8Linear__rounds_the_input(Int8Linear):
    """`x` was rounded to whole numbers as well. Only the weight is quantised here."""

    def forward(self, x):
        return super().forward(x.round())


@wrong(caught_by=["gradient_flows_to_the_input"])
class Int8Linear__cuts_the_gradient(Int8Linear):
    """No gradient flows to `x`: `no_grad` or `detach` stands in the way. The layer is not trained,
    but those before it can be."""

    def forward(self, x):
        return super().forward(x.detach()) + 0 * x.sum()


@wrong(caught_by=["layer_holds_8_bits_per_weight"])
class Int8Linear__holds_floats(Int8Linear):
    """The weight was turned back into floats and stored so. It takes as much memory as before: keep
    q and the scale."""

    def __init__(self, weight, scale, bias):
        super().__init__(dequantize(weight, scale), torch.ones_like(scale), bias)


@wrong(caught_by=["nothing_is_left_to_train"])
class Int8Linear__has_parameters(Int8Linear):
    """Weight, scale or bias are parameters. An optimiser would get them: use `register_buffer`."""

    def __init__(self, weight, scale, bias):
        nn.Module.__init__(self)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.scale = nn.Parameter(scale)
        self.bias = None if bias is None else nn.Parameter(bias)


@wrong(
    caught_by=[
        "layer_holds_8_bits_per_weight",
        "nothing_is_left_to_train",
        "everything_stays_on_the_meta_device",
    ]
)
class Int8Linear__has_plain_attributes(Int8Linear):
    """The tensors are plain attributes: `state_dict` does not save them, and `to(device)` does not
    move them. Use `register_buffer`."""

    def __init__(self, weight, scale, bias):
        nn.Module.__init__(self)
        self.weight, self.scale, self.bias = weight, scale, bias


@wrong(caught_by=["layer_comes_from_a_linear_layer"])
class Int8Linear__shares_the_bias(Int8Linear):
    """The bias is that of the given layer, and changes when that learns. Copy it (`clone`)."""

    @classmethod
    def from_linear(cls, linear):
        bias = None if linear.bias is None else linear.bias.detach()
        return cls(*quantize_int8(linear.weight), bias)


@wrong(
    caught_by=[
        "layer_comes_from_a_linear_layer",
        "layer_holds_8_bits_per_weight",
        "nothing_is_left_to_train",
    ]
)
class Int8Linear__loses_the_bias(Int8Linear):
    """The bias of the given layer was not taken over."""

    @classmethod
    def from_linear(cls, linear):
        return cls(*quantize_int8(linear.weight), None)


@wrong(caught_by=["nothing_is_left_to_train"])
class Int8Linear__keeps_the_gradient_of_the_bias(Int8Linear):
    """The bias was cloned with its history: it requires a gradient, and hangs on the given layer.
    Detach it first."""

    @classmethod
    def from_linear(cls, linear):
        bias = None if linear.bias is None else linear.bias.clone()
        return cls(*quantize_int8(linear.weight), bias)


@wrong(caught_by=["inputs_are_not_modified"])
class Int8Linear__clears_the_input(Int8Linear):
    """`x` was changed in place. It belongs to the caller."""

    def forward(self, x):
        result = super().forward(x)
        x.data.zero_()
        return result
