from copy import deepcopy

import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex09_swiglu import SwiGLU
from solutions.ch06_moe.ex01_topk_router import topk_router
from solutions.ch06_moe.ex02_moe_layer import MoELayer


def mixture(layer, tokens, weights, idx):
    """The weighted sum of what the chosen experts make of each token."""
    y = torch.zeros_like(tokens)
    for i, expert in enumerate(layer.experts):
        token, choice = (idx == i).nonzero(as_tuple=True)
        y = y.index_add(0, token, weights[token, choice, None] * expert(tokens[token]))
    return y


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "moving_a_token_moves_its_output",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__routes_all_by_the_first_token(MoELayer):
    """The experts of the first token were used for every token. Each token has its own."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        weights, idx, _ = topk_router(tokens, self.gate.weight, self.k)
        first = idx[:1].expand_as(idx)
        return mixture(self, tokens, weights, first).reshape(x.shape)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "moving_a_token_moves_its_output",
        "an_expert_that_nobody_chose_has_no_influence",
        "keeps_the_dtype",
    ],
    crashes=["any_leading_axes_are_tokens"],
)
class MoELayer__routes_whole_sequences(MoELayer):
    """The router saw the mean of each sequence, so that all its tokens got the same experts. Each
    token has its own."""

    def forward(self, x):
        mean = x.mean(-2, keepdim=True).expand_as(x).reshape(-1, x.shape[-1])
        weights, idx, _ = topk_router(mean, self.gate.weight, self.k)
        return mixture(self, x.reshape(-1, x.shape[-1]), weights, idx).reshape(x.shape)


@wrong(caught_by=["an_expert_that_nobody_chose_has_no_influence"])
class MoELayer__lets_every_expert_compute_everything(MoELayer):
    """Every expert computed with every token, and the results were multiplied by 0 where it was not
    chosen. That costs as much as a dense layer, and 0 times NaN is NaN: give each expert only the
    tokens that chose it."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        weights, idx, probs = topk_router(tokens, self.gate.weight, self.k)
        gates = torch.zeros_like(probs).scatter(-1, idx, weights.to(probs.dtype)).to(x.dtype)
        y = sum(gates[:, i, None] * expert(tokens) for i, expert in enumerate(self.experts))
        return y.reshape(x.shape)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__mixes_all_experts(MoELayer):
    """All experts were mixed, weighted with their probabilities. Only the `k` chosen ones count."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        _, _, probs = topk_router(tokens, self.gate.weight, self.k)
        y = torch.zeros_like(tokens)
        for i, expert in enumerate(self.experts):
            y = y + probs[:, i, None].to(x.dtype) * expert(tokens)
        return y.reshape(x.shape)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__uses_the_first_choice_only(MoELayer):
    """Only the most likely expert of each token was used, whatever `k` says."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        weights, idx, _ = topk_router(tokens, self.gate.weight, 1)
        return mixture(self, tokens, weights, idx).reshape(x.shape)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__adds_the_experts_unweighted(MoELayer):
    """The outputs of the experts were added without the router's weights."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        _, idx, _ = topk_router(tokens, self.gate.weight, self.k)
        return mixture(self, tokens, torch.ones_like(idx, dtype=x.dtype), idx).reshape(x.shape)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__weighs_with_plain_probabilities(MoELayer):
    """The experts were weighted with their probabilities, which do not sum to 1 over the chosen
    ones. Use the weights of `topk_router`."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        _, idx, probs = topk_router(tokens, self.gate.weight, self.k)
        return mixture(self, tokens, probs.gather(-1, idx).to(x.dtype), idx).reshape(x.shape)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__weighs_what_goes_in(MoELayer):
    """The tokens were multiplied by the weights before the expert. An expert is not linear: weigh
    what comes out of it."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        weights, idx, _ = topk_router(tokens, self.gate.weight, self.k)
        y = torch.zeros_like(tokens)
        for i, expert in enumerate(self.experts):
            token, choice = (idx == i).nonzero(as_tuple=True)
            y = y.index_add(0, token, expert(weights[token, choice, None] * tokens[token]))
        return y.reshape(x.shape)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__keeps_the_last_expert_only(MoELayer):
    """`y[token] = ...` overwrote what an earlier expert had written for the same token. The outputs
    of a token's experts are added up."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        weights, idx, _ = topk_router(tokens, self.gate.weight, self.k)
        y = torch.zeros_like(tokens)
        for i, expert in enumerate(self.experts):
            token, choice = (idx == i).nonzero(as_tuple=True)
            y[token] = weights[token, choice, None] * expert(tokens[token])
        return y.reshape(x.shape)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__adds_the_input(MoELayer):
    """The input was added to the result. The residual connection belongs to the block around this
    layer."""

    def forward(self, x):
        return x + super().forward(x)


@wrong(
    caught_by=[
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
    ]
)
class MoELayer__cuts_the_weights_from_the_graph(MoELayer):
    """The router ran without a gradient (`no_grad`, `.detach()`), so that the gate never learns.
    Only the choice has no gradient, the weights do."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        weights, idx, _ = topk_router(tokens, self.gate.weight, self.k)
        return mixture(self, tokens, weights.detach(), idx).reshape(x.shape)


@wrong(caught_by=["keeps_the_dtype"])
class MoELayer__adds_up_in_float32(MoELayer):
    """The results were added up in a new `torch.zeros(...)`, which is float32 and on the CPU,
    whatever `x` is. `zeros_like` makes it like `x`."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        weights, idx, _ = topk_router(tokens, self.gate.weight, self.k)
        y = torch.zeros(tokens.shape)
        for i, expert in enumerate(self.experts):
            token, choice = (idx == i).nonzero(as_tuple=True)
            y[token] += weights[token, choice, None] * expert(tokens[token])
        return y.reshape(x.shape)


@wrong(crashes=["two_tokens_by_hand", "any_leading_axes_are_tokens"])
class MoELayer__expects_three_axes(MoELayer):
    """`batch, seq, d_model = x.shape` allows two axes before the last one, no more and no fewer:
    flatten however many there are."""

    def forward(self, x):
        batch, seq, d_model = x.shape
        return super().forward(x.reshape(batch * seq, d_model)).reshape(batch, seq, d_model)


@wrong(
    caught_by=[
        "two_tokens_by_hand",
        "each_expert_starts_with_its_own_weights",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__shares_one_expert(MoELayer):
    """All experts are the same network: `[SwiGLU(...)] * n_experts` repeats one object. Make a new
    one for each."""

    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__(d_model, d_ff, n_experts, k)
        self.experts = nn.ModuleList([SwiGLU(d_model, d_ff)] * n_experts)


@wrong(caught_by=["each_expert_starts_with_its_own_weights"])
class MoELayer__starts_all_experts_alike(MoELayer):
    """All experts start with the same weights (`deepcopy`). Experts that are equal learn the same
    things: draw the weights of each one anew."""

    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__(d_model, d_ff, n_experts, k)
        self.experts = nn.ModuleList(deepcopy(self.experts[0]) for _ in range(n_experts))


class Rectified(SwiGLU):
    """An expert that ends with a ReLU."""

    def forward(self, x):
        return super().forward(x).relu()


@wrong(
    caught_by=[
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ]
)
class MoELayer__has_experts_without_negative_outputs(MoELayer):
    """The experts end with a ReLU, so that they can only add to the residual stream, and never take
    anything away. A `SwiGLU` ends with its way down, `w2`."""

    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__(d_model, d_ff, n_experts, k)
        self.experts = nn.ModuleList(Rectified(d_model, d_ff) for _ in range(n_experts))


@wrong(
    caught_by=["gate_and_experts_have_their_names"],
    crashes=[
        "two_tokens_by_hand",
        "agrees_with_mixtral",
        "gradient_of_the_input_agrees_with_mixtral",
        "gradient_of_each_weight_agrees_with_mixtral",
        "moving_a_token_moves_its_output",
        "an_expert_that_nobody_chose_has_no_influence",
        "any_leading_axes_are_tokens",
        "keeps_the_dtype",
    ],
)
class MoELayer__has_a_gate_with_a_bias(MoELayer):
    """The gate has a bias. Its only parameter is the weight."""

    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__(d_model, d_ff, n_experts, k)
        self.gate = nn.Linear(d_model, n_experts)


@wrong(caught_by=["impossible_k_is_refused"])
class MoELayer__accepts_any_k(MoELayer):
    """`k` was not checked when the layer was made, only later, when it is used."""

    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__(d_model, d_ff, n_experts, 1)
        self.k = k
