"""Mistakes of chapter 7, written a second time."""

import math

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from solutions.ch07_training.ex03_evaluate_perplexity import evaluate_perplexity
from solutions.ch07_training.ex07_clip_grad_norm import clip_grad_norm
from solutions.ch07_training.ex15_muon import COEFFICIENTS, newton_schulz
from tests.meta.mistakes import same_as


@same_as("7.1", "get_batch__never_draws_the_last_window")
def get_batch__slices_in_a_loop(data, batch_size, context, device="cpu", generator=None):
    if data.numel() <= context:
        raise ValueError("data too short")
    inputs, targets = [], []
    for _ in range(batch_size):
        i = torch.randint(0, data.numel() - context - 1, (1,), generator=generator).item()
        inputs.append(data[i : i + context])
        targets.append(data[i + 1 : i + 1 + context])
    return torch.stack(inputs).long().to(device), torch.stack(targets).long().to(device)


@same_as("7.2", "lm_loss__shifts_across_rows")
def lm_loss__of_one_long_text(logits, ids):
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    vocab = logits.size(-1)
    predictions = logits.reshape(-1, vocab)[:-1]
    targets = ids.reshape(-1)[1:]
    return F.nll_loss(torch.log_softmax(predictions, dim=1), targets, ignore_index=-100)


@same_as("7.3", "evaluate_perplexity__averages_the_means")
def evaluate_perplexity__with_a_list_of_losses(model, batches, device=None):
    was_training = getattr(model, "training", False)
    if was_training:
        model.eval()
    losses = []
    try:
        with torch.inference_mode():
            for x, y in batches:
                if device is not None:
                    x, y = x.to(device), y.to(device)
                if (y != -100).any():
                    losses.append(F.cross_entropy(model(x).float().transpose(1, 2), y).double())
    finally:
        if was_training:
            model.train()
    if not losses:
        raise ValueError("no targets")
    return torch.stack(losses).mean().exp().item()


@same_as("7.4", "AdamW__adds_the_decay_to_the_gradient")
class AdamW__as_in_the_adam_paper(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        if lr < 0 or eps < 0 or weight_decay < 0:
            raise ValueError("lr, eps and weight_decay must be >= 0")
        if min(betas) < 0 or max(betas) >= 1:
            raise ValueError("betas must be in [0, 1)")
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                b1, b2 = group["betas"]
                for p in filter(lambda p: p.grad is not None, group["params"]):
                    g = p.grad.add(p, alpha=group["weight_decay"])
                    s = self.state[p]
                    s["t"] = s.get("t", 0) + 1
                    s["m"] = b1 * s.get("m", torch.zeros_like(p)) + (1 - b1) * g
                    s["v"] = b2 * s.get("v", torch.zeros_like(p)) + (1 - b2) * g**2
                    m_hat = s["m"] / (1 - b1 ** s["t"])
                    v_hat = s["v"] / (1 - b2 ** s["t"])
                    p -= group["lr"] * m_hat / (v_hat.sqrt() + group["eps"])


@same_as("7.5", "param_groups__spares_what_is_called_bias")
def param_groups__in_one_loop(model, weight_decay):
    decay, no_decay = [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.split(".")[-1] == "bias":
            no_decay.append(parameter)
        else:
            decay.append(parameter)
    return [
        {"params": decay, "weight_decay": weight_decay},
        {"params": no_decay, "weight_decay": 0.0},
    ]


@same_as("7.6", "lr_schedule__starts_at_zero")
def lr_schedule__as_a_factor(step, warmup, total, max_lr, min_lr=0.0):
    if step < 0 or warmup < 0 or warmup > total:
        raise ValueError("bad step or warmup")
    if step < warmup:
        return step / warmup * max_lr
    if step > total or warmup == total:
        return min_lr
    angle = math.pi * (step - warmup) / (total - warmup)
    factor = 0.5 * (math.cos(angle) + 1.0)
    return factor * max_lr + (1.0 - factor) * min_lr


@same_as("7.7", "clip_grad_norm__clips_each_parameter")
def clip_grad_norm__in_one_loop(parameters, max_norm):
    if max_norm < 0:
        raise ValueError("max_norm < 0")
    total = torch.zeros(())
    for p in parameters:
        if p.grad is None:
            continue
        size = torch.linalg.vector_norm(p.grad)
        total = total.to(size) + size**2
        p.grad *= torch.clamp(max_norm / (size + 1e-6), max=1.0)
    return total.sqrt()


@same_as("7.8", "accumulate_step__averages_the_means")
def accumulate_step__as_in_most_tutorials(model, optimizer, micro_batches, max_norm=None):
    if all((y == -100).all() for _, y in micro_batches):
        raise ValueError("nothing to learn")
    n = len(micro_batches)
    total = 0.0
    optimizer.zero_grad()
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).transpose(1, 2), y) / n
        loss.backward()
        total += loss.item()
    if max_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total


@same_as("7.9", "load_checkpoint__overlooks_settings_of_the_file")
def load_checkpoint__goes_through_this_run(
    path, *, model, optimizer=None, generator=None, config=None
):
    saved = torch.load(path, map_location="cpu", weights_only=True)
    problems = []
    for key, value in (config or {}).items():
        if key not in saved["config"]:
            problems.append(f"{key}: missing in the checkpoint, now {value}")
        elif saved["config"][key] != value:
            problems.append(f"{key}: was {saved['config'][key]}, now {value}")
    if problems:
        raise ValueError("; ".join(problems))
    model.load_state_dict(saved["model"])
    if optimizer is not None:
        optimizer.load_state_dict(saved["optimizer"])
    if generator is not None and saved["generator"] is not None:
        generator.set_state(saved["generator"])
    torch.set_rng_state(saved["random"]["cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["random"]["cuda"])
    return saved["step"], saved["history"]


@same_as("7.10", "validation_loss__drops_the_last_window")
def validation_loss__in_steps_of_the_context(model, held_out, config):
    tokens = held_out[: config.eval_tokens]
    size = config.context
    windows = []
    for start in range(0, len(tokens) - size, size):
        chunk = tokens[start : start + size + 1]
        windows.append((chunk[:-1].unsqueeze(0), chunk[1:].unsqueeze(0)))
    return math.log(evaluate_perplexity(model, windows, config.device))


@same_as("7.11", "autocast_step__clips_scaled_gradients")
def autocast_step__with_two_branches(
    model, optimizer, batch, max_norm=None, dtype=torch.bfloat16, scaler=None
):
    inputs, targets = batch
    with torch.autocast(device_type=inputs.device.type, dtype=dtype):
        logits = model(inputs)
    loss = F.cross_entropy(logits.float().permute(0, 2, 1), targets)
    optimizer.zero_grad()
    if scaler is None:
        loss.backward()
    else:
        scaler.scale(loss).backward()
    if max_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
    return loss.detach()


@same_as("7.13", "data_parallel_step__averages_the_means")
def data_parallel_step__as_ddp_does(model, optimizer, batch, max_norm=None):
    x, y = batch
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    mine = (y != -100).sum()
    everywhere = mine.clone()
    if ranks > 1:
        dist.all_reduce(everywhere)
    if everywhere == 0:
        raise ValueError("no tokens at all")
    optimizer.zero_grad(set_to_none=True)
    logits = model(x)
    loss = F.cross_entropy(logits.transpose(1, 2), y, reduction="sum") / mine.clamp(min=1)
    loss.backward()
    mean = loss.detach().clone()
    for p in model.parameters():
        if p.requires_grad:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            if ranks > 1:
                dist.all_reduce(p.grad)
                p.grad /= ranks
    if ranks > 1:
        dist.all_reduce(mean)
    if max_norm is not None:
        clip_grad_norm(model.parameters(), max_norm)
    optimizer.step()
    return (mean / ranks).item()


@same_as("7.15", "newton_schulz__squares_the_entries")
def newton_schulz__with_pow(G, steps=5):
    a, b, c = COEFFICIENTS
    if G.size(0) > G.size(1):
        return newton_schulz(G.T, steps).T
    X = G / (torch.linalg.norm(G) + 1e-7)
    for _ in range(steps):
        gram = X.mm(X.t())
        X = a * X + b * gram.mm(X) + c * gram.pow(2).mm(X)
    return X
