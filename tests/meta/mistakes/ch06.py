"""Mistakes of chapter 6, written a second time."""

import math

import torch
from torch import nn

from solutions.ch02_layers.ex09_swiglu import SwiGLU
from solutions.ch06_moe.ex01_topk_router import topk_router
from tests.meta.mistakes import same_as


@same_as("6.1", "topk_router__takes_the_softmax_over_the_chosen")
def topk_router__masks_the_others(x, weight, k):
    if k < 1 or k > weight.shape[0]:
        raise ValueError("k is out of range")
    logits = torch.nn.functional.linear(x, weight)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    best, idx = torch.topk(logits, k)
    sparse = torch.full_like(logits, float("-inf")).scatter(-1, idx, best)
    probs = torch.nn.functional.softmax(sparse, dim=-1)
    return torch.gather(probs, -1, idx).to(x.dtype), idx, probs


@same_as("6.2", "MoELayer__keeps_the_last_expert_only")
class MoELayer__with_masks(nn.Module):
    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__()
        if k < 1 or k > n_experts:
            raise ValueError("k is out of range")
        self.k = k
        self.gate = nn.Linear(d_model, n_experts, bias=False)
        self.experts = nn.ModuleList([SwiGLU(d_model, d_ff) for _ in range(n_experts)])

    def forward(self, x):
        flat = x.flatten(0, -2) if x.dim() > 1 else x.unsqueeze(0)
        weights, idx, _ = topk_router(flat, self.gate.weight, self.k)
        out = torch.zeros_like(flat)
        for e in range(len(self.experts)):
            mask = (idx == e).any(dim=-1)
            if mask.any():
                share = (weights * (idx == e)).sum(dim=-1, keepdim=True)[mask]
                out[mask] = share * self.experts[e](flat[mask])
        return out.view(x.shape)


@same_as("6.2", "MoELayer__lets_every_expert_compute_everything")
class MoELayer__stacks_all_outputs(nn.Module):
    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__()
        if not 0 < k <= n_experts:
            raise ValueError("k is out of range")
        self.k = k
        self.gate = nn.Linear(d_model, n_experts, bias=False)
        self.experts = nn.ModuleList([SwiGLU(d_model, d_ff) for _ in range(n_experts)])

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        weights, idx, _ = topk_router(flat, self.gate.weight, self.k)
        outputs = torch.stack([expert(flat) for expert in self.experts], dim=1)
        gates = weights.new_zeros(len(flat), len(self.experts)).scatter(1, idx, weights)
        return torch.einsum("te,ted->td", gates, outputs).reshape(x.shape)


@same_as("6.3", "load_balancing_loss__counts_per_token")
def load_balancing_loss__of_an_expert_mask(probs, idx, n_experts):
    if probs.shape[0] == 0:
        return probs.sum()
    mask = torch.zeros_like(probs).scatter(1, idx, 1.0)
    tokens_per_expert = mask.mean(dim=0)
    router_prob_per_expert = probs.mean(dim=0)
    return n_experts * torch.dot(tokens_per_expert, router_prob_per_expert)


@same_as("6.4", "capacity_dispatch__serves_token_by_token")
def capacity_dispatch__counts_with_one_hot(idx, n_experts, capacity):
    one_hot = torch.nn.functional.one_hot(idx, n_experts)
    position = torch.cumsum(one_hot.view(-1, n_experts), dim=0).view_as(one_hot) - 1
    slot = position.gather(-1, idx.unsqueeze(-1)).squeeze(-1)
    return slot < capacity, slot


@same_as("6.4", "expert_capacity__rounds_the_share_first")
def expert_capacity__per_expert(n_tokens, n_experts, k, capacity_factor):
    if not capacity_factor > 0:
        raise ValueError("capacity_factor must be positive")
    tokens_per_expert = -(-n_tokens * k // n_experts)
    return math.ceil(capacity_factor * tokens_per_expert)


@same_as("6.5", "moe_accounting__gives_each_query_head_its_own_keys")
def moe_accounting__adds_up_a_block(config):
    if config.num_experts_per_tok < 1 or config.num_experts_per_tok > config.num_local_experts:
        raise ValueError("bad number of experts")
    hidden, blocks = config.hidden_size, config.num_hidden_layers
    q_k_v_o = [hidden**2] * 4
    router = hidden * config.num_local_experts
    one_expert = sum(hidden * config.intermediate_size for _ in ("w1", "w2", "w3"))
    embedding = config.vocab_size * hidden
    tables = embedding if config.tie_word_embeddings else 2 * embedding

    def parameters(experts):
        block = sum(q_k_v_o) + router + experts * one_expert + 2 * hidden
        return tables + blocks * block + hidden

    matrices = blocks * (sum(q_k_v_o) + router + config.num_experts_per_tok * one_expert)
    return {
        "total": parameters(config.num_local_experts),
        "active": parameters(config.num_experts_per_tok),
        "flops_per_token": 2 * (matrices + embedding),
    }


@same_as("6.6", "grouped_dispatch__loses_the_way_back")
def grouped_dispatch__joins_and_reshapes(x, idx, weights, experts):
    tokens, k = idx.shape
    if idx.numel() == 0:
        return torch.zeros_like(x)
    if idx.min() < 0 or idx.max() >= len(experts):
        raise ValueError("no such expert")
    order = torch.sort(idx.reshape(-1), stable=True).indices
    rows = x.repeat_interleave(k, dim=0)[order]
    sizes = torch.bincount(idx.reshape(-1), minlength=len(experts)).tolist()
    done = [experts[i](g) for i, g in enumerate(torch.split(rows, sizes)) if g.shape[0] > 0]
    y = torch.cat(done) * weights.reshape(-1)[order].unsqueeze(1)
    return y.view(tokens, k, -1).sum(dim=1).to(x.dtype)


@same_as("6.7", "sigmoid_gate__weighs_with_the_bias")
def sigmoid_gate__takes_the_values_of_topk(x, weight, bias, k, scale=1.0):
    if k <= 0 or k > weight.size(0):
        raise ValueError("k is out of range")
    precise = torch.float64 if x.dtype == torch.float64 else torch.float32
    scores = (x.to(precise) @ weight.to(precise).t()).sigmoid() + bias
    values, idx = scores.topk(k)
    values = values / (values.sum(dim=-1, keepdim=True) + 1e-20)
    return (values * scale).to(x.dtype), idx


@same_as("6.7", "update_gate_bias__takes_the_mean_of_the_chosen")
def update_gate_bias__with_unique(bias, idx, rate):
    chosen, counts = torch.unique(idx, return_counts=True)
    mean = counts.float().mean()
    load = torch.zeros_like(bias)
    load[chosen] = counts.to(load.dtype)
    return bias + torch.where(load < mean, rate, 0.0) - torch.where(load > mean, rate, 0.0)
