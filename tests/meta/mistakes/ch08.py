"""Mistakes of chapter 8, written a second time."""

import torch
from torch import nn

from solutions.ch05_decoding.ex10_generate import GREEDY, generate
from solutions.ch08_tuning.ex01_chat_template import ROLES
from solutions.ch08_tuning.ex06_lora import LoRALinear
from tests.meta.mistakes import same_as


@same_as("8.1", "apply_chat_template__joins_with_line_breaks")
def apply_chat_template__joins_lines(messages, add_generation_prompt=False):
    if len(messages) == 0:
        raise ValueError("no messages")
    lines = []
    for number, message in enumerate(messages):
        if message["role"] not in ROLES or (message["role"] == "system" and number > 0):
            raise ValueError(f"unexpected role {message['role']}")
        lines.append("<|im_start|>" + message["role"])
        lines.append(message["content"] + "<|im_end|>")
    if add_generation_prompt:
        lines += ["<|im_start|>assistant", ""]
    return "\n".join(lines)


@same_as("8.2", "build_sft_example__keeps_all_when_there_is_no_room")
def build_sft_example__counts_from_the_end(prompt, response, encode, eos_id, max_len=None):
    if isinstance(prompt, str):
        prompt = encode(prompt)
    target = [*encode(response), eos_id]
    if max_len is not None and len(target) > max_len:
        raise ValueError("the response does not fit")
    if max_len is not None and len(prompt) + len(target) > max_len:
        prompt = prompt[-(max_len - len(target)) :]
    ids = list(prompt) + target
    labels = [-100 if i < len(prompt) else token for i, token in enumerate(ids)]
    return ids, labels


@same_as("8.3", "sft_collate__masks_the_end")
def sft_collate__with_pad_sequence(examples, pad_id):
    if not examples or any(len(ids) != len(labels) for ids, labels in examples):
        raise ValueError("bad examples")
    pad = torch.nn.utils.rnn.pad_sequence
    input_ids = pad([torch.tensor(e[0]) for e in examples], True, pad_id)
    labels = pad([torch.tensor(e[1]) for e in examples], True, pad_id)
    lengths = torch.tensor([len(e[0]) for e in examples])
    mask = (torch.arange(input_ids.size(1)) < lengths[:, None]).long()
    labels = torch.where(labels == pad_id, -100, labels)
    return {"input_ids": input_ids, "labels": labels, "attention_mask": mask}


@same_as("8.4", "sft_loss__does_not_shift")
def sft_loss__of_all_positions(model, batch):
    logits = model(batch["input_ids"])
    if logits.dtype != torch.float64:
        logits = logits.float()
    return nn.functional.cross_entropy(logits.permute(0, 2, 1), batch["labels"], ignore_index=-100)


@same_as("8.4", "sft_step__never_clips")
def sft_step__clips_too_late(model, optimizer, batch, max_norm=None):
    if bool((batch["labels"][:, 1:] == -100).all()):
        raise ValueError("no labels")
    for parameter in model.parameters():
        parameter.grad = None
    logits = model(batch["input_ids"])[:, :-1].float()
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten())
    loss.backward()
    optimizer.step()
    if max_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return float(loss)


@same_as("8.5", "pack_sequences__counts_positions_through")
def pack_sequences__with_arange(docs, context, pad_id):
    if context < 1:
        raise ValueError("context must be positive")
    pieces = []
    for doc in docs:
        pieces += [doc[i : i + context] for i in range(0, len(doc), context)]
    rows = []
    for piece in pieces:
        if rows and sum(map(len, rows[-1])) + len(piece) <= context:
            rows[-1].append(piece)
        else:
            rows.append([piece])
    ids = torch.full((len(rows), context), pad_id, dtype=torch.long)
    labels = torch.full((len(rows), context), -100, dtype=torch.long)
    mask = torch.zeros(len(rows), 1, context, context, dtype=torch.bool)
    for r, row in enumerate(rows):
        start = 0
        for piece in row:
            end = start + len(piece)
            ids[r, start:end] = torch.tensor(piece)
            labels[r, start + 1 : end] = torch.tensor(piece[1:])
            mask[r, 0, start:end, start:end] = True
            start = end
        mask[r, 0, start:, start:] = True
    return {
        "input_ids": ids,
        "labels": labels,
        "position_ids": torch.arange(context).repeat(len(rows), 1),
        "doc_mask": torch.tril(mask),
    }


@same_as("8.6", "LoRALinear__multiplies_by_alpha")
class LoRALinear__with_functional_linear(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        if r <= 0:
            raise ValueError("rank must be positive")
        self.linear, self.alpha = linear, alpha
        for p in linear.parameters():
            p.requires_grad = False
        like = {"dtype": linear.weight.dtype, "device": linear.weight.device}
        limit = 1 / linear.in_features**0.5
        self.A = nn.Parameter((torch.rand(r, linear.in_features, **like) * 2 - 1) * limit)
        self.B = nn.Parameter(torch.zeros(linear.out_features, r, **like))

    def forward(self, x):
        low = nn.functional.linear(x, self.A)
        return self.linear(x) + nn.functional.linear(low, self.B) * self.alpha

    def merge(self):
        old = self.linear
        new = nn.Linear(old.in_features, old.out_features, bias=old.bias is not None)
        new = new.to(old.weight)
        with torch.no_grad():
            new.weight.copy_(old.weight + self.alpha * self.B.matmul(self.A))
            if old.bias is not None:
                new.bias.copy_(old.bias)
        return new


@same_as("8.6", "add_lora__leaves_the_others_learning")
def add_lora__one_layer_at_a_time(model, names, r, alpha):
    targets = []
    for name in names:
        found = [n for n, _ in model.named_modules() if n == name or n.endswith("." + name)]
        if not found:
            raise ValueError(f"nothing is called {name}")
        for full in found:
            if not isinstance(model.get_submodule(full), nn.Linear):
                raise ValueError(f"{full} is not linear")
        targets.extend(full for full in found if full not in targets)
    for full in targets:
        *path, last = full.split(".")
        parent = model
        for part in path:
            parent = getattr(parent, part)
        setattr(parent, last, LoRALinear(getattr(parent, last), r=r, alpha=alpha))
    return model


@same_as("8.7", "sequence_logprobs__does_not_shift_the_mask")
def sequence_logprobs__with_cross_entropy(model, ids, mask):
    if mask.shape != ids.shape:
        raise ValueError("shapes differ")
    logits = model(ids)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none"
    )
    return -torch.where(mask[:, :-1] > 0, losses, 0).sum(dim=1)


@same_as("8.8", "dpo_loss__takes_the_log_of_a_sigmoid")
def dpo_loss__as_the_paper_writes_it(
    policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta
):
    tensors = [policy_chosen, policy_rejected, ref_chosen, ref_rejected]
    if any(t.shape != policy_chosen.shape for t in tensors):
        raise ValueError("shapes")
    if not beta > 0:
        raise ValueError("beta")
    if policy_chosen.dtype != torch.float64:
        tensors = [t.float() for t in tensors]
    with torch.no_grad():
        reference = tensors[2] - tensors[3]
    policy = tensors[0] - tensors[1]
    preferred = torch.sigmoid(beta * (policy - reference))
    return -torch.log(preferred).mean()


@same_as("8.9", "group_advantages__is_biased")
def group_advantages__by_hand(rewards, eps=1e-4):
    size = rewards.shape[-1]
    if size < 2:
        raise ValueError("too small a group")
    if rewards.dtype != torch.float64:
        rewards = rewards.float()
    mean = rewards.sum(-1, keepdim=True) / size
    squares = ((rewards - mean) ** 2).sum(-1, keepdim=True) / size
    return (rewards - mean) / (torch.sqrt(squares) + eps)


@same_as("8.9", "clipped_policy_loss__averages_each_response")
def clipped_policy_loss__as_in_the_first_paper(logprobs, old_logprobs, advantages, eps, mask):
    if logprobs.shape != old_logprobs.shape or logprobs.shape != mask.shape:
        raise ValueError("shapes differ")
    if advantages.shape != (logprobs.shape[0],) or eps <= 0 or eps >= 1:
        raise ValueError("bad advantages or eps")
    if logprobs.dtype != torch.float64:
        logprobs, old_logprobs = logprobs.float(), old_logprobs.float()
        advantages = advantages.float()
    mask = mask.bool()
    difference = torch.where(mask, logprobs - old_logprobs.detach(), 0.0)
    ratio = torch.exp(difference)
    a = advantages.detach().unsqueeze(1).expand_as(ratio)
    gain = torch.min(ratio * a, torch.clamp(ratio, 1 - eps, 1 + eps) * a)
    per_response = torch.where(mask, gain, 0.0).sum(1) / mask.sum(1)
    return -per_response.mean()


@same_as("8.10", "completion_vs_chat__cuts_off_what_the_prompt_decodes_to")
def completion_vs_chat__decodes_all(prompts, base, chat, max_new_tokens=60, config=GREEDY, seed=0):
    if chat.template is None:
        raise ValueError("needs a template")

    def continued(side, ids):
        start = torch.tensor([ids], device=side.device)
        new = generate(
            side.model,
            start,
            max_new_tokens,
            config,
            eos_id=side.end_id,
            context=side.context,
            generator=torch.Generator().manual_seed(seed),
        )
        new = [token for token in new[0].tolist() if token != side.end_id]
        return side.decode(ids + new)[len(side.decode(ids)) :]

    result = []
    for prompt in prompts:
        message = {"role": "user", "content": prompt}
        asked = chat.template([message], add_generation_prompt=True)
        result.append(
            {
                "prompt": prompt,
                "completion": continued(base, base.encode(prompt)),
                "chat": continued(chat, asked),
            }
        )
    return result
