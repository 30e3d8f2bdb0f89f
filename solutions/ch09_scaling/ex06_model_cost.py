"""9.6 What a model costs, and which one to take   [medium, ~35 min]

Before a model answers its first question, arithmetic tells whether it fits into a machine, how fast
it writes and what a million tokens cost. Each token needs every weight once, so the memory's speed
decides, until a batch shares them. Among the models that pass, take the best: here the one with the
lowest loss by 9.2, which knows nothing of data, tuning or your task (measure that, 8.10).

Source: Pope et al. (2022), Efficiently Scaling Transformer Inference,
https://arxiv.org/abs/2211.05102, section 2; the config.json of each model;
https://www.nvidia.com/en-us/data-center/l4/, https://www.nvidia.com/en-us/data-center/h100/.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .ex02_chinchilla import chinchilla_loss

GB = 10**9  # what data sheets and this exercise count in; 2**30 bytes are a GiB, 7 % more


@dataclass(frozen=True)
class ModelSpec:
    """A Llama (4.4): sizes under the names of its config.json, and how it is stored."""

    name: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int  # of hidden_size / num_attention_heads features
    num_key_value_heads: int
    tie_word_embeddings: bool
    training_tokens: float
    bytes_per_weight: float = 2  # 2 in bfloat16, 1 in int8 (9.4), 0.5 in 4 bits

    @property
    def n_params(self) -> int:
        """All parameters, counted as in 6.5 (this is given)."""
        d, heads = self.hidden_size, self.num_attention_heads
        attention = 2 * d * d + 2 * d * (d // heads) * self.num_key_value_heads
        block = attention + 3 * d * self.intermediate_size + 2 * d
        tables = (1 if self.tie_word_embeddings else 2) * self.vocab_size * d
        return self.num_hidden_layers * block + d + tables


@dataclass(frozen=True)
class Hardware:
    """A machine that can be rented."""

    name: str
    memory_bytes: int
    bytes_per_second: float  # from its memory
    flops_per_second: float
    price_per_hour: float


@dataclass(frozen=True)
class Workload:
    """What is asked for, and what it may cost."""

    tokens_per_day: float
    batch: int  # sequences that are written side by side
    context: int  # tokens of each that are in the cache
    max_seconds_per_token: float
    max_price_per_million: float


MODELS = [
    ModelSpec("SmolLM2 135M", 49_152, 576, 1_536, 30, 9, 3, True, 2e12),
    ModelSpec("TinyLlama 1.1B", 32_000, 2_048, 5_632, 22, 32, 4, False, 3e12),
    ModelSpec("Llama 2 7B", 32_000, 4_096, 11_008, 32, 32, 32, False, 2e12),
    ModelSpec("Llama 2 13B", 32_000, 5_120, 13_824, 40, 40, 40, False, 2e12),
    ModelSpec("Llama 3.1 8B", 128_256, 4_096, 14_336, 32, 32, 8, False, 15e12),
    ModelSpec("Llama 3.1 8B int8", 128_256, 4_096, 14_336, 32, 32, 8, False, 15e12, 1),
    ModelSpec("Llama 3.1 70B", 128_256, 8_192, 28_672, 80, 64, 8, False, 15e12),
]
# FLOPs are those of dense bfloat16. The prices are examples: look up your own.
L4 = Hardware("L4", 24 * GB, 300e9, 121e12, price_per_hour=0.8)
H100 = Hardware("H100", 80 * GB, 3.35e12, 989e12, price_per_hour=3.0)


def memory_bytes(model: ModelSpec, load: Workload) -> float:
    """Return the bytes of the weights and of the cache of keys and values (3.12).

    The cache holds a key and a value for each of `context` tokens of each of `batch` sequences, in
    every layer, for every key-value head, with 2 bytes per number however the weights are stored.

    >>> memory_bytes(MODELS[2], Workload(1e6, 1, 4096, 1.0, 1.0)) / GB  # a seventh is cache
    15.62431488
    """
    # solution
    head_dim = model.hidden_size // model.num_attention_heads
    per_token = 2 * model.num_hidden_layers * model.num_key_value_heads * head_dim * 2
    return model.n_params * model.bytes_per_weight + per_token * load.batch * load.context


def seconds_per_token(model: ModelSpec, hardware: Hardware, load: Workload) -> float:
    """Return the time of one step, in which each of the `batch` sequences gets one token.

    The machine reads all that is in its memory once, weights and cache, and computes 2 FLOPs per
    parameter for each sequence (those of attention over the cache are few, and left out). It does
    both at the same time: whichever takes longer is the time of the step.
    """
    # solution
    reading = memory_bytes(model, load) / hardware.bytes_per_second
    computing = 2 * model.n_params * load.batch / hardware.flops_per_second
    return max(reading, computing)


def price_per_million(model: ModelSpec, hardware: Hardware, load: Workload) -> float:
    """Return what a million tokens cost, where `tokens_per_day` are written every day.

    As many machines are rented as it takes to write them, all 24 hours, each with a batch of its
    own. There is no part of a machine, and one that waits costs as much as one that works.
    """
    # solution
    tokens = 24 * 3600 * load.batch / seconds_per_token(model, hardware, load)
    machines = ceil(load.tokens_per_day / tokens)
    return machines * 24 * hardware.price_per_hour / load.tokens_per_day * 1e6


def verdict(value: float, limit: float, digits: int, unit: str) -> str:
    """Say whether a value keeps its limit (this is given).

    >>> verdict(15.62, 24, 1, "GB")
    'ok: 15.6 of 24.0 GB'
    """
    return f"{'ok' if value <= limit else 'no'}: {value:.{digits}f} of {limit:.{digits}f} {unit}"


def rank_models(
    models: Sequence[ModelSpec], hardware: Hardware, load: Workload
) -> list[dict[str, object]]:
    """Return a dictionary per model, the best choice first; `models` is not modified.

    "name": that of the model.
    "loss": the loss that 9.2 predicts from its parameters and training tokens.
    "price": of a million tokens.
    "reasons": three lines made by `verdict`: bytes in "GB" (10**9) against the memory of a machine,
        time in "ms per token" against its limit, each with one digit, and the price "per million"
        against its limit, with two. All are there, whatever the others say.
    "suitable": whether all three are ok.

    Suitable models come before all others, and among each of the two the lower loss first; where
    losses are equal, the lower price, and where that is equal, too, the order of `models` stays.

    >>> best = rank_models(MODELS, L4, Workload(1e7, 4, 2048, 0.05, 2.0))[0]
    >>> best["name"], best["reasons"][1]
    ('Llama 3.1 8B int8', 'ok: 30.3 of 50.0 ms per token')
    """
    # solution
    choices = []
    for model in models:
        seconds = seconds_per_token(model, hardware, load)
        price = price_per_million(model, hardware, load)
        reasons = [
            verdict(memory_bytes(model, load) / GB, hardware.memory_bytes / GB, 1, "GB"),
            verdict(1000 * seconds, 1000 * load.max_seconds_per_token, 1, "ms per token"),
            verdict(price, load.max_price_per_million, 2, "per million"),
        ]
        loss = chinchilla_loss(model.n_params, model.training_tokens)
        suitable = all(reason.startswith("ok") for reason in reasons)
        choice = {"name": model.name, "loss": loss, "price": price, "reasons": reasons}
        choices.append(choice | {"suitable": suitable})
    return sorted(choices, key=lambda c: (not c["suitable"], c["loss"], c["price"]))


# solution
# ruff: noqa: E402 (what only the reference needs is imported here, where the exercise is cut off)
from math import ceil
