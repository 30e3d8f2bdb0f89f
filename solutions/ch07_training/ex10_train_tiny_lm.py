"""7.10 Training a tiny language model   [hard, ~60 min]

All parts of this chapter come together: batches, schedule, accumulation, clipping, the optimizer,
validation, checkpoints. The loop itself is short; what makes it one that you can rely on is at its
edges. It has to be honest (validate on text that it never learns from, in eval mode), to lose
nothing (stop it at any moment, start it again, and get the result of a run that was never stopped),
and to notice when it has failed. The model that comes out is the one of chapters 8 and 10.
Settings, model and optimizers are given, in `tiny_lm.py` beside this file: read it first.

Source: https://github.com/karpathy/nanoGPT, train.py.
"""

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor, nn

from ..ch01_tokenizers.ex02_char_tokenizer import CharTokenizer
from .ex01_get_batch import get_batch
from .ex03_evaluate_perplexity import evaluate_perplexity
from .ex06_lr_schedule import lr_schedule
from .ex08_accumulate_step import accumulate_step
from .ex09_checkpoint import load_checkpoint, save_checkpoint
from .tiny_lm import (
    DEFAULT,
    ONE_MINUTE,  # noqa: F401 (for those who use this module)
    InBfloat16,
    Optimizers,
    Row,
    TinyLM,
    TrainConfig,
    build_model,
    build_optimizer,
    undisturbed,
)


def train_step(
    model: nn.Module,
    optimizer: Optimizers,
    data: Int[Tensor, "length"],
    step: int,
    config: TrainConfig,
    generator: torch.Generator,
) -> float:
    """Take one step, the first one is step 0, and return its loss (7.8).

    Every group of the optimizer gets the learning rate that `lr_schedule` has for this step, with
    the group's own `max_lr` and `min_lr`. `config.accumulate` micro-batches are drawn from `data`,
    one after the other, and the gradient of all together is clipped to `config.clip`. With the
    dtype "bfloat16" the forward pass is that of `InBfloat16(model)`.
    """
    # solution
    for group in optimizer.param_groups:
        rates = group["max_lr"], group["min_lr"]
        group["lr"] = lr_schedule(step, config.warmup, config.steps, *rates)
    sizes = config.batch_size, config.context, config.device, generator
    micro_batches = [get_batch(data, *sizes) for _ in range(config.accumulate)]
    forward = InBfloat16(model) if config.dtype == "bfloat16" else model
    return accumulate_step(forward, optimizer, micro_batches, config.clip)


def validation_loss(
    model: nn.Module, held_out: Int[Tensor, "length"], config: TrainConfig
) -> float:
    """Return the mean of -log p over the first `config.eval_tokens` tokens of `held_out`, or all.

    Only the very first token is predicted by nobody, every other one is once. The windows of
    `config.context` tokens that the model reads lie side by side from the start; the last one may
    be shorter. The model is in eval mode meanwhile, and in its own mode afterwards.
    """
    # solution
    ids, context = held_out[: config.eval_tokens], config.context
    cut = (len(ids) - 1) // context * context
    x, y = ids[:cut].view(-1, context), ids[1 : cut + 1].view(-1, context)
    batches = list(zip(x.split(32), y.split(32), strict=True)) if cut else []
    if cut < len(ids) - 1:
        batches.append((ids[None, cut:-1], ids[None, cut + 1 :]))
    return math.log(evaluate_perplexity(model, batches, config.device))


def train_tiny_lm(
    text: str,
    config: TrainConfig = DEFAULT,
    *,
    checkpoint: Path | None = None,
    report: Callable[[Row], None] | None = None,
    model: nn.Module | None = None,
) -> TinyLM:
    """Train a language model on the characters of `text`, and print nothing.

    It learns from the first int(0.9 * len(text)) characters; the rest is held out. Both torch's
    global random numbers and the generator that draws the batches start from `config.seed`.

    After each step there is a row: "step" (how many have been taken, 1 after the first one),
    "train_loss" of that step, "lr" of the optimizer's first group, "tokens" (trained on since step
    0), "seconds" since the call, and "tokens_per_second" of this step alone. After every
    `config.eval_every` steps, and after the last one, the row has a "val_loss" too. These rows are
    the history. They and everything else that is needed to go on are saved (7.9), each time.

    Args:
        text: its characters are the vocabulary, followed by `config.n_special` unused ids.
        config: the sizes and settings; its comments say what each one is.
        checkpoint: a file. When it exists, the run goes on where it stopped, and all that follows
            is bit for bit (times apart) as if it had never stopped; if it was at its end, nothing
            is done. None: nothing is saved.
        report: is called with the row after each step, when the step has been saved if it is to be.
        model: what to train, in place, whatever mode it is in; None: a new one.

    Returns:
        The model in eval mode, with its tokenizer, `config` and the whole history.

    Raises:
        ValueError: unknown architecture, optimizer or dtype; a device that torch does not know or
            that is not there; fewer than context + 1 characters to learn from, or fewer than 2 held
            out; the checkpoint is of another configuration or another text.
        FloatingPointError: a loss, in training or validation, is infinite or NaN. The message says
            at which step, such as "step 7". The checkpoint stays the last good one.
        KeyboardInterrupt: Ctrl-C, or `report` raised it. All steps so far are saved before. Within
            `undisturbed` a step comes to its end.

    >>> small = TrainConfig(n_embd=8, context=8, steps=4, warmup=1, eval_every=2)
    >>> tiny = train_tiny_lm("the cat sat on the mat, " * 9, small)
    >>> [(row["step"], row["tokens"]) for row in tiny.history]
    [(2, 192), (4, 384)]
    """
    # solution
    train, held_out, tokenizer = prepare(text, config)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    if model is None:
        model = build_model(config, tokenizer.vocab_size + config.n_special)
    model = model.to(config.device).train()
    optimizer = build_optimizer(model, config)
    settings = asdict(config) | {"text": zlib.crc32(text.encode("utf-8", "surrogatepass"))}
    state = {"model": model, "optimizer": optimizer, "generator": generator, "config": settings}
    step, history = 0, []
    if checkpoint is not None and checkpoint.exists():
        step, history = load_checkpoint(checkpoint, **state)

    def save() -> None:
        if checkpoint is not None:
            save_checkpoint(checkpoint, step=step, history=history, **state)

    tokens = config.accumulate * config.batch_size * config.context
    start = time.perf_counter()
    try:
        while step < config.steps:
            with undisturbed():
                began = time.perf_counter()
                loss = train_step(model, optimizer, train, step, config, generator)
                now = time.perf_counter()
                step += 1
                row = {"step": step, "train_loss": loss, "lr": optimizer.param_groups[0]["lr"]}
                row |= {"tokens": step * tokens, "seconds": now - start}
                row["tokens_per_second"] = tokens / (now - began)
                if step % config.eval_every == 0 or step == config.steps:
                    row["val_loss"] = validation_loss(model, held_out, config)
                check_losses(row, checkpoint)
                if "val_loss" in row:
                    history.append(row)
                    save()
            if report is not None:
                report(row)
    except KeyboardInterrupt:
        save()
        raise
    return TinyLM(model.eval(), tokenizer, config, history)


# solution
def prepare(text: str, config: TrainConfig) -> tuple[Tensor, Tensor, CharTokenizer]:
    """The ids to learn from, those that are held out, and the tokenizer; checks the arguments."""
    known = {"architecture": ("llama", "gpt2"), "optimizer": ("adamw", "muon")}
    for name, values in (known | {"dtype": ("float32", "bfloat16")}).items():
        if getattr(config, name) not in values:
            raise ValueError(f"{name} must be one of {values}, got {getattr(config, name)!r}")
    try:
        torch.zeros(1, device=config.device).item()  # to try it is the surest way to know
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {config.device!r} cannot be used: {error}") from None
    cut = int(0.9 * len(text))
    if cut < config.context + 1 or len(text) - cut < 2:
        lengths = f"got {cut} and {len(text) - cut}"
        raise ValueError(f"needs {config.context + 1} characters and 2 held-out ones, {lengths}")
    tokenizer = CharTokenizer(text)
    ids = torch.tensor(tokenizer.encode(text))
    return ids[:cut], ids[cut:], tokenizer


def check_losses(row: Row, checkpoint: Path | None) -> None:
    """Stop a run that has failed, before its weights take the place of better ones."""
    for name in ("train_loss", "val_loss"):
        if not math.isfinite(row.get(name, 0.0)):
            there = checkpoint.exists() if checkpoint else False
            last = f"go back to {checkpoint}" if there else "there is no checkpoint"
            raise FloatingPointError(f"{name} is {row[name]} at step {row['step']}; {last}")
