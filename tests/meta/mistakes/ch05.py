"""Mistakes of chapter 5, written a second time."""

import torch
from torch import nn

from solutions.ch05_decoding.ex09_sample_next import process_logits, sample_next
from solutions.ch05_decoding.ex10_generate import GREEDY
from tests.meta.mistakes import same_as


@same_as("5.1", "next_token_topk__shares_among_the_k")
def next_token_topk__slices_before_the_softmax(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    scores, ids = torch.sort(logits[:, -1, :], dim=-1, descending=True)
    scores, ids = scores[:, :k], ids[:, :k]
    weights = torch.exp(scores - scores[:, :1])
    return weights / weights.sum(dim=1, keepdim=True), ids


@same_as("5.2", "apply_temperature__divides_by_almost_zero")
def apply_temperature__with_an_epsilon(logits, temperature):
    if temperature < 0 or temperature != temperature or temperature == float("inf"):
        raise ValueError("bad temperature")
    epsilon = 1e-6
    return logits * (1.0 / max(temperature, epsilon))


@same_as("5.3", "top_k_filter__cuts_ties")
def top_k_filter__marks_what_topk_gives(logits, k):
    if k <= 0:
        raise ValueError("k must be positive")
    k = min(k, logits.size(-1))
    values, indices = logits.topk(k, dim=-1)
    return torch.full_like(logits, -torch.inf).scatter_(-1, indices, values)


@same_as("5.4", "top_p_filter__drops_the_crossing_token")
def top_p_filter__row_by_row(logits, p, min_keep=1):
    if not 0 < p <= 1 or min_keep <= 0:
        raise ValueError("p or min_keep is out of range")
    if p == 1:
        return logits
    filtered = torch.full_like(logits, float("-inf"))
    flat = filtered.view(-1, logits.shape[-1])
    for i, row in enumerate(logits.reshape(-1, logits.shape[-1])):
        probs = torch.softmax(row.float(), dim=0)
        kept, total = [], 0.0
        for token in torch.argsort(row, descending=True).tolist():
            total += probs[token].item()
            if total > p and len(kept) >= min_keep:
                break
            kept.append(token)
        flat[i, kept] = row[kept]
    return filtered


@same_as("5.4", "top_p_filter__unsorts_the_wrong_way")
def top_p_filter__gathers_twice(logits, p, min_keep=1):
    if not (0 < p <= 1) or min_keep < 1:
        raise ValueError("p or min_keep is out of range")
    if p == 1:
        return logits.clone()
    order = torch.argsort(logits, dim=-1, descending=True)
    ranked = torch.gather(logits, -1, order)
    sums = torch.cumsum(torch.softmax(ranked.float(), dim=-1), dim=-1)
    keep = torch.ones_like(ranked, dtype=torch.bool)
    keep[..., 1:] = sums[..., :-1] < p
    keep[..., :min_keep] = True
    return torch.where(keep.take_along_dim(order, dim=-1), logits, -torch.inf)


@same_as("5.5", "min_p_filter__takes_min_p_as_the_bar")
def min_p_filter__in_log_space(logits, min_p, min_keep=1):
    import math

    if not 0 <= min_p <= 1 or min_keep < 1:
        raise ValueError("min_p or min_keep is out of range")
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    bar = math.log(min_p) if min_p > 0 else -math.inf
    ranks = logits.argsort(dim=-1, descending=True).argsort(dim=-1)
    return torch.where((log_probs >= bar) | (ranks < min_keep), logits, float("-inf"))


@same_as("5.6", "typical_filter__keeps_nothing_near_nan")
def typical_filter__with_einsum(logits, mass, min_keep=1):
    if mass <= 0 or mass > 1 or min_keep < 1:
        raise ValueError("mass or min_keep is out of range")
    if mass == 1:
        return logits.clone()
    probs = torch.softmax(logits.float(), dim=-1)
    surprise = -torch.log(probs)
    entropy = torch.einsum("...v,...v->...", probs, surprise)
    distance = torch.abs(surprise - entropy.unsqueeze(-1))
    ranked, order = torch.sort(distance, dim=-1)
    sums = torch.cumsum(probs.take_along_dim(order, dim=-1), dim=-1)
    last = torch.argmax((sums >= mass).int(), dim=-1, keepdim=True)
    last = last.clamp(min=min(min_keep, logits.shape[-1]) - 1)
    limit = ranked.take_along_dim(last, dim=-1)
    return logits.where(distance <= limit, torch.tensor(-torch.inf, dtype=logits.dtype))


@same_as("5.7", "repetition_penalty__divides_negative_logits")
def repetition_penalty__gathers_and_scatters(logits, ids, penalty):
    if penalty <= 0:
        raise ValueError("penalty must be positive")
    scores = torch.gather(logits, -1, ids) / penalty
    return logits.scatter(-1, ids, scores)


@same_as("5.7", "frequency_presence_penalty__presence_per_occurrence")
def frequency_presence_penalty__with_one_hot(logits, ids, frequency=0.0, presence=0.0):
    one_hot = torch.nn.functional.one_hot(ids, logits.shape[-1]).float()
    penalty = (one_hot * (frequency + presence)).sum(dim=-2)
    return (logits.float() - penalty).to(logits.dtype)


@same_as("5.8", "banned_tokens__takes_all_for_the_last_none")
def banned_tokens__with_a_dictionary(ids, n):
    if n <= 0:
        raise ValueError("n must be positive")
    followers = {}
    for gram in zip(*[ids[i:] for i in range(n)], strict=False):
        followers.setdefault(tuple(gram[:-1]), set()).add(gram[-1])
    return followers.get(tuple(ids[-(n - 1) :]), set())


@same_as("5.9", "sample_next__draws_from_raw_logits")
def sample_next__processes_for_argmax_only(logits, config, generator=None, ids=None):
    logits = logits.float()
    processed = process_logits(logits, ids, config)
    if config.temperature == 0:
        return processed.argmax(dim=-1)
    place = logits.device if generator is None else generator.device
    sums = logits.softmax(dim=-1).cumsum(dim=-1).to(place)
    draws = torch.rand(len(logits), 1, generator=generator, device=place) * sums[:, -1:]
    return torch.searchsorted(sums, draws, right=True).squeeze(1).to(logits.device)


@same_as("5.10", "generate__lets_ended_rows_go_on")
def generate__with_a_list_of_columns(
    model,
    ids,
    max_new_tokens,
    config=GREEDY,
    *,
    eos_id=None,
    pad_id=None,
    min_new_tokens=0,
    stop=(),
    decode=None,
    context=None,
    generator=None,
    return_prompt=False,
):
    fill = pad_id if pad_id is not None else eos_id
    if ids.shape[1] == 0 or not 0 <= min_new_tokens <= max_new_tokens:
        raise ValueError("bad prompt or bad number of tokens")
    if context is not None and context < 1:
        raise ValueError("bad context")
    if stop and (decode is None or (fill is None and ids.shape[0] > 1)):
        raise ValueError("stop strings need decode, and rows need something to be filled with")
    was_training = getattr(model, "training", False)
    if was_training:
        model.eval()
    columns, done = [], [False] * ids.size(0)
    try:
        for step in range(max_new_tokens):
            text = torch.cat([ids, *columns], dim=1).long()
            window = text[:, -context:] if context else text
            with torch.no_grad():
                logits = model(window)[:, -1, :].clone()
            if eos_id is not None and step < min_new_tokens:
                logits[:, eos_id] = float("-inf")
            columns.append(sample_next(logits, config, generator, text).unsqueeze(1))
            for i, row in enumerate(torch.cat(columns, dim=1).tolist()):
                done[i] = done[i] or row[-1] == eos_id or any(s in decode(row) for s in stop)
            if all(done):
                break
    finally:
        if was_training:
            model.train()
    start = [ids] if return_prompt else [ids[:, :0]]
    return torch.cat(start + columns, dim=1).long()


@same_as("5.12", "generate_batch__counts_the_padding")
def generate_batch__builds_rows_by_hand(
    model,
    prompts,
    max_new_tokens,
    config=GREEDY,
    *,
    pad_id,
    eos_id=None,
    generator=None,
    device=None,
):
    if max_new_tokens < 0 or any(len(prompt) == 0 for prompt in prompts):
        raise ValueError("bad arguments")
    new = [[] for _ in prompts]
    done = [False] * len(prompts)
    was_training = isinstance(model, nn.Module) and model.training
    if was_training:
        model.eval()
    try:
        for _ in range(max_new_tokens):
            if all(done):
                break
            texts = [prompt + more for prompt, more in zip(prompts, new, strict=True)]
            width = max(map(len, texts))
            ids = torch.full((len(texts), width), pad_id, device=device)
            mask = torch.zeros_like(ids)
            for i, text in enumerate(texts):
                ids[i, width - len(text) :] = torch.tensor(text, device=device)
                mask[i, width - len(text) :] = 1
            positions = torch.arange(width, device=device).repeat(len(texts), 1)
            with torch.no_grad():
                logits = model(ids, mask, positions)[:, -1]
            for i, text in enumerate(texts):
                if done[i]:
                    continue
                so_far = torch.tensor([text], device=logits.device)
                token = sample_next(logits[i : i + 1], config, generator, so_far).item()
                new[i].append(token)
                done[i] = token == eos_id
    finally:
        if was_training:
            model.train()
    return new


@same_as("5.13", "beam_search__compares_unequal_lengths")
def beam_search__with_a_heap(
    log_prob_fn, start, beams, max_new_tokens, eos_id=None, length_penalty=1.0
):
    import heapq

    if len(start) == 0 or beams < 1 or max_new_tokens < 1:
        raise ValueError("bad arguments")
    alive, done = [(0.0, [])], []
    for step in range(1, max_new_tokens + 1):
        rows = log_prob_fn(torch.tensor([list(start) + new for _, new in alive])).tolist()
        candidates = [
            (total + log_p, [*new, token])
            for (total, new), row in zip(alive, rows, strict=True)
            for token, log_p in enumerate(row)
            if log_p != float("-inf")
        ]
        candidates.sort(key=lambda pair: pair[0], reverse=True)
        for total, new in candidates[:beams]:
            if new[-1] == eos_id or step == max_new_tokens:
                done.append((total, new))
        done = heapq.nlargest(beams, done, key=lambda pair: pair[0])
        alive = [pair for pair in candidates if pair[1][-1] != eos_id][:beams]
        if not alive or (len(done) == beams and alive[0][0] <= done[-1][0]):
            break
    return [(new, total / len(new) ** length_penalty) for total, new in done]


@same_as("5.14", "speculative_decode__resamples_from_the_target")
def speculative_decode__with_a_loop(target_probs, draft_probs, draft, generator):
    if len(draft_probs) != len(draft) or len(target_probs) != len(draft) + 1:
        raise ValueError("the rows do not fit the draft")
    where = generator.device
    target, other = target_probs.float().to(where), draft_probs.float().to(where)
    result = []
    for i, token in enumerate(draft.tolist()):
        r = torch.rand(1, generator=generator, device=where).item()
        if other[i, token] * r >= target[i, token]:
            break
        result.append(token)
    result.append(torch.multinomial(target[len(result)], 1, generator=generator).item())
    return torch.tensor(result, device=draft.device)


@same_as("5.15", "stream_text__shows_half_characters")
def stream_text__remembers_the_text(ids, decode, stop=()):
    if any(not word for word in stop):
        raise ValueError("empty stop string")
    so_far, printed = [], ""
    for token in ids:
        so_far.append(token)
        text = decode(so_far)
        ends = [text.index(word) for word in stop if word in text]
        if ends:
            if text[len(printed) : min(ends)]:
                yield text[len(printed) : min(ends)]
            return
        safe = len(text)
        for word in stop:
            for n in range(1, len(word)):
                if text.endswith(word[:n]):
                    safe = min(safe, len(text) - n)
        if safe > len(printed):
            yield text[len(printed) : safe]
            printed = text[:safe]
    if so_far and decode(so_far)[len(printed) :]:
        yield decode(so_far)[len(printed) :]


@same_as("5.11", "generate_cached__looks_back_at_the_last_token")
def generate_cached__with_its_own_loop(
    model,
    ids,
    max_new_tokens,
    config=GREEDY,
    *,
    eos_id=None,
    pad_id=None,
    min_new_tokens=0,
    context=None,
    generator=None,
    return_prompt=False,
):
    from .ex09_sample_next import sample_next

    if ids.shape[1] == 0 or not 0 <= min_new_tokens <= max_new_tokens:
        raise ValueError("bad arguments")
    if context is not None and (context < 1 or ids.shape[1] + max_new_tokens > context):
        raise ValueError("the text does not fit into the context")
    pad_id = eos_id if pad_id is None else pad_id
    was_training = getattr(model, "training", False)
    if was_training:
        model.eval()
    try:
        caches = model.new_caches(ids.shape[1] + max_new_tokens)
        feed, out = ids.long(), []
        alive = torch.ones(ids.shape[0], dtype=torch.bool, device=ids.device)
        while len(out) < max_new_tokens and alive.any():
            with torch.no_grad():
                scores = model(feed, caches)[:, -1].clone()
            if eos_id is not None and len(out) < min_new_tokens:
                scores[:, eos_id] = float("-inf")
            token = sample_next(scores, config, generator, feed)
            if pad_id is not None:
                token = torch.where(alive, token, pad_id)
            if eos_id is not None:
                alive = alive & (token != eos_id)
            out.append(token)
            feed = token[:, None]
    finally:
        if was_training:
            model.train()
    new = torch.stack(out, dim=1) if out else ids[:, :0].long()
    return torch.cat([ids.long(), new], dim=1) if return_prompt else new
