"""A learner's own Llama with weights that tell stories: what the shows of 4 and 5 share."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor, nn

from kata.show import NotReady, OwnFiles, expect
from kata.show.weights import Checkpoint
from kata.text import plural


class Watched(nn.Module):
    """A learner's model; the logits are checked, and the last probabilities are kept."""

    def __init__(self, model: nn.Module, vocab: int) -> None:
        super().__init__()
        self.model = model
        self.vocab = vocab
        self.probs = torch.empty(0)

    def forward(self, ids: Tensor, caches: object = None) -> Tensor:
        """Ids (batch, seq) to logits (batch, seq, vocab)."""
        logits = self.model(ids) if caches is None else self.model(ids, caches)
        expect("4.4", "LlamaModel", logits, (*ids.shape, self.vocab))
        self.probs = logits[0, -1].detach().double().softmax(-1)
        return logits  # type: ignore[no-any-return]

    def new_caches(self, max_len: int) -> object:
        """A cache for each layer."""
        own = getattr(self.model, "new_caches", None)
        if not callable(own):
            raise NotReady("4.4: `LlamaModel` has no `new_caches`")
        return own(max_len)


def tiny_model(files: OwnFiles) -> Watched:
    """A model without weights, to find out what is still to do before any are looked for."""
    with files.blame("4.4"):
        config = files["4.4"].LlamaConfig(5, 4, 4, 1, 1, 1)
        model = files["4.4"].LlamaModel(config)
    with files.blame("4.9"), suppress(ValueError):  # nothing in it
        files["4.9"].load_llama_state_dict(model, {})
    return Watched(model, config.vocab_size)


def load_model(files: OwnFiles, checkpoint: Checkpoint) -> Watched:
    """The model with the weights of a checkpoint."""
    with files.blame("4.4"):
        model = files["4.4"].LlamaModel(files["4.4"].LlamaConfig(**checkpoint.config))
        model.eval()
    options = {"interleaved": True} if checkpoint.interleaved else {}
    with files.blame("4.9"):
        files["4.9"].load_llama_state_dict(model, checkpoint.state, **options)
    watched = Watched(model, checkpoint.config["vocab_size"])
    watched.eval()
    return watched


def described_model(model: nn.Module, checkpoint: Checkpoint) -> str:
    """Where its weights are from, and how large it is."""
    config, count = checkpoint.config, sum(p.numel() for p in model.parameters())
    return (
        f"with the weights of {checkpoint.source}: "
        f"{count:,} parameters, {plural(config['num_hidden_layers'], 'layer')}, "
        f"{config['num_attention_heads']} heads that share {config['num_key_value_heads']} heads "
        f"of keys and values, a vocabulary of {config['vocab_size']:,} tokens."
    )


def added_text(checkpoint: Checkpoint, before: list[int], token: int) -> str:
    """What a token adds to a text."""
    return checkpoint.decode([*before, token])[len(checkpoint.decode(before)) :]


def visible(text: str) -> str:
    """A piece of text whose spaces and line ends can be seen."""
    return text.replace(" ", "␣").replace("\n", "⏎") or "(nothing)"
