import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex01_linear import Linear


@wrong(
    caught_by=[
        "parameters_are_named_and_shaped_like_torchs",
        "without_bias_there_is_only_the_weight",
    ],
    crashes=[
        "one_vector_by_hand",
        "agrees_with_torch",
        "parameter_gradients_agree_with_torch",
        "input_gradient_agrees_with_torch",
        "keeps_the_dtype",
    ],
)
class Linear__stores_the_weight_transposed(Linear):
    """The weight was kept as (d_in, d_out). Checkpoints keep it as (d_out, d_in)."""

    def __init__(self, d_in, d_out, bias=True):
        super().__init__(d_in, d_out, bias)
        self.weight = nn.Parameter(self.weight.detach().T.clone())

    def forward(self, x):
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


@wrong(
    caught_by=[
        "one_vector_by_hand",
        "agrees_with_torch",
        "parameter_gradients_agree_with_torch",
        "input_gradient_agrees_with_torch",
        "keeps_the_dtype",
    ]
)
class Linear__reshapes_instead_of_transposing(Linear):
    """The weight was brought into shape with `view` or `reshape`, which mixes its rows up: it
    needs a transpose."""

    def forward(self, x):
        d_out, d_in = self.weight.shape
        y = x @ self.weight.reshape(d_in, d_out)
        return y if self.bias is None else y + self.bias


@wrong(
    caught_by=[
        "parameters_are_named_and_shaped_like_torchs",
        "without_bias_there_is_only_the_weight",
    ],
    crashes=[
        "one_vector_by_hand",
        "agrees_with_torch",
        "parameter_gradients_agree_with_torch",
        "input_gradient_agrees_with_torch",
        "starts_uniform_between_the_bounds",
        "every_layer_starts_differently",
        "keeps_the_dtype",
    ],
)
class Linear__misspells_the_names(nn.Module):
    """The parameters are not called `weight` and `bias`, so no checkpoint can be loaded."""

    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = d_in**-0.5
        self.W = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(d_out).uniform_(-bound, bound)) if bias else None

    def forward(self, x):
        y = x @ self.W.T
        return y if self.b is None else y + self.b


@wrong(
    caught_by=["parameters_are_named_and_shaped_like_torchs"],
    crashes=[
        "one_vector_by_hand",
        "agrees_with_torch",
        "parameter_gradients_agree_with_torch",
        "input_gradient_agrees_with_torch",
        "starts_uniform_between_the_bounds",
        "keeps_the_dtype",
        "works_after_moving_the_layer",
    ],
)
class Linear__bias_is_a_plain_tensor(nn.Module):
    """The bias is a plain tensor and no `nn.Parameter`: it is not trained, not saved, and not
    moved to another device with the layer."""

    def __init__(self, d_in, d_out, bias=True):
        super().__init__()
        bound = d_in**-0.5
        self.weight = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.bias = torch.empty(d_out).uniform_(-bound, bound) if bias else 0.0

    def forward(self, x):
        return x @ self.weight.T + self.bias


@wrong(caught_by=["without_bias_there_is_only_the_weight"], crashes=["agrees_with_torch"])
class Linear__always_has_a_bias(Linear):
    """`bias=False` was ignored."""

    def __init__(self, d_in, d_out, bias=True):
        super().__init__(d_in, d_out)


@wrong(caught_by=["starts_uniform_between_the_bounds"])
class Linear__starts_too_large(Linear):
    """The first weights do not shrink with `d_in`, so that the output of a wide layer is huge."""

    def __init__(self, d_in, d_out, bias=True):
        super().__init__(d_in, d_out, bias)
        self.weight = nn.Parameter(torch.randn(d_out, d_in))
        self.bias = nn.Parameter(torch.randn(d_out)) if bias else None


@wrong(caught_by=["starts_uniform_between_the_bounds"])
class Linear__scales_with_fan_out(Linear):
    """The first weights were scaled by `d_out`. The sum runs over the `d_in` inputs."""

    def __init__(self, d_in, d_out, bias=True):
        super().__init__(d_in, d_out, bias)
        bound = d_out**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)


@wrong(caught_by=["every_layer_starts_differently"])
class Linear__seeds_inside(Linear):
    """The seed was set inside the layer, so that all layers start with the same weights."""

    def __init__(self, d_in, d_out, bias=True):
        torch.manual_seed(0)
        super().__init__(d_in, d_out, bias)


@wrong(caught_by=["one_vector_by_hand", "agrees_with_torch"])
class Linear__loses_the_leading_axes(Linear):
    """The leading axes were flattened into one and not restored."""

    def forward(self, x):
        return super().forward(x.reshape(x.shape[:-1].numel(), x.shape[-1]))


@wrong(caught_by=["parameter_gradients_agree_with_torch"])
class Linear__detaches_the_weight(Linear):
    """The values of the weight were taken out with `.data`, `.detach()` or `no_grad`, so that no
    gradient reaches it."""

    def forward(self, x):
        y = x @ self.weight.data.T
        return y if self.bias is None else y + self.bias


@wrong(caught_by=["keeps_the_dtype"])
class Linear__always_computes_in_float32(Linear):
    """Everything was converted to float32, and the result stayed so."""

    def forward(self, x):
        y = x.float() @ self.weight.float().T
        return y if self.bias is None else y + self.bias.float()
