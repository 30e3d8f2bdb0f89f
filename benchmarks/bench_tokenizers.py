"""Speed of chapter 1 next to the libraries: `python benchmarks/bench_tokenizers.py`.

CPU time on one thread, the best of several runs that take turns in one process. The ratio of two
such times says the same on most machines; the times themselves do not.
"""

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # both are read when the library is imported
os.environ["RAYON_NUM_THREADS"] = "1"

# ruff: noqa: E402
import argparse
import copy
import gc
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import tiktoken
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from solutions.ch01_tokenizers.ex05_merge_pair import merge_pair
from solutions.ch01_tokenizers.ex06_train_bpe import train_on_chunks
from solutions.ch01_tokenizers.ex09_pretokenize import RegexBPETokenizer, pretokenize

CHARACTERS = 133_000
RUNS = 7
NAIVE_MERGES = 200
OWN_FILES = ("README.md", "docs/**/*.md", "exercises/**/README.md", "solutions/**/*.py")


class Row(NamedTuple):
    """One line of the table."""

    what: str
    unit: str
    ours: float
    library: float
    ratio: float
    target: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--text", type=Path, help="a file; tinyshakespeare or our own text without")
    parser.add_argument("--vocab", type=int, default=10_000, help="size of the vocabulary")
    args = parser.parse_args()
    name, corpus = load_text(args.text)
    text = corpus[:CHARACTERS]
    print(f"{name}: the first {len(text):,} of {len(corpus):,} characters")
    rows = [*training(text, args.vocab), *encoding(text, corpus, args.vocab)]
    print(f"\n{'':48}{'unit':6}{'ours':>9}{'library':>9}{'ratio':>9}  target")
    for row in rows:
        numbers = "".join(f"{x:9.3g}" for x in (row.ours, row.library, row.ratio))
        print(f"{row.what:48}{row.unit:6}{numbers}  {row.target}")


def load_text(file: Path | None) -> tuple[str, str]:
    """The text to measure with, and what it is called."""
    shakespeare = Path(os.environ.get("KATA_DATA", ""), "tinyshakespeare", "input.txt")
    if file is None and "KATA_DATA" in os.environ and shakespeare.is_file():
        file = shakespeare
    if file is not None:
        return file.name, file.read_text("utf-8")
    own = sorted(path for pattern in OWN_FILES for path in ROOT.glob(pattern))
    return "this repository's own text", "".join(path.read_text("utf-8") for path in own)


def cpu_seconds(*prepare: Callable[[], Callable[[], object]]) -> list[float]:
    """The least CPU time of each function, which is prepared anew, off the clock, for each run."""
    least = [math.inf] * len(prepare)
    for _ in range(RUNS):
        for i, make in enumerate(prepare):
            function = make()
            gc.collect()
            start = time.process_time()
            function()
            least[i] = min(least[i], time.process_time() - start)
    return least


# ------------------------------------------------------------------------------------ training


def training(text: str, vocab_size: int) -> Iterator[Row]:
    """From text to merges, cutting it by the GPT-2 pattern and counting its words included."""
    small = 256 + NAIVE_MERGES
    ours, rust, naive, rust_small = cpu_seconds(
        lambda: lambda: train_on_chunks(word_counts(text), vocab_size),
        lambda: lambda: train_rust(text, vocab_size),
        lambda: lambda: train_naively(word_counts(text), small),
        lambda: lambda: train_rust(text, small),
    )
    counts = word_counts(text)
    merges, _ = train_on_chunks(counts, vocab_size)
    print(f"{len(counts):,} distinct words; the vocabulary ends at {256 + len(merges):,} (ours)")
    print(f"and {train_rust(text, vocab_size).get_vocab_size():,} (BpeTrainer, other ties)")
    at_most = naive / NAIVE_MERGES * len(merges)  # later merges have fewer symbols to count
    yield Row(f"train to {vocab_size:,}", "s", ours, rust, ours / rust, "<= 4")
    yield Row(f"train to {small:,}, recounting", "s", naive, rust_small, naive / rust_small)
    yield Row("  the same extrapolated to all merges, at most", "s", at_most, rust, at_most / rust)


def word_counts(text: str) -> dict[bytes, int]:
    return {word.encode(): n for word, n in Counter(pretokenize(text)).items()}


def train_rust(text: str, vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def train_naively(chunk_counts: dict[bytes, int], vocab_size: int) -> dict[tuple[int, int], int]:
    """Count all pairs anew for every merge."""
    words = [(list(chunk), n) for chunk, n in chunk_counts.items()]
    merges = {}
    for new_id in range(256, vocab_size):
        counts: Counter[tuple[int, int]] = Counter()
        for ids, n in words:
            for pair in pairwise(ids):
                counts[pair] += n
        best = max(counts, key=counts.__getitem__)
        merges[best] = new_id
        words = [(merge_pair(ids, best, new_id), n) for ids, n in words]
    return merges


# ------------------------------------------------------------------------------------ encoding


def encoding(text: str, corpus: str, vocab_size: int) -> Iterator[Row]:
    """From text to ids with the vocabulary of the whole corpus; tiktoken has the same ranks."""
    untouched, warm = RegexBPETokenizer(), RegexBPETokenizer()
    untouched.train(corpus, vocab_size)
    warm.train(corpus, vocab_size)
    library = tiktoken.Encoding(
        "same",
        pat_str=r50k_pat_str,
        mergeable_ranks={token: i for i, token in warm.vocab.items()},
        special_tokens={},
    )
    if warm.encode(text) != library.encode_ordinary(text):
        raise SystemExit("RegexBPETokenizer and tiktoken disagree: there is nothing to compare")

    def cold_encode() -> Callable[[], object]:
        cold = copy.deepcopy(untouched)  # with an empty cache
        return lambda: cold.encode(text)

    seconds = cpu_seconds(
        cold_encode,
        lambda: lambda: warm.encode(text),
        lambda: lambda: library.encode_ordinary(text),
    )
    cold, hot, rust = (len(text.encode()) / 1e6 / s for s in seconds)
    yield Row("encode, first time", "MB/s", cold, rust, cold / rust, ">= 0.36")
    yield Row("encode, words seen before", "MB/s", hot, rust, hot / rust, ">= 0.52")


if __name__ == "__main__":
    main()
