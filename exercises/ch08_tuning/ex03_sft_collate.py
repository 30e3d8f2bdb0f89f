"""8.3 A batch of examples   [easy, ~15 min]

Examples have unequal lengths, a batch is a rectangle: ids, labels and mask are padded (1.12), each
in its own way. Many tokenizers have no pad token, and their users take the end token for it. Then
the id no longer tells whether a token is padding. Code that asks for the id masks the real end as
well, and the model never learns to stop.

Source: `DataCollatorForSeq2Seq` in https://github.com/huggingface/transformers,
data/data_collator.py.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from ..ch01_tokenizers.ex12_pad_batch import pad_batch

IGNORED = -100  # a label that counts for nothing


def sft_collate(
    examples: Sequence[tuple[list[int], list[int]]], pad_id: int
) -> dict[str, Int[Tensor, "batch seq"]]:
    """Put examples into one batch, a row for each, padded on the right to the longest one.

    Args:
        examples: pairs of ids and labels, as `build_sft_example` (8.2) makes them; not modified.
        pad_id: may be any id, also one that occurs in the examples, such as the end token.

    Returns:
        Three int64 tensors of one shape:
        input_ids: the ids, and `pad_id` at padding.
        labels: the labels, and `IGNORED` at padding.
        attention_mask: 1 at each token of an example, whatever its id and label, 0 at padding.

    Raises:
        ValueError: there are no examples, or an example has not as many labels as ids.

    >>> batch = sft_collate([([7, 8, 2], [-100, 8, 2]), ([9, 2], [-100, 2])], pad_id=2)
    >>> batch["input_ids"].tolist(), batch["labels"].tolist()
    ([[7, 8, 2], [9, 2, 2]], [[-100, 8, 2], [-100, 2, -100]])
    """
    raise NotImplementedError("sft_collate")  # your code here
