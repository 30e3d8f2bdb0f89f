import torch
import torch.nn.functional as F
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex11_mlp import GPT2MLP


@wrong(
    caught_by=[
        "one_unit_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
    ]
)
class GPT2MLP__uses_relu(GPT2MLP):
    """The activation is a ReLU. GPT-2 uses GELU, which is not 0 below zero."""

    def forward(self, x):
        return self.dropout(self.c_proj(F.relu(self.c_fc(x))))


@wrong(
    caught_by=[
        "one_unit_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
    ]
)
class GPT2MLP__uses_the_exact_gelu(GPT2MLP):
    """The activation is the exact GELU. GPT-2 was trained with the tanh form of it."""

    def forward(self, x):
        return self.dropout(self.c_proj(F.gelu(self.c_fc(x))))


@wrong(
    caught_by=["has_two_layers_with_biases"],
    crashes=[
        "one_unit_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
    ],
)
class GPT2MLP__has_no_biases(GPT2MLP):
    """The layers have no bias. Both layers of GPT-2's MLP have one."""

    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__(d_model, d_ff, dropout)
        self.c_fc = nn.Linear(d_model, d_ff, bias=False)
        self.c_proj = nn.Linear(d_ff, d_model, bias=False)


@wrong(
    caught_by=[
        "one_unit_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
    ]
)
class GPT2MLP__activates_at_the_end(GPT2MLP):
    """GELU was applied to the output. It belongs between the layers: two linear layers in a row are
    only one."""

    def forward(self, x):
        return self.dropout(F.gelu(self.c_proj(self.c_fc(x)), approximate="tanh"))


@wrong(
    caught_by=[
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
    ]
)
class GPT2MLP__activates_twice(GPT2MLP):
    """GELU was applied after the second layer too. The output of the MLP can be any number."""

    def forward(self, x):
        return F.gelu(super().forward(x), approximate="tanh")


@wrong(
    caught_by=[
        "one_unit_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "dropout_comes_last",
        "evaluation_mode_has_no_dropout",
    ]
)
class GPT2MLP__adds_the_residual(GPT2MLP):
    """The input was added to the output. The block does that, outside of the MLP."""

    def forward(self, x):
        return x + super().forward(x)


@wrong(
    caught_by=["has_two_layers_with_biases"],
    crashes=[
        "one_unit_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
    ],
)
class GPT2MLP__keeps_the_checkpoint_layout(GPT2MLP):
    """The weights are (in, out), as in GPT-2's checkpoints. Here they are (out, in)."""

    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__(d_model, d_ff, dropout)
        self.c_fc.weight = nn.Parameter(torch.randn(d_model, d_ff) * 0.02)
        self.c_proj.weight = nn.Parameter(torch.randn(d_ff, d_model) * 0.02)

    def forward(self, x):
        hidden = F.gelu(x @ self.c_fc.weight + self.c_fc.bias, approximate="tanh")
        return self.dropout(hidden @ self.c_proj.weight + self.c_proj.bias)


@wrong(
    caught_by=["has_two_layers_with_biases"],
    crashes=[
        "one_unit_by_hand",
        "agrees_with_gpt2",
        "agrees_with_the_reference",
        "gradient_of_the_input_agrees",
        "gradient_of_each_parameter_agrees",
        "evaluation_mode_has_no_dropout",
    ],
)
class GPT2MLP__is_always_four_times_wider(GPT2MLP):
    """The hidden width was taken to be 4 * d_model. It is `d_ff`, whatever that is."""

    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__(d_model, 4 * d_model, dropout)


@wrong(caught_by=["dropout_comes_last"])
class GPT2MLP__drops_hidden_units(GPT2MLP):
    """Dropout was applied between the layers. It is the last step, on the output."""

    def forward(self, x):
        return self.c_proj(self.dropout(F.gelu(self.c_fc(x), approximate="tanh")))


@wrong(caught_by=["evaluation_mode_has_no_dropout"])
class GPT2MLP__drops_in_evaluation(GPT2MLP):
    """Dropout stayed on in evaluation mode. F.dropout needs to be told `training=self.training`."""

    def forward(self, x):
        y = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        return F.dropout(y, self.dropout.p)


@wrong(caught_by=["gradient_of_the_input_agrees", "gradient_of_each_parameter_agrees"])
class GPT2MLP__freezes_the_first_layer(GPT2MLP):
    """The hidden units were detached: the first layer never learns."""

    def forward(self, x):
        hidden = F.gelu(self.c_fc(x), approximate="tanh").detach()
        return self.dropout(self.c_proj(hidden))


@wrong(crashes=["stays_on_the_device_of_its_input"])
class GPT2MLP__makes_its_mask_on_the_cpu(GPT2MLP):
    """The dropout mask was made on the CPU, whatever device the input is on."""

    def forward(self, x):
        y = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        if not self.training or self.dropout.p == 0:
            return y
        return y * (torch.rand(y.shape) >= self.dropout.p) / max(1 - self.dropout.p, 1e-9)
