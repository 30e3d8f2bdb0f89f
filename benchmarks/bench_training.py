"""How fast the training loop of chapter 7 is, and how far it comes in a minute.

`python benchmarks/bench_training.py` measures CPU time on one thread. In the parts on speed the
contestants take turns, step by step, and the best one of their steps counts; a ratio says the same
on most machines, the times themselves do not. The text is tiny Shakespeare where `KATA_DATA` points
to the folder that holds it, else the course's own.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
from kata.data import RealData
from kata.tensors import normal
from solutions.ch01_tokenizers.ex02_char_tokenizer import CharTokenizer
from solutions.ch07_training.ex04_adamw import AdamW
from solutions.ch07_training.ex10_train_tiny_lm import (
    ONE_MINUTE,
    TrainConfig,
    build_model,
    build_optimizer,
    train_tiny_lm,
    validation_loss,
)
from solutions.ch07_training.ex15_muon import split_for_muon

LAYERS, HEADS, WIDTH, CONTEXT, BATCH = 4, 4, 128, 64, 12
TOKENS = CONTEXT * BATCH  # in a step
PILOT = 45  # steps that tell how many there is time for
SAME = TrainConfig(steps=10**6, eval_every=10**6, warmup=100)  # the sizes above are its defaults
DTYPES = {"float32": None, "bfloat16": torch.bfloat16}


class Enough(Exception):
    """Ends a run whose steps have been timed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=30, help="of each contestant for speed")
    parser.add_argument("--seconds", type=float, default=60, help="of CPU time for the loss; 0: no")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = corpus()
    print(
        f"{LAYERS} layers, {HEADS} heads, {WIDTH} wide, context {CONTEXT}, batch {BATCH},", end=" "
    )
    print(f"one thread, torch {torch.__version__}")
    speed(text, arguments.steps)
    optimizer_cost(arguments.steps)
    if arguments.seconds:
        loss_after(text, arguments.seconds)


def corpus() -> str:
    """Tiny Shakespeare, or what there is."""
    file = RealData().find("tinyshakespeare/input.txt")
    if file is None:
        print("no tinyshakespeare/input.txt below KATA_DATA: the course's own text instead")
    return (file or ROOT / "kata/corpus/sella.txt").read_text("utf-8")


# ------------------------------------------------------------------------------------- the others


class Encoder(nn.Module):
    """The GPT-2 of 4.2, made of `nn.TransformerEncoder`."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab_size, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, **options)
        norm = nn.LayerNorm(WIDTH)
        self.layers = nn.TransformerEncoder(layer, LAYERS, norm=norm, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits of what follows each token."""
        x = self.tokens(ids) + self.places.weight[: ids.shape[1]]
        mask = self.mask[: ids.shape[1], : ids.shape[1]]
        return self.head(self.layers(x, mask=mask, is_causal=True))


class Block(nn.Module):
    """A layer as small GPTs are commonly written: torch's modules, no biases."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend, then pass through the MLP."""
        qkv = self.qkv(self.norms[0](x)).unflatten(-1, (3, HEADS, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (batch, heads, seq, head_dim) each
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(heads.transpose(1, 2).flatten(-2))
        return x + self.down(F.gelu(self.up(self.norms[1](x))))


class Plain(nn.Module):
    """A small GPT in the manner of nanoGPT."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab_size, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        for weight in (p for p in self.parameters() if p.dim() == 2):
            nn.init.normal_(weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits of what follows each token."""
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def plain_loop(
    model: nn.Module, data: Tensor, total: int, dtype: torch.dtype | None
) -> Iterator[float]:
    """One step of training at each `next`, with torch's parts; the losses come out."""
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
    for step in range(total):
        share = max(0.0, (step - 100) / max(1, total - 100))
        rate = 1e-4 + 9e-4 * (1 + math.cos(math.pi * min(1.0, share))) / 2
        for group in optimizer.param_groups:
            group["lr"] = min(1.0, (step + 1) / 100) * rate
        starts = torch.randint(len(data) - CONTEXT, (BATCH,)).tolist()
        x = torch.stack([data[i : i + CONTEXT] for i in starts])
        y = torch.stack([data[i + 1 : i + 1 + CONTEXT] for i in starts])
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield loss.item()


# ------------------------------------------------------------------------------------------ speed


def speed(text: str, steps: int) -> None:
    """Training tokens per second of 7.10, against loops with torch's own modules."""
    tokenizer = CharTokenizer(text)
    data = torch.tensor(tokenizer.encode(text))
    print("\ntraining, thousand tokens per second (7.10), and how many times that of other loops")
    names = [f"{loop} {dtype}" for dtype in ("f32", "bf16") for loop in ("encoder", "plain")]
    print(f"{'':22}{'ours':>10}" + "".join(f"{name:>16}" for name in names))
    for dtype in DTYPES:
        for architecture in ("gpt2", "llama"):
            torch.manual_seed(0)
            loops = [
                plain_loop(model(tokenizer.vocab_size), data, 10**6, half)
                for half in DTYPES.values()
                for model in (Encoder, Plain)
            ]
            config = replace(SAME, architecture=architecture, dtype=dtype)
            ours, *others = turns(text, config, loops, steps)
            ratios = "".join(f"{TOKENS / s / 1e3:9.2f} {s / ours:5.2f}x" for s in others)
            print(
                f"{architecture + ', ' + dtype:22}{TOKENS / ours / 1e3:10.2f}{ratios}", flush=True
            )


def turns(text: str, config: TrainConfig, loops: list[Iterator[float]], steps: int) -> list[float]:
    """The least CPU time of a step of `train_tiny_lm`, and of each loop."""
    times: list[list[float]] = []
    last = time.process_time()

    def report(row: dict[str, float]) -> None:
        nonlocal last
        marks = [last, time.process_time()]  # all that lies between two reports is ours
        for loop in loops:
            next(loop)
            marks.append(time.process_time())
        times.append([after - before for before, after in pairwise(marks)])
        if len(times) == steps + 3:
            raise Enough
        last = time.process_time()

    with suppress(Enough):
        train_tiny_lm(text, config, report=report)
    return [min(column) for column in zip(*times[3:], strict=True)]  # the first ones warm up


def optimizer_cost(steps: int) -> None:
    """One step of the course's optimizers (7.4, 7.15), against torch's."""
    print(f"\n{'one optimizer step, ms':46}{'ours':>10}{'other':>10}{'ratio':>8}")
    for architecture in ("gpt2", "llama"):
        config = TrainConfig(architecture=architecture)
        models = [build_model(config, 65) for _ in range(5)]
        for model in models:
            for i, p in enumerate(model.parameters()):
                p.grad = normal(*p.shape, seed=i)
        muon = build_optimizer(models[1], replace(config, optimizer="muon"))
        hidden, others = split_for_muon(models[4])
        theirs = [torch.optim.Muon(hidden, lr=1e-3), torch.optim.AdamW(others, foreach=True)]
        ours, mixed, foreach, fused, torch_muon = cpu_seconds(
            steps,
            AdamW(models[0].parameters()).step,
            muon.step,
            torch.optim.AdamW(models[2].parameters(), foreach=True).step,
            torch.optim.AdamW(models[3].parameters(), fused=True).step,
            lambda theirs=theirs: [optimizer.step() for optimizer in theirs],
        )
        for name, us, them in (
            ("AdamW (7.4); torch's AdamW, foreach", ours, foreach),
            ("AdamW (7.4); torch's AdamW, fused", ours, fused),
            ("Muon and AdamW (7.15); torch's AdamW, foreach", mixed, foreach),
            ("Muon and AdamW (7.15); torch's (in bfloat16)", mixed, torch_muon),
        ):
            line = f"{architecture}, {name}"
            print(f"{line:54}{us * 1e3:8.2f}{them * 1e3:10.2f}{us / them:8.2f}")


def cpu_seconds(runs: int, *functions: Callable[[], object]) -> list[float]:
    """The least CPU time of each function, after calls that do not count."""
    least = [math.inf] * len(functions)
    for run in range(runs + 3):
        for i, function in enumerate(functions):
            start = time.process_time()
            function()
            if run >= 3:
                least[i] = min(least[i], time.process_time() - start)
    return least


# --------------------------------------------------------------------------------------- the loss


def loss_after(text: str, seconds: float) -> None:
    """The loss on the whole last tenth, after so many seconds of training on one thread."""
    title = f"validation loss after {seconds:g} CPU-seconds"
    print(f"\n{title:46}{'steps':>8}{'CPU s':>8}{'loss':>8}")
    for dtype in DTYPES:
        config = replace(ONE_MINUTE, dtype=dtype, eval_tokens=10**9)
        ours(f"3 layers, 96 wide, batch 16, Muon, {dtype}", text, config, seconds)
    config = replace(SAME, architecture="gpt2", eval_tokens=10**9)
    ours("4 layers, 128 wide, AdamW 1e-3, our GPT-2", text, config, seconds)
    plain(text, seconds)


def ours(name: str, text: str, config: TrainConfig, seconds: float) -> None:
    """Train by 7.10: with as many steps as fit, which the schedule has to know beforehand."""
    marks: list[float] = []

    def report(row: dict[str, float]) -> None:
        marks.append(time.process_time())
        if row["step"] == PILOT:
            raise Enough

    with suppress(Enough):
        train_tiny_lm(text, replace(config, steps=10**6, eval_every=10**6), report=report)
    steps = int(0.96 * seconds * (PILOT - 5) / (marks[-1] - marks[4]))
    marks = [time.process_time()]
    tiny = train_tiny_lm(
        text,
        replace(config, steps=steps, eval_every=steps),
        report=lambda row: marks.append(time.process_time()),
    )
    # The time between the last two reports is that of the validation, too.
    used = (marks[-2] - marks[0]) * steps / (steps - 1)
    print(f"{name:46}{steps:8}{used:8.1f}{tiny.history[-1]['val_loss']:8.3f}", flush=True)


def plain(text: str, seconds: float) -> None:
    """The plain loop with the model in the manner of nanoGPT."""
    tokenizer = CharTokenizer(text)
    ids = torch.tensor(tokenizer.encode(text))
    cut = int(0.9 * len(ids))

    def loop(total: int) -> tuple[nn.Module, Iterator[float]]:
        torch.manual_seed(0)
        model = Plain(tokenizer.vocab_size)
        return model, plain_loop(model, ids[:cut], total, None)

    _, pilot = loop(10**6)
    for _ in range(5):
        next(pilot)
    start = time.process_time()
    for _ in range(PILOT - 5):
        next(pilot)
    steps = int(0.96 * seconds * (PILOT - 5) / (time.process_time() - start))
    model, losses = loop(steps)
    start = time.process_time()
    for _ in losses:
        pass
    used = time.process_time() - start
    loss = validation_loss(model, ids[cut:], replace(SAME, eval_tokens=10**9))
    name = "4 layers, 128 wide, AdamW 1e-3, plain loop"
    print(f"{name:46}{steps:8}{used:8.1f}{loss:8.3f}")


if __name__ == "__main__":
    main()
