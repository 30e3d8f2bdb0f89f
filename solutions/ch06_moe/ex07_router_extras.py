"""6.7 DeepSeek's router   [hard, ~45 min]

Three additions to the plain router that large models rely on. The z-loss keeps the logits small,
where a softmax in low precision is exact. A shared expert sees every token, so that the others
need not all learn the same. And DeepSeek-V3 balances its experts without a loss that disturbs
learning: a bias moves the choice towards experts that are idle, and does nothing else. Builds on
`SwiGLU` (2.9) and `grouped_dispatch` (6.6).

Source: Zoph et al. (2022), ST-MoE, https://arxiv.org/abs/2202.08906, equation 5; DeepSeek-AI
(2024), DeepSeek-V3 Technical Report, https://arxiv.org/abs/2412.19437, section 2.1.2 (with a
single group of experts); Wang et al. (2024), https://arxiv.org/abs/2408.15664, algorithm 1.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..ch02_layers.ex09_swiglu import SwiGLU
from .ex06_grouped_dispatch import grouped_dispatch


def router_z_loss(logits: Float[Tensor, "tokens experts"]) -> Float[Tensor, ""]:
    """Return the mean over tokens of the squared logarithm of the sum of exp(logits).

    Finite for logits of any size; computed and returned in float32 if `logits` is float16 or
    bfloat16. Gradients flow to `logits`, which is not modified.

    >>> router_z_loss(torch.tensor([[0.0, 0.0], [3.0, -100.0]]))  # log(2) and 3
    tensor(4.7402)
    """
    # solution
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.logsumexp(-1).square().mean()


def sigmoid_gate(
    x: Float[Tensor, "tokens d_model"],
    weight: Float[Tensor, "experts d_model"],
    bias: Float[Tensor, "experts"],
    k: int,
    scale: float = 1.0,
) -> tuple[Float[Tensor, "tokens k"], Int[Tensor, "tokens k"]]:
    """Choose `k` different experts for each token: return (weights, idx), in any order within rows.

    The score of an expert for a token is the sigmoid of the dot product of its row of `weight` with
    the token. `idx` names the experts with the largest score + bias. Their `weights` are their
    scores, without the bias, divided by their sum over the chosen ones and multiplied by `scale`.
    Add 1e-20 to the sum, so that scores of 0 give weights of 0.

    Scores are computed in float32 if `x` is float16 or bfloat16; `weights` has the dtype of `x`.
    Gradients flow through `weights` to `x` and to `weight`. No input is modified.

    Raises:
        ValueError: `k` is less than 1 or greater than the number of experts.

    >>> x, weight = torch.tensor([[1.0]]), torch.tensor([[0.0], [1.0986], [-1.0986]])
    >>> sigmoid_gate(x, weight, torch.zeros(3), k=2)  # the scores are 1/2, 3/4 and 1/4
    (tensor([[0.6000, 0.4000]]), tensor([[1, 0]]))
    """
    # solution
    if not 1 <= k <= len(weight):
        raise ValueError(f"k must be from 1 to the number of experts, {len(weight)}, got {k}")
    dtype = torch.promote_types(x.dtype, torch.float32)
    scores = torch.sigmoid(x.to(dtype) @ weight.to(dtype).T)  # (tokens, experts)
    idx = (scores + bias).topk(k, dim=-1).indices
    chosen = scores.gather(-1, idx)  # (tokens, k)
    return (scale * chosen / (chosen.sum(-1, keepdim=True) + 1e-20)).to(x.dtype), idx


def update_gate_bias(
    bias: Float[Tensor, "experts"], idx: Int[Tensor, "tokens k"], rate: float
) -> Float[Tensor, "experts"]:
    """Return the bias for the next step, given the choices `idx` of this one.

    The load of an expert is how often it stands in `idx`. An expert with less than the mean load of
    all experts gets `rate` more, one with more than the mean gets `rate` less, however large the
    difference; at exactly the mean nothing changes. `bias` is not modified.

    >>> update_gate_bias(torch.zeros(3), torch.tensor([[0, 1], [0, 2], [0, 1]]), rate=0.25)
    tensor([-0.2500,  0.0000,  0.2500])
    """
    # solution
    load = torch.bincount(idx.flatten(), minlength=len(bias)).to(bias.dtype)
    return bias + rate * (load.mean() - load).sign()


class SharedExpertMoE(nn.Module):
    """DeepSeek-V3's layer: `k` of `n_experts` experts chosen by `sigmoid_gate`, and a shared one.

    Parts:
        gate: `nn.Linear` without bias; its weight, (n_experts, d_model), is the router's.
        gate_bias: a buffer of `n_experts` zeros, saved with the parameters but not trained.
        experts: `nn.ModuleList` of `n_experts` networks `SwiGLU(d_model, d_ff)`.
        shared_expert: `SwiGLU(d_model, n_shared * d_ff)`, as wide as `n_shared` experts.

    >>> layer = SharedExpertMoE(d_model=4, d_ff=6, n_experts=8, k=2, n_shared=2)
    >>> layer.gate_bias.shape, layer.shared_expert.w1.weight.shape
    (torch.Size([8]), torch.Size([12, 4]))
    """

    def __init__(
        self, d_model: int, d_ff: int, n_experts: int, k: int, n_shared: int = 1, scale: float = 1.0
    ) -> None:
        super().__init__()
        # solution
        self.k, self.scale = k, scale
        self.gate = nn.Linear(d_model, n_experts, bias=False)
        self.register_buffer("gate_bias", torch.zeros(n_experts))
        self.experts = nn.ModuleList(SwiGLU(d_model, d_ff) for _ in range(n_experts))
        self.shared_expert = SwiGLU(d_model, n_shared * d_ff)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Add what the shared expert makes of each token to the weighted sum of its chosen ones.

        The shared expert has weight 1 whatever `scale` is. `gate_bias` stays as it is: whoever
        trains the layer sets it with `update_gate_bias` after each step.
        """
        # solution
        tokens = x.reshape(-1, x.shape[-1])  # (tokens, d_model)
        weights, idx = sigmoid_gate(tokens, self.gate.weight, self.gate_bias, self.k, self.scale)
        routed = grouped_dispatch(tokens, idx, weights, self.experts)
        return self.shared_expert(x) + routed.view(x.shape)
