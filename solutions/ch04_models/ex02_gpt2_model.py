"""4.2 The GPT-2 model   [medium, ~25 min]

From token ids to a score for every token that could come next: look up a vector for each token and
one for each position, send their sum through all blocks (4.1), normalise once more, and compare the
result with the vector of each token of the vocabulary. That last table is the first one again: the
weights are tied, which saves 39 million of GPT-2's parameters. The model starts with the weights of
2.12.

Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, section 2.3;
Press and Wolf (2017), https://arxiv.org/abs/1608.05859, on tied weights.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..ch02_layers.ex06_layer_norm import LayerNorm
from ..ch02_layers.ex10_dropout import Dropout
from ..ch02_layers.ex12_init_gpt2_weights import init_gpt2_weights_
from .ex01_gpt2_block import GPT2Block


@dataclass(frozen=True)
class GPT2Config:
    """The sizes of a model, named as Hugging Face does; the defaults are those of GPT-2 small."""

    vocab_size: int = 50257
    n_positions: int = 1024  # the longest text that it can read
    n_embd: int = 768  # d_model
    n_layer: int = 12
    n_head: int = 12
    dropout: float = 0.0
    layer_norm_epsilon: float = 1e-5


class GPT2Model(nn.Module):
    """A causal language model with `config.n_layer` blocks.

    Parts, and nothing else in the state dict:
        wte: the table of tokens, an `nn.Embedding` (the same as yours of 2.2, but without looking
            at the ids first: the meta device knows only their shape).
        wpe: the table of the `n_positions` positions, an `nn.Embedding` as well.
        h: an `nn.ModuleList` of blocks.
        ln_f: the last layer norm; like those of the blocks it gets `config.layer_norm_epsilon`.
        lm_head: a linear layer without bias that turns a vector into logits. It is tied: its weight
            is the very parameter that `wte` has, no second one of equal value.

    `config.dropout` goes for the branches of the blocks (4.1) and for the sum of both embeddings.
    The parameters start as 2.12 has it, with its default standard deviation of 0.02. The attribute
    `config` holds the configuration.

    >>> model = GPT2Model(GPT2Config(vocab_size=10, n_positions=8, n_embd=6, n_layer=2, n_head=3))
    >>> model(torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])).shape
    torch.Size([2, 5, 10])
    >>> sum(parameter.numel() for parameter in model.parameters())
    1140
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        # solution
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.dropout = Dropout(config.dropout)
        sizes = config.n_embd, config.n_head, config.dropout, config.layer_norm_epsilon
        self.h = nn.ModuleList(GPT2Block(*sizes) for _ in range(config.n_layer))
        self.ln_f = LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.wte.weight
        init_gpt2_weights_(self, config.n_layer)

    def forward(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq vocab"]:
        """Return the logits of the token that follows, at every position of every row.

        The first token of a row stands at position 0. No logit depends on a later token.

        Raises:
            ValueError: a row has more than `n_positions` tokens.
        """
        # solution
        seq, n_positions = ids.shape[-1], self.config.n_positions
        if seq > n_positions:
            raise ValueError(f"{seq} tokens, but the model has only {n_positions} positions")
        x = self.wte(ids) + self.wpe(torch.arange(seq, device=ids.device))  # (batch, seq, n_embd)
        x = self.dropout(x)
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))
