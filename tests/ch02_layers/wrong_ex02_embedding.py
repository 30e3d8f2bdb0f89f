import torch
from torch import nn
from torch.nn import functional as F

from kata.wrong import wrong
from solutions.ch02_layers.ex02_embedding import Embedding


def check_range(ids, vocab_size):
    if ((ids < 0) | (ids >= vocab_size)).any():
        raise IndexError(f"ids must be in [0, {vocab_size})")


@wrong(caught_by=["negative_id_raises_an_error"])
class Embedding__negative_ids_wrap(Embedding):
    """Negative ids were accepted: indexing counts them from the end of the table, silently."""

    def forward(self, ids):
        return self.weight[ids]


@wrong(caught_by=["negative_id_raises_an_error", "id_beyond_the_vocabulary_raises"])
class Embedding__clamps_the_ids(Embedding):
    """An id outside the vocabulary was moved to the nearest valid one. It is a mistake of the
    caller, who wants to hear of it."""

    def forward(self, ids):
        return self.weight[ids.clamp(0, len(self.weight) - 1)]


@wrong(crashes=["keeps_the_dtype_of_the_weight"])
class Embedding__one_hot_is_float32(Embedding):
    """The one-hot vectors are float32, whatever the dtype of the weight."""

    def forward(self, ids):
        check_range(ids, len(self.weight))
        return F.one_hot(ids, len(self.weight)).float() @ self.weight


@wrong(caught_by=["keeps_the_dtype_of_the_weight"])
class Embedding__result_is_float32(Embedding):
    """The result was collected in a new float32 tensor, whatever the dtype of the weight."""

    def forward(self, ids):
        return super().forward(ids).float()


@wrong(caught_by=["agrees_with_torch", "keeps_the_dtype_of_the_weight"])
class Embedding__flattens_the_ids(Embedding):
    """The ids were treated as one long list: their shape got lost."""

    def forward(self, ids):
        return super().forward(ids.flatten())


@wrong(
    caught_by=["weight_is_named_and_shaped_like_torchs"],
    crashes=[
        "looks_up_rows_by_hand",
        "agrees_with_torch",
        "only_used_rows_get_a_gradient",
        "keeps_the_dtype_of_the_weight",
    ],
)
class Embedding__looks_up_columns(Embedding):
    """The table was kept as (d_model, vocab_size). The vector of a token is a row of it, not a
    column."""

    def __init__(self, vocab_size, d_model):
        super().__init__(vocab_size, d_model)
        self.weight = nn.Parameter(torch.randn(d_model, vocab_size))

    def forward(self, ids):
        check_range(ids, self.weight.shape[1])
        return self.weight[:, ids].movedim(0, -1)


@wrong(
    caught_by=[
        "looks_up_rows_by_hand",
        "agrees_with_torch",
        "only_used_rows_get_a_gradient",
        "keeps_the_dtype_of_the_weight",
    ]
)
class Embedding__scales_by_sqrt_d(Embedding):
    """The vectors were multiplied by sqrt(d_model). The first Transformer did so, but outside of
    its embedding."""

    def forward(self, ids):
        return super().forward(ids) * self.weight.shape[1] ** 0.5


@wrong(crashes=["only_used_rows_get_a_gradient"])
class Embedding__detaches_the_rows(Embedding):
    """The rows were copied with `.data`, `.detach()` or `no_grad`, so that no gradient reaches the
    table."""

    def forward(self, ids):
        check_range(ids, len(self.weight))
        return self.weight.data[ids]


@wrong(caught_by=["starts_standard_normal"])
class Embedding__starts_uniform(Embedding):
    """The first values are not standard normal: `torch.randn` draws those, `torch.rand` draws
    between 0 and 1."""

    def __init__(self, vocab_size, d_model):
        super().__init__(vocab_size, d_model)
        self.weight = nn.Parameter(torch.rand(vocab_size, d_model))


@wrong(crashes=["agrees_with_torch"])
class Embedding__empty_batch_crashes(Embedding):
    """The smallest and the largest of no ids at all do not exist: check the ids in another way."""

    def forward(self, ids):
        if ids.min() < 0 or ids.max() >= len(self.weight):
            raise IndexError("an id is outside the vocabulary")
        return self.weight[ids]
