"""Speed of the GPT-2 of chapter 4 next to transformers': `python benchmarks/bench_models.py`.

CPU time on one thread of a forward pass without gradient, both models with the same weights and
taking turns in one process. A ratio is the median of those of all turns: it says the same on most
machines, the times themselves do not.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import GPT2Config as HFConfig
from transformers import GPT2LMHeadModel

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from timing import cpu_seconds, median_ratio

from kata.tensors import generator, randomise
from solutions.ch03_attention.ex04_multi_head_attention import MultiHeadAttention
from solutions.ch04_models.ex02_gpt2_model import GPT2Config, GPT2Model
from solutions.ch04_models.ex03_load_gpt2_state_dict import load_gpt2_state_dict

# GPT-2 small with a third of its layers and of its vocabulary, so that the head and the blocks
# share the time as they do there.
SIZES = {"vocab_size": 50257 // 3, "n_positions": 1024, "n_embd": 768, "n_layer": 4, "n_head": 12}
TOKENS = (128, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=15, help="how often each model runs")
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    print(", ".join(f"{name} {size:,}" for name, size in SIZES.items()), end=", float32, torch ")
    print(torch.__version__)
    library, ours, naive = models()
    print(f"\n{'':44}{'ours':>9}{'library':>9}{'ratio':>9}  target")
    with torch.no_grad():
        for seq in TOKENS:
            ids = torch.randint(SIZES["vocab_size"], (1, seq), generator=generator(seq))
            agree(ours(ids), library(ids))
            agree(naive(ids), library(ids))
            times = cpu_seconds(turns, *(lambda f=f, x=ids: f(x) for f in (library, ours, naive)))
            row(f"{seq} tokens, 4.2 against sdpa", times[1], times[0], "<= 1.0")
            row(f"{seq} tokens, the same with attention of 3.4", times[2], times[0])


def models() -> list[Callable[[Tensor], Tensor]]:
    """The library's, ours, and ours with the attention of 3.4; all give the same logits."""
    config = HFConfig(**SIZES, bos_token_id=0, eos_token_id=0, attn_implementation="sdpa")
    library = randomise(GPT2LMHeadModel(config)).eval()
    ours, naive = (GPT2Model(GPT2Config(**SIZES)).eval() for _ in range(2))
    for block in naive.h:
        block.attn = MultiHeadAttention(SIZES["n_embd"], SIZES["n_head"])
    for model in (ours, naive):
        load_gpt2_state_dict(model, library.state_dict())
    return [lambda ids: library(ids, use_cache=False).logits, ours, naive]


def agree(actual: Tensor, expected: Tensor) -> None:
    if not torch.allclose(actual, expected, rtol=1e-3, atol=1e-3):
        raise SystemExit("the logits differ: there is nothing to compare")


def row(what: str, ours: list[float], library: list[float], target: str = "") -> None:
    ratio = median_ratio(ours, library)
    seconds = "".join(f"{1e3 * statistics.median(times):>6.0f} ms" for times in (ours, library))
    print(f"{what:44}{seconds}{ratio:9.3f}  {target}".rstrip())


if __name__ == "__main__":
    main()
