import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch02_layers.ex09_swiglu import SwiGLU
from solutions.ch06_moe.ex06_grouped_dispatch import grouped_dispatch
from solutions.ch06_moe.ex07_router_extras import (
    SharedExpertMoE,
    router_z_loss,
    sigmoid_gate,
    update_gate_bias,
)

Z_LOSS = [
    "gradient_of_the_z_loss_agrees",
    "z_loss_agrees_with_its_formula",
    "z_loss_by_hand",
    "z_loss_of_bfloat16_is_float32",
]
LEARNING = ["gradient_of_the_input_agrees_with_deepseek", "layer_learns_as_deepseek_does"]
LAYER = ["layer_agrees_with_deepseek", *LEARNING]
GATE = [
    "bias_chooses_but_does_not_weigh",
    "gate_agrees_with_its_formula",
    "gate_keeps_the_dtype",
    "gradient_of_the_gate_agrees",
    *LAYER,
]


def scores_of(x, weight):
    dtype = torch.promote_types(x.dtype, torch.float32)
    return torch.sigmoid(x.to(dtype) @ weight.to(dtype).T)


def weigh(x, chosen, idx, scale):
    return (scale * chosen / (chosen.sum(-1, keepdim=True) + 1e-20)).to(x.dtype), idx


def check(weight, k):
    if not 1 <= k <= len(weight):
        raise ValueError(f"k must be from 1 to {len(weight)}, got {k}")


# ------------------------------------------------------------------------------------ z-loss


@wrong(caught_by=Z_LOSS)
def router_z_loss__forgets_the_square(logits):
    """The logarithms were averaged without being squared, so that the loss could be made as small
    as one likes, with logits that are more and more negative."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.logsumexp(-1).mean()


@wrong(caught_by=Z_LOSS)
def router_z_loss__squares_the_mean(logits):
    """The mean was squared. Square the logarithm of each token first: otherwise large and small
    ones cancel."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.logsumexp(-1).mean().square()


@wrong(caught_by=Z_LOSS)
def router_z_loss__sums_over_tokens(logits):
    """The squares were added up instead of averaged, so that a longer batch would count more."""
    return router_z_loss(logits) * len(logits)


@wrong(caught_by=["z_loss_agrees_with_its_formula"])
def router_z_loss__overflows(logits):
    """exp of a large logit is infinite: torch.logsumexp takes the largest one out first."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.exp().sum(-1).log().square().mean()


@wrong(caught_by=Z_LOSS)
def router_z_loss__sums_over_the_tokens_of_an_expert(logits):
    """The sum of the exponentials was taken over tokens. It belongs to one token: over experts."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.logsumexp(0).square().mean()


@wrong(caught_by=["z_loss_of_bfloat16_is_float32"])
def router_z_loss__stays_in_bfloat16(logits):
    """The loss was computed in the dtype of the logits. bfloat16 has three digits: go to float32
    first."""
    return logits.logsumexp(-1).square().mean()


@wrong(caught_by=Z_LOSS)
def router_z_loss__punishes_each_logit(logits):
    """The logits themselves were squared. The z-loss is about the logarithm of the sum of their
    exponentials, the denominator of the softmax."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.square().mean()


@wrong(caught_by=["gradient_of_the_z_loss_agrees"])
def router_z_loss__is_cut_from_the_graph(logits):
    """The loss has no gradient (`.detach()`, `.item()`, no_grad), so that it changes nothing."""
    return router_z_loss(logits.detach()) + 0 * logits.sum()


# ------------------------------------------------------------------------------------ the gate


@wrong(caught_by=[*GATE, "huge_logits_give_finite_weights"])
def sigmoid_gate__weighs_with_the_bias(x, weight, bias, k, scale=1.0):
    """The bias leaked into the weights. It decides who is chosen; the weights come from the scores
    without it."""
    check(weight, k)
    chosen, idx = (scores_of(x, weight) + bias).topk(k, dim=-1)
    return weigh(x, chosen, idx, scale)


@wrong(caught_by=[*GATE, "huge_logits_give_finite_weights"])
def sigmoid_gate__ignores_the_bias(x, weight, bias, k, scale=1.0):
    """The experts with the largest scores were chosen, whatever the bias."""
    return sigmoid_gate(x, weight, torch.zeros_like(bias), k, scale)


@wrong(caught_by=[*GATE, "huge_logits_give_finite_weights"])
def sigmoid_gate__adds_the_bias_to_the_logits(x, weight, bias, k, scale=1.0):
    """The bias was added before the sigmoid. It is added to the scores."""
    check(weight, k)
    scores = scores_of(x, weight)
    idx = (scores.logit() + bias).topk(k, dim=-1).indices
    return weigh(x, scores.gather(-1, idx), idx, scale)


@wrong(caught_by=[*GATE, "huge_logits_give_finite_weights", "layer_keeps_the_dtype"])
def sigmoid_gate__takes_a_softmax(x, weight, bias, k, scale=1.0):
    """The scores are a softmax over the experts. Here each expert has a score of its own, a
    sigmoid, and they do not compete before the choice."""
    check(weight, k)
    dtype = torch.promote_types(x.dtype, torch.float32)
    scores = (x.to(dtype) @ weight.to(dtype).T).softmax(-1)
    idx = (scores + bias).topk(k, dim=-1).indices
    return weigh(x, scores.gather(-1, idx), idx, scale)


@wrong(caught_by=[*GATE, "huge_logits_give_finite_weights", "layer_keeps_the_dtype"])
def sigmoid_gate__does_not_normalise(x, weight, bias, k, scale=1.0):
    """The scores of the chosen experts were not divided by their sum."""
    check(weight, k)
    scores = scores_of(x, weight)
    idx = (scores + bias).topk(k, dim=-1).indices
    return (scale * scores.gather(-1, idx)).to(x.dtype), idx


@wrong(caught_by=[*GATE, "huge_logits_give_finite_weights", "layer_keeps_the_dtype"])
def sigmoid_gate__normalises_over_all_experts(x, weight, bias, k, scale=1.0):
    """The scores were divided by the sum over all experts. The chosen ones share the weight."""
    check(weight, k)
    scores = scores_of(x, weight)
    idx = (scores + bias).topk(k, dim=-1).indices
    shares = scores / (scores.sum(-1, keepdim=True) + 1e-20)
    return (scale * shares.gather(-1, idx)).to(x.dtype), idx


@wrong(
    caught_by=[
        *LAYER,
        "bias_chooses_but_does_not_weigh",
        "gate_agrees_with_its_formula",
        "layer_keeps_the_dtype",
    ]
)
def sigmoid_gate__forgets_the_scale(x, weight, bias, k, scale=1.0):
    """The weights of a token sum to 1. They sum to `scale`: multiply after the division, which
    would take it out again."""
    return sigmoid_gate(x, weight, bias, k)


@wrong(caught_by=["huge_logits_give_finite_weights"])
def sigmoid_gate__divides_by_zero(x, weight, bias, k, scale=1.0):
    """Where all chosen scores are 0, 0 / 0 is NaN. A tiny number in the denominator prevents it."""
    check(weight, k)
    scores = scores_of(x, weight)
    idx = (scores + bias).topk(k, dim=-1).indices
    chosen = scores.gather(-1, idx)
    return (scale * chosen / chosen.sum(-1, keepdim=True)).to(x.dtype), idx


@wrong(
    caught_by=[
        "gate_agrees_with_its_formula",
        "gate_keeps_the_dtype",
        "gradient_of_the_gate_agrees",
        "gradient_of_the_input_agrees_with_deepseek",
        "layer_agrees_with_deepseek",
        "layer_keeps_the_dtype",
        "layer_learns_as_deepseek_does",
    ]
)
def sigmoid_gate__routes_all_by_the_first_token(x, weight, bias, k, scale=1.0):
    """All tokens went to the experts of the first one. Each row has its own choice."""
    check(weight, k)
    scores = scores_of(x, weight)
    idx = (scores + bias)[:1].topk(k, dim=-1).indices.expand(len(x), k)
    return weigh(x, scores.gather(-1, idx), idx, scale)


@wrong(caught_by=[*LEARNING, "gradient_of_the_gate_agrees"])
def sigmoid_gate__detaches_the_weights(x, weight, bias, k, scale=1.0):
    """The weights were cut from the graph. They are all that the router learns from."""
    weights, idx = sigmoid_gate(x, weight, bias, k, scale)
    return weights.detach() + 0 * (x.sum() + weight.sum()), idx


@wrong(caught_by=["gate_keeps_the_dtype"])
def sigmoid_gate__returns_float32(x, weight, bias, k, scale=1.0):
    """The weights are float32 whatever `x` is. Compute in float32, and return the dtype of `x`."""
    check(weight, k)
    scores = torch.sigmoid(x.float() @ weight.float().T)
    idx = (scores + bias).topk(k, dim=-1).indices
    chosen = scores.gather(-1, idx)
    return scale * chosen / (chosen.sum(-1, keepdim=True) + 1e-20), idx


@wrong(caught_by=["gate_stays_on_the_device_of_its_input"])
def sigmoid_gate__collects_on_the_cpu(x, weight, bias, k, scale=1.0):
    """The weights were put into a new tensor on the CPU, wherever `x` is."""
    weights, idx = sigmoid_gate(x, weight, bias, k, scale)
    result = torch.zeros(weights.shape, dtype=x.dtype)
    result += weights
    return result, idx


@wrong(caught_by=["impossible_k_is_refused"])
def sigmoid_gate__accepts_any_k(x, weight, bias, k, scale=1.0):
    """`k` was cut to what is possible. More experts than there are, or none, is a mistake of the
    caller: raise ValueError."""
    return sigmoid_gate(x, weight, bias, min(max(k, 1), len(weight)), scale)


# -------------------------------------------------------------------------------------- the bias


@wrong(caught_by=["bias_moves_by_the_rate", "updates_balance_a_lopsided_gate"])
def update_gate_bias__helps_the_busy(bias, idx, rate):
    """The sign is the wrong way round: an expert with more than the mean must become less
    attractive."""
    return update_gate_bias(bias, idx, -rate)


@wrong(caught_by=["bias_moves_by_the_rate", "updates_balance_a_lopsided_gate"])
def update_gate_bias__follows_the_size_of_the_difference(bias, idx, rate):
    """The bias moved in proportion to how far the load is from the mean. It moves by `rate`, up or
    down, however far that is."""
    load = torch.bincount(idx.flatten(), minlength=len(bias)).to(bias.dtype)
    return bias + rate * (load.mean() - load)


@wrong(caught_by=["bias_moves_by_the_rate"])
def update_gate_bias__moves_at_the_mean(bias, idx, rate):
    """An expert with exactly the mean load got a new bias. Nothing changes there: `sign` of 0 is
    0."""
    load = torch.bincount(idx.flatten(), minlength=len(bias)).to(bias.dtype)
    return bias + torch.where(load < load.mean(), rate, -rate)


@wrong(caught_by=["bias_moves_by_the_rate"])
def update_gate_bias__leaves_idle_experts_out(bias, idx, rate):
    """Experts that nobody chose were left out, of the mean and of the help, which they need
    most."""
    load = torch.bincount(idx.flatten(), minlength=len(bias)).to(bias.dtype)
    return bias + rate * (load[load > 0].mean() - load).sign() * (load > 0)


@wrong(caught_by=["bias_moves_by_the_rate"])
def update_gate_bias__takes_the_mean_of_the_chosen(bias, idx, rate):
    """The mean load was taken over the experts that somebody chose. It is that of all experts, to
    which one that nobody chose adds 0."""
    load = torch.bincount(idx.flatten(), minlength=len(bias)).to(bias.dtype)
    return bias + rate * (load[load > 0].mean() - load).sign()


@wrong(caught_by=["bias_moves_by_the_rate", "updates_balance_a_lopsided_gate"])
def update_gate_bias__counts_first_choices(bias, idx, rate):
    """Only the first choice of each token was counted. An expert works just as much for those that
    took it second."""
    return update_gate_bias(bias, idx[:, :1], rate)


@wrong(caught_by=["bias_of_the_caller_stays"])
def update_gate_bias__modifies_the_bias(bias, idx, rate):
    """The tensor that was passed was changed (`bias += ...`). Return a new one."""
    bias += update_gate_bias(bias, idx, rate) - bias
    return bias


# ------------------------------------------------------------------------------------- the layer


@wrong(caught_by=[*LAYER, "layer_keeps_the_dtype"])
class SharedExpertMoE__leaves_the_shared_expert_out(SharedExpertMoE):
    """Only the chosen experts were added. The shared one works for every token."""

    def forward(self, x):
        return super().forward(x) - self.shared_expert(x)


@wrong(caught_by=[*LAYER, "layer_keeps_the_dtype"])
class SharedExpertMoE__scales_the_shared_expert(SharedExpertMoE):
    """What the shared expert made was multiplied by `scale` too. It belongs to the chosen ones."""

    def forward(self, x):
        return super().forward(x) + (self.scale - 1) * self.shared_expert(x)


@wrong(caught_by=[*LAYER, "layer_keeps_the_dtype"])
class SharedExpertMoE__feeds_the_shared_expert_the_sum(SharedExpertMoE):
    """The shared expert was given the result of the others. It sees the token itself."""

    def forward(self, x):
        routed = super().forward(x) - self.shared_expert(x)
        return routed + self.shared_expert(routed)


@wrong(
    caught_by=["layer_saves_its_bias_and_does_not_train_it"],
    crashes=[*LAYER, "layer_keeps_the_dtype"],
)
class SharedExpertMoE__has_a_narrow_shared_expert(SharedExpertMoE):
    """The shared expert is as wide as one of the others. It has n_shared * d_ff units."""

    def __init__(self, d_model, d_ff, n_experts, k, n_shared=1, scale=1.0):
        super().__init__(d_model, d_ff, n_experts, k, n_shared, scale)
        self.shared_expert = SwiGLU(d_model, d_ff)


@wrong(caught_by=["layer_saves_its_bias_and_does_not_train_it"])
class SharedExpertMoE__trains_the_bias(SharedExpertMoE):
    """The bias is a parameter, which an optimizer would change (weight decay, at least). Register
    it as a buffer."""

    def __init__(self, d_model, d_ff, n_experts, k, n_shared=1, scale=1.0):
        super().__init__(d_model, d_ff, n_experts, k, n_shared, scale)
        del self.gate_bias
        self.gate_bias = nn.Parameter(torch.zeros(n_experts))


@wrong(
    caught_by=["layer_saves_its_bias_and_does_not_train_it"],
    crashes=[*LAYER, "layer_keeps_the_dtype"],
)
class SharedExpertMoE__does_not_save_the_bias(SharedExpertMoE):
    """The bias is not in the state dict: after loading, the experts would be out of balance. A
    plain attribute, or a buffer with persistent=False, is not saved."""

    def __init__(self, d_model, d_ff, n_experts, k, n_shared=1, scale=1.0):
        super().__init__(d_model, d_ff, n_experts, k, n_shared, scale)
        del self.gate_bias
        self.gate_bias = torch.zeros(n_experts)


@wrong(caught_by=LAYER)
class SharedExpertMoE__passes_no_bias(SharedExpertMoE):
    """The layer has a bias, and its gate does not use it."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        bias = torch.zeros_like(self.gate_bias)
        weights, idx = sigmoid_gate(tokens, self.gate.weight, bias, self.k, self.scale)
        routed = grouped_dispatch(tokens, idx, weights, self.experts)
        return self.shared_expert(x) + routed.view(x.shape)


@wrong(crashes=LAYER)
class SharedExpertMoE__takes_the_rows_of_a_batch_for_tokens(SharedExpertMoE):
    """The axes before the last one were not flattened: every position of `x` is a token, whatever
    its shape."""

    def forward(self, x):
        weights, idx = sigmoid_gate(x, self.gate.weight, self.gate_bias, self.k, self.scale)
        return self.shared_expert(x) + grouped_dispatch(x, idx, weights, self.experts)


@wrong(caught_by=LEARNING)
class SharedExpertMoE__detaches_the_gate(SharedExpertMoE):
    """The gate was computed under no_grad: it never learns whom to choose."""

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        with torch.no_grad():
            weights, idx = sigmoid_gate(
                tokens, self.gate.weight, self.gate_bias, self.k, self.scale
            )
        routed = grouped_dispatch(tokens, idx, weights, self.experts)
        return self.shared_expert(x) + routed.view(x.shape)
