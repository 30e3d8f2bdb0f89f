"""What 7.10 trains, and with what. All of it is given: the settings, a model, its optimizers.

It is put together from what you wrote in 1.2, 4.2, 4.4, 7.4, 7.5 and 7.15.
"""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..ch01_tokenizers.ex02_char_tokenizer import CharTokenizer
from ..ch04_models.ex02_gpt2_model import GPT2Config, GPT2Model
from ..ch04_models.ex04_llama_model import LlamaConfig, LlamaModel
from .ex04_adamw import AdamW
from .ex05_param_groups import param_groups
from .ex15_muon import Muon, split_for_muon

Row = dict[str, float]  # what is known after a step


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a run goes."""

    architecture: str = "llama"  # or "gpt2"
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    dropout: float = 0.0  # of gpt2 only
    n_special: int = 0  # ids after those of the characters, which no text contains (chapter 8)
    context: int = 64
    batch_size: int = 12  # windows in a micro-batch
    accumulate: int = 1  # micro-batches in a step
    steps: int = 2000
    optimizer: str = "adamw"  # or "muon", which takes the hidden matrices away from AdamW
    max_lr: float = 1e-3  # of AdamW
    min_lr: float = 1e-4  # in the end; Muon's falls in the same proportion
    muon_lr: float = 0.02
    warmup: int = 50
    weight_decay: float = 0.1
    clip: float = 1.0
    dtype: str = "float32"  # or "bfloat16", in the forward pass of training
    device: str = "cpu"
    seed: int = 0
    eval_every: int = 250  # steps
    eval_tokens: int = 10_000  # at most so many of the held-out tokens are used


DEFAULT = TrainConfig()
# About a minute on one core; then the loss on the held-out part of tiny Shakespeare is below 1.7.
ONE_MINUTE = TrainConfig(
    n_layer=3,
    n_embd=96,
    batch_size=16,
    steps=1100,
    optimizer="muon",
    max_lr=3e-3,
    min_lr=6e-5,
    warmup=20,
    weight_decay=0.0,
)


@dataclass
class TinyLM:
    """A model with all that one needs to use it."""

    model: nn.Module
    tokenizer: CharTokenizer
    config: TrainConfig
    history: list[Row]

    def save(self, path: str | Path) -> None:
        """Write it into one file, which holds only tensors and plain data."""
        chars = self.tokenizer.decode(list(range(self.tokenizer.vocab_size)))
        parts = {"config": asdict(self.config), "chars": chars, "history": self.history}
        torch.save(parts | {"model": self.model.state_dict()}, path)

    @classmethod
    def load(cls, path: str | Path) -> "TinyLM":
        """Read what `save` wrote of a model that `build_model` made: on the CPU, in eval mode."""
        parts = torch.load(path, map_location="cpu", weights_only=True)
        tokenizer, config = CharTokenizer(parts["chars"]), TrainConfig(**parts["config"])
        model = build_model(config, tokenizer.vocab_size + config.n_special)
        model.load_state_dict(parts["model"])
        return cls(model.eval(), tokenizer, config, parts["history"])


def build_model(config: TrainConfig, vocab_size: int) -> nn.Module:
    """Make a model of 4.2 or 4.4 with random weights."""
    width, layers, heads = config.n_embd, config.n_layer, config.n_head
    if config.architecture == "gpt2":
        sizes = vocab_size, config.context, width, layers, heads
        return GPT2Model(GPT2Config(*sizes, dropout=config.dropout))
    d_ff = 8 * math.ceil(width / 3)  # with its gate as large as an MLP of 4 * width without one
    sizes = vocab_size, width, d_ff, layers, heads, heads
    model = LlamaModel(LlamaConfig(*sizes, max_position_embeddings=config.context))
    for matrix in (p for p in model.parameters() if p.dim() == 2):
        nn.init.normal_(matrix, std=0.02)
    return model


def build_optimizer(model: nn.Module, config: TrainConfig) -> "Optimizers":
    """Make what `config.optimizer` asks for. Each group knows its own `max_lr` and `min_lr`."""

    def rates(lr: float) -> dict[str, float]:
        return {"lr": lr, "max_lr": lr, "min_lr": lr * config.min_lr / config.max_lr}

    groups, adam = param_groups(model, config.weight_decay), {"betas": (0.9, 0.95)}
    if config.optimizer == "adamw":
        return Optimizers(AdamW([g | rates(config.max_lr) for g in groups], **adam))
    hidden, others = split_for_muon(model)
    muon = Muon([{"params": hidden} | rates(config.muon_lr)], weight_decay=config.weight_decay)
    rest = {"params": others, "weight_decay": 0.0} | rates(config.max_lr)
    return Optimizers(muon, AdamW([rest], **adam))


class Optimizers:
    """Several optimizers, each with its own parameters, to be used as if they were one."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all of them."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        """Change all parameters."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict[int, Any]:
        """Return their states by number."""
        return {i: optimizer.state_dict() for i, optimizer in enumerate(self.optimizers)}

    def load_state_dict(self, states: dict[int, Any]) -> None:
        """Give each of them its state."""
        for i, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(states[i])


class InBfloat16(nn.Module):
    """A model whose forward pass is computed in bfloat16, as in 7.11.

    Its parameters are those of `model`, and as they are; the logits are float32.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq vocab"]:
        """Return what `model` makes of `ids`."""
        # torch's fused attention has a very slow gradient for bfloat16 on a CPU.
        on_cpu = ids.device.type == "cpu"
        kernel = sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext()
        with kernel, torch.autocast(ids.device.type, torch.bfloat16):
            return self.model(ids).float()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, where it raises KeyboardInterrupt as usual.

    Without it, nearly every interrupt would come in the middle of a step.
    """
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # others never see Ctrl-C
        yield
        return
    usual = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if pressed:
        raise KeyboardInterrupt
