"""Mistakes of chapter 4, written a second time."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.meta.mistakes import same_as


@same_as("4.1", "GPT2Block__uses_the_exact_gelu")
class GPT2Block__of_torch_layers(nn.Module):
    def __init__(self, d_model, n_heads, dropout=0.0, eps=1e-5):
        super().__init__()
        self.ln_1 = nn.LayerNorm(d_model, eps=eps)
        self.attn = nn.ModuleDict(
            {"c_attn": nn.Linear(d_model, 3 * d_model), "c_proj": nn.Linear(d_model, d_model)}
        )
        self.ln_2 = nn.LayerNorm(d_model, eps=eps)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(d_model, 4 * d_model), "c_proj": nn.Linear(4 * d_model, d_model)}
        )
        self.n_heads, self.drop = n_heads, nn.Dropout(dropout)

    def attend(self, x):
        b, t, c = x.shape
        qkv = self.attn["c_attn"](x).view(b, t, 3, self.n_heads, c // self.n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.attn["c_proj"](y.transpose(1, 2).reshape(b, t, c))

    def forward(self, x):
        x = x + self.drop(self.attend(self.ln_1(x)))
        hidden = F.gelu(self.mlp["c_fc"](self.ln_2(x)))
        return x + self.drop(self.mlp["c_proj"](hidden))


@same_as("4.2", "GPT2Model__has_an_untied_head")
class GPT2Model__ties_by_value(nn.Module):
    def __init__(self, config):
        super().__init__()
        from dataclasses import astuple

        self.config = config
        vocab_size, n_positions, width, n_layer, n_head, dropout, eps = astuple(config)
        self.wte = nn.Embedding(vocab_size, width)
        self.wpe = nn.Embedding(n_positions, width)
        self.drop = nn.Dropout(dropout)
        self.h = nn.ModuleList([GPT2Block(width, n_head, dropout, eps) for _ in range(n_layer)])
        self.ln_f = nn.LayerNorm(width, eps=eps)
        self.lm_head = nn.Linear(width, vocab_size, bias=False)
        init_gpt2_weights_(self, n_layer)
        with torch.no_grad():
            self.lm_head.weight.copy_(self.wte.weight)

    def forward(self, ids):
        batch, seq = ids.shape
        if seq > self.config.n_positions:
            raise ValueError("the text is too long")
        positions = torch.arange(seq, device=ids.device).expand(batch, seq)
        x = self.drop(self.wte(ids) + self.wpe(positions))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


@same_as("4.3", "load_gpt2_state_dict__leaves_square_weights")
def load_gpt2_state_dict__turns_what_does_not_fit(model, hf_state_dict):
    weights = {}
    for name, tensor in hf_state_dict.items():
        name = name.replace("transformer.", "")
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        weights[name] = tensor
    parameters = dict(model.named_parameters())
    errors = []
    if "lm_head.weight" in weights:
        head = weights.pop("lm_head.weight")
        if "wte.weight" in weights and not torch.equal(head, weights["wte.weight"]):
            errors.append("lm_head.weight")
    for name in set(weights) ^ set(parameters):
        errors.append(name)
    for name, parameter in parameters.items():
        if name not in weights:
            continue
        is_projection = name.endswith("weight") and (".attn." in name or ".mlp." in name)
        if is_projection and weights[name].shape != parameter.shape:
            weights[name] = weights[name].transpose(0, -1)
        if weights[name].shape != parameter.shape:
            errors.append(name)
    if errors:
        raise ValueError("cannot load " + ", ".join(errors))
    for name, parameter in parameters.items():
        parameter.data.copy_(weights[name])


@same_as("4.4", "LlamaBlock__adds_to_the_normalised_input")
class LlamaBlock__renames_x(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = CachedAttention(
            config.hidden_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.rope_theta,
        )
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size)

    def forward(self, x, cache=None, mask=None):
        hidden = self.input_layernorm(x)
        hidden = hidden + self.self_attn(hidden, cache=cache, mask=mask)
        residual = hidden
        hidden = self.post_attention_layernorm(hidden)
        return residual + self.mlp(hidden)


@same_as("4.5", "BertEncoderLayer__normalises_what_goes_in")
class BertEncoderLayer__before_each_branch(nn.Module):
    def __init__(self, d_model, n_heads, d_ff, eps=1e-12):
        super().__init__()
        self.self_attn = CrossAttention(d_model, n_heads)
        self.self_attn_layer_norm = nn.LayerNorm(d_model, eps=eps)
        self.fc1, self.fc2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.final_layer_norm = nn.LayerNorm(d_model, eps=eps)

    def forward(self, x, attention_mask=None):
        import torch

        if attention_mask is not None:
            attention_mask = attention_mask == 1
        residual = x
        x = self.self_attn_layer_norm(x)
        x = residual + self.self_attn(x, x, attention_mask)
        residual = x
        x = self.final_layer_norm(x)
        x = self.fc1(x)
        x = x * 0.5 * (1 + torch.erf(x / 2**0.5))
        return residual + self.fc2(x)


@same_as("4.6", "shift_right__leaves_ignored_labels")
def shift_right__with_pad(labels, start_id, pad_id):
    import torch.nn.functional as F

    return F.pad(labels, (1, 0), value=start_id)[:, :-1]


@same_as("4.7", "inspect_model__compares_values")
def inspect_model__with_torch_equal(model):
    stacks = find_stacks(model)
    n_heads, has_cross = [], False
    for stack in stacks:
        found = [head_count(m) for m in stack[0].modules() if head_count(m) is not None]
        n_heads.append(found[0])
        has_cross = has_cross or len(found) == 2
    kind = "encoder-decoder"
    if len(stacks) == 1:
        kind = "decoder" if is_causal(model) else "encoder"
    embedding = next(m for m in model.modules() if isinstance(m, nn.Embedding)).weight
    tied = False
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and layer.weight.shape == embedding.shape:
            tied = tied or torch.equal(layer.weight, embedding)
    norm = None
    for layer in stacks[0].modules():
        sizes = [p.dim() for p in layer.parameters(recurse=False)]
        if norm is None and sizes and max(sizes) == 1:
            norm = "rms_norm" if len(sizes) == 1 else "layer_norm"
    result = {"kind": kind, "n_layer": [len(stack) for stack in stacks], "n_head": n_heads}
    result |= {"d_model": embedding.shape[1], "norm": norm, "has_cross": has_cross, "tied": tied}
    return result | find_positions(model)


@same_as("4.8", "count_parameters__counts_a_tied_head_twice")
def count_parameters__module_by_module(model):
    counts = dict.fromkeys([*COMPONENTS, "total"], 0)
    for path, module in model.named_modules():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            full = f"{path}.{name}" if path else name
            for part in reversed(full.split(".")):
                owner = [c for c, parts in COMPONENTS.items() if part in parts]
                if owner:
                    break
            else:
                raise ValueError(f"{full} belongs to no component")
            counts[owner[0]] += parameter.numel()
            counts["total"] += parameter.numel()
    return counts


@same_as("4.9", "load_llama_state_dict__swaps_gate_and_up")
def load_llama_state_dict__with_a_table_of_names(model, hf_state_dict, interleaved=False):
    config = model.config
    names = {"embed_tokens.weight": "model.embed_tokens.weight", "norm.weight": "model.norm.weight"}
    same = ("input_layernorm", "post_attention_layernorm")
    same += tuple(f"self_attn.{p}_proj" for p in "qkvo")
    for i in range(config.num_hidden_layers):
        for part in same:
            names[f"layers.{i}.{part}.weight"] = f"model.layers.{i}.{part}.weight"
        for ours, theirs in zip(("w1", "w2", "w3"), ("up", "down", "gate"), strict=True):
            names[f"layers.{i}.mlp.{ours}.weight"] = f"model.layers.{i}.mlp.{theirs}_proj.weight"
    if not config.tie_word_embeddings:
        names["lm_head.weight"] = "lm_head.weight"
    problems = []
    parameters = dict(model.named_parameters())
    for ours, theirs in names.items():
        if theirs not in hf_state_dict or hf_state_dict[theirs].shape != parameters[ours].shape:
            problems.append(theirs)
    for name, tensor in hf_state_dict.items():
        if name.endswith(".rotary_emb.inv_freq") or name in names.values():
            continue
        if name == "lm_head.weight":
            table = hf_state_dict.get("model.embed_tokens.weight", tensor)
            if torch.equal(tensor, table):
                continue
        problems.append(name)
    if problems:
        raise ValueError(f"these tensors do not fit: {problems}")
    for ours, theirs in names.items():
        weight = hf_state_dict[theirs]
        if interleaved and "q_proj" in ours:
            weight = half_rotated_rows(weight, config.num_attention_heads)
        if interleaved and "k_proj" in ours:
            weight = half_rotated_rows(weight, config.num_key_value_heads)
        parameters[ours].data.copy_(weight)


@same_as("4.10", "influence__adds_a_constant")
def influence__with_one_added(forward, *inputs, which=0):
    was_training = (
        [(m, m.training) for m in forward.modules()] if hasattr(forward, "modules") else []
    )
    if was_training:
        forward.eval()
    try:
        with torch.no_grad():
            first, second = forward(*inputs), forward(*inputs)
            if (first != second).any():
                raise ValueError("the outputs are random")
            result = []
            for j in range(inputs[which].size(1)):
                bump = torch.zeros_like(inputs[which])
                bump[:, j, :] = 1
                new = [x + bump if i == which else x for i, x in enumerate(inputs)]
                moved = (forward(*new) - first).abs().amax(dim=(0, 2))
                result.append(moved > 1e-5)
            return torch.stack(result).T
    finally:
        for module, mode in was_training:
            module.training = mode
