"""Mistakes of chapter 3, written a second time."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.meta.mistakes import same_as


@same_as("3.1", "causal_mask__starts_at_the_first_key")
def causal_mask__as_a_lower_triangle(t_q, t_k=None, offset=None, device=None):
    if t_k is None:
        t_k = t_q + offset if offset else t_q
    if offset is None and t_q > t_k:
        raise ValueError("more queries than keys")
    everything = torch.ones((t_q, t_k), dtype=torch.bool, device=device)
    return torch.tril(everything, diagonal=offset or 0)


@same_as("3.2", "scaled_dot_product_attention__masks_after_the_softmax")
def scaled_dot_product_attention__with_einsum(q, k, v, mask=None):
    similarity = torch.einsum("...qd,...kd->...qk", q, k) / k.size(-1) ** 0.5
    attention = torch.softmax(similarity, dim=-1)
    if mask is not None:
        attention = torch.where(mask, attention, torch.zeros_like(attention))
    return torch.einsum("...qk,...kd->...qd", attention, v)


@same_as("3.3", "split_heads__views_without_a_transpose")
def split_heads__in_one_reshape(x, n_heads):
    *batch, seq, d_model = x.shape
    head_dim, rest = divmod(d_model, n_heads)
    if rest != 0:
        raise ValueError("n_heads must divide d_model")
    return torch.reshape(x, (*batch, n_heads, seq, head_dim))


@same_as("3.4", "MultiHeadAttention__cuts_the_heads_first")
class MultiHeadAttention__of_one_reshape(nn.Module):
    def __init__(self, d_model, n_heads, causal=True):
        super().__init__()
        if d_model % n_heads != 0:
            raise ValueError("d_model must be divisible by n_heads")
        self.heads, self.size, self.causal = n_heads, d_model // n_heads, causal
        self.c_attn = nn.Linear(d_model, d_model * 3)
        self.c_proj = nn.Linear(d_model, d_model)

    def forward(self, x, mask=None):
        import torch
        import torch.nn.functional as F

        b, t, c = x.shape
        qkv = self.c_attn(x).reshape(b, t, self.heads, 3, self.size)
        q, k, v = qkv.permute(3, 0, 2, 1, 4)
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / self.size**0.5
        allowed = torch.ones(t, t, dtype=torch.bool, device=x.device)
        if self.causal:
            allowed = allowed.tril()
        if mask is not None:
            allowed = allowed.logical_and(mask)
        scores = scores.masked_fill(allowed.logical_not(), torch.finfo(scores.dtype).min)
        weights = F.softmax(scores, dim=-1) * allowed
        return self.c_proj((weights @ v).permute(0, 2, 1, 3).reshape(b, t, c))


@same_as("3.5", "CrossAttention__inverts_the_mask")
class CrossAttention__masks_what_is_true(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model % n_heads:
            raise ValueError("the heads do not fit")
        self.n_heads = n_heads
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(d_model, d_model))

    def forward(self, x_q, x_kv, kv_mask=None):
        import torch

        batch, t_q, d_model = x_q.shape
        size = d_model // self.n_heads
        q = self.q_proj(x_q).view(batch, t_q, self.n_heads, size).transpose(1, 2)
        k = self.k_proj(x_kv).view(batch, -1, self.n_heads, size).permute(0, 2, 3, 1)
        v = self.v_proj(x_kv).view(batch, -1, self.n_heads, size).transpose(1, 2)
        scores = q @ k / size**0.5
        if kv_mask is not None:
            scores = scores.masked_fill(kv_mask[:, None, None], float("-inf"))
        weights = torch.nan_to_num(scores.softmax(dim=-1))
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))


@same_as("3.7", "GroupedQueryAttention__repeats_all_heads_in_turn")
class GroupedQueryAttention__by_modulo(nn.Module):
    def __init__(self, d_model, n_heads, n_kv_heads):
        super().__init__()
        if d_model % n_heads or n_heads % n_kv_heads:
            raise ValueError("sizes do not divide")
        self.n_heads, self.n_kv_heads, self.head_dim = n_heads, n_kv_heads, d_model // n_heads
        self.q_proj = nn.Linear(d_model, n_heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(d_model, n_kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(d_model, n_kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(n_heads * self.head_dim, d_model, bias=False)

    def forward(self, x, mask=None):
        import torch

        seq = x.size(1)
        q = self.q_proj(x).split(self.head_dim, dim=-1)
        k = self.k_proj(x).split(self.head_dim, dim=-1)
        v = self.v_proj(x).split(self.head_dim, dim=-1)
        position = torch.arange(seq, device=x.device)
        allowed = (position[None, :] <= position[:, None])[None, None]
        if mask is not None:
            allowed = allowed & mask
        allowed = allowed.expand(x.size(0), self.n_heads, seq, seq)
        heads = []
        for h in range(self.n_heads):
            kv = h % self.n_kv_heads
            scores = q[h] @ k[kv].transpose(1, 2) / self.head_dim**0.5
            scores = scores.masked_fill(~allowed[:, h], -1e9)
            heads.append((torch.softmax(scores, dim=-1) * allowed[:, h]) @ v[kv])
        return self.o_proj(torch.cat(heads, dim=-1))


@same_as("3.8", "apply_rope__turns_the_other_way")
def apply_rope__with_rotate_half(x, cos, sin, interleaved=False):
    cos, sin = cos[..., None, :, :], sin[..., None, :, :]
    half = x.shape[-1] // 2
    if interleaved:
        cos, sin = cos.repeat_interleave(2, dim=-1), sin.repeat_interleave(2, dim=-1)
        turned = torch.stack((x[..., 1::2], -x[..., ::2]), dim=-1).reshape(x.shape)
    else:
        cos, sin = torch.cat((cos, cos), dim=-1), torch.cat((sin, sin), dim=-1)
        turned = torch.cat((x[..., half:], -x[..., :half]), dim=-1)
    return (x * cos + turned * sin).type_as(x)


@same_as("3.9", "sliding_window_mask__sees_one_token_more")
def sliding_window_mask__of_two_triangles(t, window, device=None):
    if window <= 0:
        raise ValueError("window must be positive")
    ones = torch.ones(t, t, device=device)
    return (torch.tril(ones) * torch.triu(ones, diagonal=-window)).bool()


@same_as("3.10", "online_softmax__forgets_to_rescale")
def online_softmax__of_two_passes(blocks):
    kept, biggest, total = [], None, 0.0
    for block in blocks:
        kept.append(block)
        wide = block.float() if block.dtype in (torch.bfloat16, torch.float16) else block
        top = wide.max(dim=-1).values
        biggest = top if biggest is None else torch.where(top > biggest, top, biggest)
        safe = torch.where(biggest.isinf(), torch.zeros_like(biggest), biggest)
        total = total + torch.exp(wide - safe.unsqueeze(-1)).sum(dim=-1)
    if biggest is None:
        raise ValueError("no blocks")
    row = torch.cat(kept, dim=-1)
    divisor = torch.where(total > 0, total, torch.ones_like(total))
    weights = torch.exp(row.to(total.dtype) - safe.unsqueeze(-1)) / divisor.unsqueeze(-1)
    return biggest, total, weights.to(row.dtype)


@same_as("3.11", "flash_attention__forgets_to_rescale_the_output")
def flash_attention__with_a_running_output(q, k, v, block_q, block_k, causal=False):
    t_q, t_k, d = q.size(-2), k.size(-2), q.size(-1)
    if block_q < 1 or block_k < 1:
        raise ValueError("block sizes must be positive")
    if causal and t_k < t_q:
        raise ValueError("too many queries")
    kind = torch.float64 if q.dtype == torch.float64 else torch.float32
    out, logs = [], []
    for q_block, first in zip(q.split(block_q, dim=-2), range(0, t_q, block_q), strict=True):
        rows = torch.arange(first, first + q_block.size(-2), device=q.device) + t_k - t_q
        m = torch.full(q_block.shape[:-1], -torch.inf, dtype=kind, device=q.device)
        s = torch.zeros_like(m)
        o = torch.zeros(*q_block.shape[:-1], v.size(-1), dtype=kind, device=q.device)
        for start in range(0, t_k, block_k):
            if causal and start > first + q_block.size(-2) - 1 + t_k - t_q:
                break
            k_block = k[..., start : start + block_k, :].to(kind)
            v_block = v[..., start : start + block_k, :].to(kind)
            scores = q_block.to(kind) @ k_block.transpose(-1, -2) / d**0.5
            if causal:
                columns = torch.arange(start, start + k_block.size(-2), device=q.device)
                scores = scores.masked_fill(columns[None] > rows[:, None], -torch.inf)
            new = torch.maximum(m, scores.max(dim=-1).values)
            p = torch.exp(scores - new[..., None])
            s = s * torch.exp(m - new) + p.sum(dim=-1)
            o = o + p @ v_block
            m = new
        out.append((o / s[..., None]).to(q.dtype))
        logs.append(m + s.log())
    return torch.cat(out, dim=-2), torch.cat(logs, dim=-1)


@same_as("3.12", "CachedAttention__restarts_the_positions")
class CachedAttention__with_positions_of_the_chunk(nn.Module):
    def __init__(self, d_model, n_heads, n_kv_heads, base=10_000.0):
        super().__init__()
        self.n_heads, self.n_kv_heads, self.size = n_heads, n_kv_heads, d_model // n_heads
        self.base = base
        self.q_proj = nn.Linear(d_model, n_heads * self.size, bias=False)
        self.k_proj = nn.Linear(d_model, n_kv_heads * self.size, bias=False)
        self.v_proj = nn.Linear(d_model, n_kv_heads * self.size, bias=False)
        self.o_proj = nn.Linear(n_heads * self.size, d_model, bias=False)

    def rotate(self, x):
        half = self.size // 2
        speed = self.base ** (-torch.arange(half, device=x.device) / half)
        angle = torch.outer(torch.arange(x.size(2), device=x.device).float(), speed)
        left, right = x[..., :half], x[..., half:]
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)

    def forward(self, x, cache=None, mask=None):
        b, t, _ = x.shape
        q = self.rotate(self.q_proj(x).view(b, t, self.n_heads, self.size).transpose(1, 2))
        k = self.rotate(self.k_proj(x).view(b, t, self.n_kv_heads, self.size).transpose(1, 2))
        v = self.v_proj(x).view(b, t, self.n_kv_heads, self.size).transpose(1, 2)
        if cache is not None:
            k, v = cache.update(k, v)
        group = self.n_heads // self.n_kv_heads
        k = k.repeat_interleave(group, dim=1)
        v = v.repeat_interleave(group, dim=1)
        allowed = torch.ones(t, k.size(2), dtype=torch.bool, device=x.device)
        allowed = allowed.tril(diagonal=k.size(2) - t)
        if mask is not None:
            allowed = allowed & mask
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, -1))
