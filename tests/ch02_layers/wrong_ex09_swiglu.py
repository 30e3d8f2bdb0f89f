import torch
import torch.nn.functional as F
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex09_swiglu import SwiGLU


@wrong(
    caught_by=[
        "silu_is_x_times_its_sigmoid",
        "silu_agrees_with_torch",
        "silu_of_large_numbers_stays_finite",
        "gradient_of_silu_stays_finite",
        "swiglu_by_hand",
        "swiglu_agrees_with_llama",
        "swiglu_agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
    ]
)
def silu__cuts_negative_values_off(x):
    """Below zero the result is 0. SiLU is x * sigmoid(x) there too, slightly negative."""
    return torch.relu(x) * torch.sigmoid(x)


@wrong(
    caught_by=[
        "silu_is_x_times_its_sigmoid",
        "silu_agrees_with_torch",
        "silu_of_large_numbers_stays_finite",
        "gradient_of_silu_stays_finite",
        "swiglu_by_hand",
        "swiglu_agrees_with_llama",
        "swiglu_agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
    ]
)
def silu__is_the_sigmoid_alone(x):
    """The sigmoid was returned without the x in front of it."""
    return torch.sigmoid(x)


@wrong(caught_by=["silu_of_large_numbers_stays_finite", "gradient_of_silu_stays_finite"])
def silu__divides_infinity_by_infinity(x):
    """exp(x) / (1 + exp(x)) is inf / inf for large x. torch.sigmoid is not."""
    return x * x.exp() / (1 + x.exp())


@wrong(caught_by=["gradient_of_silu_stays_finite"])
def silu__overflows_in_the_backward_pass(x):
    """The value is right, but exp(-x) is infinite below -88, where the gradient becomes NaN."""
    return x / (1 + (-x).exp())


@wrong(
    caught_by=[
        "gradient_of_silu_stays_finite",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
    ]
)
def silu__is_cut_from_the_graph(x):
    """The sigmoid was detached, so that the gradient misses half of the product rule."""
    return x * torch.sigmoid(x).detach()


@wrong(caught_by=["input_is_not_modified"], crashes=["gradient_of_silu_stays_finite"])
def silu__works_in_place(x):
    """The input was changed: `mul_` and `*=` write into the caller's tensor."""
    x *= torch.sigmoid(x)
    return x


@wrong(
    caught_by=["silu_agrees_with_torch"],
    crashes=["swiglu_agrees_with_the_reference", "stays_on_the_device_of_its_input"],
)
def silu__fills_a_tensor_on_the_cpu(x):
    """The result was put into a new tensor on the CPU and in float32, whatever `x` is."""
    y = torch.zeros(x.shape)
    y[...] = x * torch.sigmoid(x)
    return y


@wrong(
    caught_by=[
        "swiglu_by_hand",
        "swiglu_agrees_with_llama",
        "swiglu_agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
    ]
)
class SwiGLU__activates_the_other_branch(SwiGLU):
    """SiLU was put on w3 (up). It belongs on w1, the gate."""

    def forward(self, x):
        return self.w2(self.w1(x) * F.silu(self.w3(x)))


@wrong(
    caught_by=[
        "swiglu_by_hand",
        "swiglu_agrees_with_llama",
        "swiglu_agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
    ]
)
class SwiGLU__adds_the_branches(SwiGLU):
    """The gate was added to the other branch. It multiplies it, element by element."""

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) + self.w3(x))


@wrong(
    caught_by=[
        "swiglu_by_hand",
        "swiglu_agrees_with_llama",
        "swiglu_agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
    ]
)
class SwiGLU__gates_with_a_sigmoid(SwiGLU):
    """The gate is a plain sigmoid (that is GLU). SwiGLU uses silu."""

    def forward(self, x):
        return self.w2(torch.sigmoid(self.w1(x)) * self.w3(x))


@wrong(
    caught_by=["swiglu_has_three_weights"],
    crashes=[
        "swiglu_by_hand",
        "swiglu_agrees_with_llama",
        "swiglu_agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_weight_agrees",
    ],
)
class SwiGLU__has_biases(SwiGLU):
    """The layers have a bias. None of the three has one."""

    def __init__(self, d_model, d_ff):
        super().__init__(d_model, d_ff)
        self.w1 = nn.Linear(d_model, d_ff)
        self.w2 = nn.Linear(d_ff, d_model)
        self.w3 = nn.Linear(d_model, d_ff)


@wrong(caught_by=["gradient_of_the_input_agrees", "gradient_of_each_weight_agrees"])
class SwiGLU__cuts_the_gate_from_the_graph(SwiGLU):
    """The gate was detached: its weight never learns."""

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)).detach() * self.w3(x))
