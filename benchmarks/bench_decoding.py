"""Speed of decoding in chapter 5 next to transformers': `python benchmarks/bench_decoding.py`.

CPU time on one thread, both sides with the same weights, taking turns in one process; first the ids
of both have to agree. A ratio is the median of those of all turns: it says the same on most
machines, the times themselves do not. The models are small, so that what is done around the matrix
products counts, and the larger vocabulary gives most of the time back to the head.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GPT2Config as HFGPT2Config
from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedModel
from transformers import LlamaConfig as HFLlamaConfig

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from timing import cpu_seconds, median_ratio

from kata.tensors import generator, randomise
from solutions.ch03_attention.ex03_split_heads import merge_heads, split_heads
from solutions.ch03_attention.ex12_kv_cache import KVCache
from solutions.ch04_models.ex04_llama_model import LlamaConfig, LlamaModel
from solutions.ch04_models.ex09_load_llama_state_dict import load_llama_state_dict
from solutions.ch05_decoding.ex10_generate import generate
from solutions.ch05_decoding.ex11_generate_cached import generate_cached
from solutions.ch05_decoding.ex13_beam_search import beam_search

D_MODEL, D_FF, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 256, 2, 4, 2, 1024
VOCABULARIES = (1_000, 50_257)
PROMPT = 16
NEW = (64, 256, 512)
LENGTHS = (32, 64, 128, 256, 512)
BEAMS, BEAM_NEW = 4, (64, 256)
QUIET = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="how often each side runs")
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    print(f"{LAYERS} layers, d_model {D_MODEL}, d_ff {D_FF}, {HEADS} heads, {KV_HEADS} of keys and")
    print(f"values in Llama, a prompt of {PROMPT} tokens, float32, torch {torch.__version__}")
    with torch.no_grad():
        cached(turns)
        growth(turns)
        beams(turns)


# ---------------------------------------------------------------------------------- the models


class CachedGPT2(nn.Module):
    """The layers of transformers' GPT-2, called one by one, with the caches of 3.12.

    As the layers are the library's own, what is compared is everything around them.
    """

    def __init__(self, library: GPT2LMHeadModel) -> None:
        super().__init__()
        self.body, self.head = library.transformer, library.lm_head

    def new_caches(self, max_len: int) -> list[KVCache]:
        """Return an empty cache for each block."""
        return [KVCache(max_len) for _ in self.body.h]

    def forward(self, ids: Tensor, caches: Sequence[KVCache]) -> Tensor:
        """Read `ids` after what is in the caches: the prompt first, then single tokens."""
        past, t = caches[0].length, ids.shape[1]
        x = self.body.wte(ids) + self.body.wpe(torch.arange(past, past + t))
        for block, cache in zip(self.body.h, caches, strict=True):
            qkv = block.attn.c_attn(block.ln_1(x)).chunk(3, dim=-1)
            q, k, v = (split_heads(part, HEADS) for part in qkv)
            heads = F.scaled_dot_product_attention(q, *cache.update(k, v), is_causal=t > 1)
            x = x + block.attn.c_proj(merge_heads(heads))
            x = x + block.mlp(block.ln_2(x))
        return self.head(self.body.ln_f(x))


def gpt2(vocabulary: int) -> tuple[CachedGPT2, PreTrainedModel]:
    """GPT-2 for 5.11, and transformers' with the very same layers."""
    sizes = {"n_positions": CONTEXT, "n_embd": D_MODEL, "n_layer": LAYERS, "n_head": HEADS}
    config = HFGPT2Config(
        vocab_size=vocabulary, **sizes, n_inner=D_FF, **QUIET, attn_implementation="sdpa"
    )
    library = randomise(GPT2LMHeadModel(config)).eval()
    return CachedGPT2(library).eval(), library


def llama(vocabulary: int) -> tuple[LlamaModel, PreTrainedModel]:
    """The Llama of 4.4, all of it the course's, and transformers' with the same weights."""
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": D_MODEL,
        "intermediate_size": D_FF,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": CONTEXT,
    }
    library = LlamaForCausalLM(HFLlamaConfig(**sizes, **QUIET, attn_implementation="sdpa"))
    randomise(library).eval()
    ours = LlamaModel(LlamaConfig(**sizes)).eval()
    load_llama_state_dict(ours, library.state_dict())
    return ours, library


def prompt(vocabulary: int) -> Tensor:
    return torch.randint(vocabulary, (1, PROMPT), generator=generator(vocabulary))


def by_library(model: PreTrainedModel, ids: Tensor, new: int, **options: Any) -> Tensor:
    """What transformers' own `generate` writes after `ids`."""
    mask = torch.ones_like(ids)  # or it would guess, and take a 0 for padding
    text = model.generate(
        ids, attention_mask=mask, max_new_tokens=new, do_sample=False, use_cache=True, **options
    )
    return text[:, ids.shape[1] :]


# ------------------------------------------------------------------------------------- the rows


def cached(turns: int) -> None:
    """5.11 against `generate`, greedy."""
    header("greedy, with a cache (5.11)", "5.11", "generate")
    for model in (gpt2, llama):
        for vocabulary, target in zip(VOCABULARIES, ("<= 0.5", "<= 0.75"), strict=True):
            (ours, library), ids = model(vocabulary), prompt(vocabulary)
            for new in NEW:
                sides = (
                    lambda m=ours, x=ids, n=new: generate_cached(m, x, n),
                    lambda m=library, x=ids, n=new: by_library(m, x, n),
                )
                row(f"{model.__name__}, vocabulary {vocabulary:,}, {new} new", turns, sides, target)


def growth(turns: int) -> None:
    """5.11 against 5.10, which reads the whole text for every token."""
    header("Llama, vocabulary 1,000, cached and not", "5.11", "5.10")
    (ours, _), ids = llama(VOCABULARIES[0]), prompt(VOCABULARIES[0])
    for new in LENGTHS:
        sides = (
            lambda n=new: generate_cached(ours, ids, n),
            lambda n=new: generate(ours, ids, n),
        )
        row(f"{new} new tokens", min(turns, 3), sides)


def beams(turns: int) -> None:
    """5.13 with a cache against `generate` with `num_beams`."""
    header(f"Llama, {BEAMS} beams, with a cache (5.13)", "5.13", "generate")
    for vocabulary in VOCABULARIES:
        (ours, library), ids = llama(vocabulary), prompt(vocabulary)
        for new in BEAM_NEW:

            def search(m=ours, x=ids, n=new):
                log_probs = CachedLogProbs(m, PROMPT + n)
                return torch.tensor([beam_search(log_probs, x[0].tolist(), BEAMS, n)[0][0]])

            def theirs(m=library, x=ids, n=new):
                return by_library(m, x, n, num_beams=BEAMS)

            row(f"vocabulary {vocabulary:,}, {new} new", turns, (search, theirs), "<= 0.8")


class CachedLogProbs:
    """A `log_prob_fn` for 5.13 that reads the last token of each row only.

    Each row is one of the call before with one more token: the caches of that row, its parent, are
    its own. Where rows change places, or one has two children, the caches are copied.
    """

    def __init__(self, model: LlamaModel, max_len: int) -> None:
        self.model, self.caches = model, model.new_caches(max_len)
        self.rows: list[list[int]] = []

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the log-probabilities of the token after each row."""
        rows = ids.tolist()
        if self.rows:
            parents = [self.rows.index(row[:-1]) for row in rows]
            if parents != list(range(len(self.rows))):
                for cache in self.caches:
                    cache.k, cache.v = cache.k[parents], cache.v[parents]
        self.rows, read = rows, self.caches[0].length
        return self.model(ids[:, read:], self.caches)[:, -1].log_softmax(-1)


# --------------------------------------------------------------------------------------- output


def header(what: str, ours: str, other: str) -> None:
    print(f"\n{what:44}{ours:>9}{other:>10}{'ratio':>8}  target")


def row(what: str, turns: int, sides: Sequence[Callable[[], Tensor]], target: str = "") -> None:
    """Compare the two sides; the first run, in which they must agree, does not count."""
    ours, other = (side() for side in sides)
    if not torch.equal(ours, other):
        raise SystemExit(f"{what}: the ids differ, there is nothing to compare")
    times = cpu_seconds(turns, *sides)
    ratio = median_ratio(*times)
    seconds = [f"{1e3 * statistics.median(t):.0f} ms" for t in times]
    print(f"{what:44}{seconds[0]:>9}{seconds[1]:>10}{ratio:8.3f}  {target}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
