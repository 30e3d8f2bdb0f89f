"""Mistakes of chapter 2, written a second time."""

import math

import torch
from torch import nn

from solutions.ch02_layers.ex01_linear import Linear
from solutions.ch02_layers.ex04_log_softmax import log_softmax
from solutions.ch02_layers.ex10_dropout import Dropout
from tests.meta.mistakes import same_as


@same_as("2.1", "Linear__stores_the_weight_transposed")
class Linear__with_einsum(nn.Module):
    def __init__(self, d_in, d_out, bias=True):
        import math

        super().__init__()
        limit = 1 / math.sqrt(d_in)
        self.weight = nn.Parameter((2 * torch.rand(d_in, d_out) - 1) * limit)
        if bias:
            self.bias = nn.Parameter((2 * torch.rand(d_out) - 1) * limit)
        else:
            self.register_parameter("bias", None)

    def forward(self, x):
        out = torch.einsum("...i,io->...o", x, self.weight)
        if self.bias is not None:
            out = out + self.bias
        return out


@same_as("2.2", "Embedding__negative_ids_wrap")
class Embedding__checks_the_upper_end(nn.Module):
    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.vocab_size = vocab_size
        self.weight = nn.Parameter(torch.empty(vocab_size, d_model))
        nn.init.normal_(self.weight)

    def forward(self, ids):
        if (ids >= self.vocab_size).any():
            raise IndexError("id out of range")
        return self.weight[ids, :]


@same_as("2.3", "softmax__shifts_by_the_global_maximum")
def softmax__with_max(x, dim):
    weights = torch.exp(x - torch.max(x))
    return weights.div(weights.sum(dim=dim, keepdim=True))


@same_as("2.3", "softmax__overflows_in_the_logarithm")
def softmax__through_the_logarithm(x, dim):
    log_total = torch.log(torch.sum(torch.exp(x), dim=dim, keepdim=True))
    return torch.exp(x - log_total)


@same_as("2.4", "log_softmax__takes_the_log_of_softmax")
def log_softmax__of_torchs_softmax(x, dim):
    return torch.nn.functional.softmax(x, dim=dim).log()


@same_as("2.5", "cross_entropy__averages_over_all_rows")
def cross_entropy__in_a_loop(logits, targets, ignore_index=-100):
    log_probs = log_softmax(logits, dim=-1)
    total = torch.zeros((), dtype=logits.dtype, device=logits.device)
    for row, target in zip(log_probs, targets.tolist(), strict=True):
        if target == ignore_index:
            continue
        if target < 0 or target >= logits.size(1):
            raise IndexError(f"target {target} is out of range")
        total = total - row[target]
    return total / len(targets)


@same_as("2.5", "cross_entropy__applies_softmax_twice")
def cross_entropy__of_probabilities(logits, targets, ignore_index=-100):
    probabilities = torch.nn.functional.softmax(logits, dim=1)
    return torch.nn.functional.cross_entropy(probabilities, targets, ignore_index=ignore_index)


@same_as("2.6", "LayerNorm__divides_by_n_minus_1")
class LayerNorm__with_std_mean(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.eps = eps

    def forward(self, x):
        dtype = x.dtype
        if dtype in (torch.float16, torch.bfloat16):
            x = x.float()
        std, mean = torch.std_mean(x, dim=-1, keepdim=True)
        y = (x - mean) / torch.sqrt(std**2 + self.eps)
        return (y * self.weight + self.bias).to(dtype)


@same_as("2.7", "RMSNorm__divides_by_the_length")
class RMSNorm__with_vector_norm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x):
        y = x.double()
        length = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
        return (y / torch.sqrt(length**2 + self.eps)).to(x.dtype) * self.weight


@same_as("2.8", "gelu__forgets_the_root_in_erf")
def gelu__with_erfc(x, approximate="none"):
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate={approximate} is not known")
    if approximate == "none":
        return x * torch.erfc(-x) / 2
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))
    return 0.5 * x * (1 + torch.tanh(inner))


@same_as("2.9", "SwiGLU__activates_the_other_branch")
class SwiGLU__writes_silu_out(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.w3 = Linear(d_model, d_ff, bias=False)
        self.w1 = Linear(d_model, d_ff, bias=False)
        self.w2 = Linear(d_ff, d_model, bias=False)

    def forward(self, x):
        up = self.w3(x)
        return self.w2(up * up.sigmoid() * self.w1(x))


@same_as("2.10", "Dropout__keeps_with_probability_p")
class Dropout__with_bernoulli(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError("p must be between 0 and 1")
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        if self.p == 1:
            return torch.zeros_like(x) * x
        mask = torch.bernoulli(torch.full_like(x, self.p))
        return x * mask / (1 - self.p)


@same_as("2.11", "GPT2MLP__uses_the_exact_gelu")
class GPT2MLP__with_torchs_gelu(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.c_fc = Linear(d_model, d_ff)
        self.act = nn.GELU()
        self.c_proj = Linear(d_ff, d_model)
        self.drop = Dropout(dropout)

    def forward(self, x):
        for layer in (self.c_fc, self.act, self.c_proj, self.drop):
            x = layer(x)
        return x


@same_as("2.12", "init_gpt2_weights___counts_one_residual_per_block")
def init_gpt2_weights___with_nn_init(model, n_layer, std=0.02):
    if n_layer <= 0:
        raise ValueError(f"n_layer is {n_layer}")
    for name, p in model.named_parameters():
        last = name.rsplit(".", 1)[-1]
        if p.ndim > 1:
            is_proj = name == "c_proj.weight" or name.endswith(".c_proj.weight")
            nn.init.normal_(p, mean=0.0, std=std * n_layer**-0.5 if is_proj else std)
        elif p.ndim == 1 and last == "bias":
            nn.init.zeros_(p)
        elif p.ndim == 1 and last == "weight":
            nn.init.ones_(p)


@same_as("2.13", "sinusoidal_positions__forgets_the_two")
def sinusoidal_positions__with_slices(n_positions, d_model, base=10_000.0, device=None):
    import math

    pos = torch.arange(n_positions, dtype=torch.float32, device=device).unsqueeze(1)
    i = torch.arange((d_model + 1) // 2, dtype=torch.float32, device=device)
    angles = pos * torch.exp(-math.log(base) * i / d_model)
    table = torch.zeros(n_positions, d_model, device=device)
    table[:, 0::2] = torch.sin(angles)
    table[:, 1::2] = torch.cos(angles[:, : d_model // 2])
    return table
