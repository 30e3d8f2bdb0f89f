"""2.2 Embedding   [easy, ~10 min]

A language model starts with a table: one learned vector per token of the vocabulary. Looking a row
up is the same as multiplying by a one-hot vector, without the multiplications; and only the rows
that were looked up get a gradient.

Source: Bengio, Ducharme, Vincent and Jauvin (2003), A neural probabilistic language model,
https://www.jmlr.org/papers/v3/bengio03a.html, section 2.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Embedding(nn.Module):
    """Map each token id to a learned vector.

    Parameters, with the names and shapes of `torch.nn.Embedding`:
        weight: (vocab_size, d_model), standard normal at the start.

    Write it without `nn.Embedding`, which is the oracle.

    >>> table = Embedding(vocab_size=3, d_model=2)
    >>> table.load_state_dict({"weight": torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])})
    <All keys matched successfully>
    >>> table(torch.tensor([2, 0])).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """

    def __init__(self, vocab_size: int, d_model: int):
        super().__init__()
        # solution
        self.weight = nn.Parameter(torch.randn(vocab_size, d_model))

    def forward(self, ids: Int[Tensor, "..."]) -> Float[Tensor, "... d_model"]:
        """Return the vectors of `ids`, which have any shape: a single id, a batch, no id at all.

        Raises:
            IndexError: an id is negative, or not below the size of the vocabulary.
        """
        # solution
        vocab_size = len(self.weight)
        outside = ids[(ids < 0) | (ids >= vocab_size)]
        if outside.numel():  # indexing alone would read -1 as the last row
            raise IndexError(f"ids must be in [0, {vocab_size}), got {outside[0].item()}")
        return self.weight[ids]
