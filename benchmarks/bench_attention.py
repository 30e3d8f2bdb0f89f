"""What tiles and a cache save in attention: `python benchmarks/bench_attention.py`.

CPU time on one thread, the best of several runs that take turns in one process, and the sizes of
tensors, which are counted. A ratio says the same on most machines; the times themselves do not.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from timing import cpu_seconds

from kata.tensors import Watch, normal
from solutions.ch03_attention.ex01_causal_mask import causal_mask
from solutions.ch03_attention.ex02_scaled_dot_product_attention import (
    scaled_dot_product_attention,
)
from solutions.ch03_attention.ex11_flash_attention import flash_attention
from solutions.ch03_attention.ex12_kv_cache import CachedAttention, KVCache

HEADS, HEAD_DIM, BLOCK = 4, 64, 128
D_MODEL, KV_HEADS = HEADS * HEAD_DIM, 2
TOKENS = (512, 2048)
LENGTHS = (64, 128, 256, 512, 1024)


class Row(NamedTuple):
    """One line of the table: the same quantity with and without the idea of an exercise."""

    what: str
    unit: str
    ours: float
    other: float

    def __str__(self) -> str:
        digits = ",.0f" if self.unit == "elements" else ".3g"
        numbers = "".join(f"{format(x, digits):>14}" for x in (self.ours, self.other))
        return f"{self.what:46}{self.unit:10}{numbers}{self.ours / self.other:10.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="of each function; the best one counts")
    runs = parser.parse_args().runs
    torch.set_num_threads(1)
    print(f"{HEADS} heads of {HEAD_DIM} features, float32, causal, one thread, torch", end=" ")
    print(torch.__version__)
    with torch.no_grad():
        tiled(runs)
        cached(runs)


def largest(function: Callable[[], object]) -> int:
    """The elements of the largest tensor that is made."""
    with Watch() as watch:
        function()
    return watch.largest


# ---------------------------------------------------------------------------- attention in tiles


def tiled(runs: int) -> None:
    """3.11 against 3.2, which writes all scores down, and against torch's own kernel."""
    print(f"\nattention in tiles of {BLOCK} x {BLOCK} (3.11)")
    header("tiled", "other")
    for t in TOKENS:
        q, k, v = (normal(HEADS, t, HEAD_DIM, seed=seed) for seed in range(3))

        def ours(q=q, k=k, v=v):
            return flash_attention(q, k, v, BLOCK, BLOCK, causal=True)[0]

        def naive(q=q, k=k, v=v, t=t):
            return scaled_dot_product_attention(q, k, v, causal_mask(t))

        def kernel(q=q, k=k, v=v):
            return F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]

        agree(ours(), naive())
        agree(ours(), kernel())
        print(Row(f"{t} tokens, largest tensor; naive", "elements", largest(ours), largest(naive)))
        seconds = [1e3 * s for s in map(min, cpu_seconds(runs, ours, naive, kernel))]
        print(Row(f"{t} tokens, time; naive", "ms", seconds[0], seconds[1]))
        print(Row(f"{t} tokens, time; torch's SDPA", "ms", seconds[0], seconds[2]))


# -------------------------------------------------------------------------------- with a cache


def cached(runs: int) -> None:
    """One more token after `length` others: 3.12 with its cache, and all tokens read anew."""
    print(f"\none decoding step (3.12), {HEADS} heads of queries, {KV_HEADS} of keys and values")
    header("cached", "uncached")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        attention = CachedAttention(D_MODEL, HEADS, KV_HEADS)
    for length in LENGTHS:
        x = normal(1, length + 1, D_MODEL)
        cache = KVCache(max_len=length + 1)
        attention(x[:, :length], cache)

        def step(x=x, cache=cache, length=length):
            cache.length = length  # forgets the token of the last run
            return attention(x[:, length:], cache)

        def anew(x=x):
            return attention(x)[:, -1:]

        agree(step(), anew())
        ours, other = (1e3 * s for s in map(min, cpu_seconds(3 * runs, step, anew)))
        print(Row(f"after {length} tokens, time", "ms", ours, other))


# --------------------------------------------------------------------------------------- output


def header(ours: str, other: str) -> None:
    print(f"{'':46}{'unit':10}{ours:>14}{other:>14}{'ratio':>10}")


def agree(a: torch.Tensor, b: torch.Tensor) -> None:
    gap = (a - b).abs().max().item()
    if not gap < 1e-4:
        raise SystemExit(f"the two differ by {gap}: there is nothing to compare")


if __name__ == "__main__":
    main()
