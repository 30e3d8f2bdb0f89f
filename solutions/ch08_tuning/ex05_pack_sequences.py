"""8.5 Packing   [hard, ~35 min]

A batch of short texts is mostly padding, which costs as much as text. Packing puts several texts
into one row. They must not notice: each attends to itself alone, counts its positions from 0, and
its first token is nobody's to predict. A causal mask alone lets every text see those before it in
the row, and the loss looks fine all the same.

Source: Krell et al. (2021), Efficient Sequence Packing without Cross-contamination,
https://arxiv.org/abs/2107.02027; https://huggingface.co/docs/trl/reducing_memory_usage, "Packing".
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

IGNORED = -100  # a label that counts for nothing


def pack_sequences(
    docs: list[list[int]], context: int, pad_id: int
) -> dict[str, Int[Tensor, "rows context"] | Bool[Tensor, "rows 1 context context"]]:
    """Put documents into rows of `context` tokens, so that none has an influence on another.

    A document that is longer than `context` is cut into pieces of `context` tokens, of which the
    last may be shorter; from here on each piece is a document of its own. Documents stay whole and
    in order: each one comes directly behind the one before it if that row has room for all of it,
    otherwise it begins a new row. Every token is there exactly once.

    What is left of a row is padding, on the right. It is treated like one more document, but has no
    labels. (Were it allowed to attend to nothing, a softmax over nothing would be NaN.)

    Args:
        docs: not modified. A document without tokens changes nothing.
        context: the length of a row.
        pad_id: may be any id, also one that occurs in the documents.

    Returns:
        Four tensors, the first three int64. Without any token they have no rows.
        input_ids: the documents, and `pad_id` at padding.
        labels: `input_ids` (not shifted: the loss does that), but `IGNORED` at the first token of
            each document and at padding.
        position_ids: 0, 1, 2, ... from the first token of each document, and of the padding, on.
        doc_mask: True = may attend. A token attends to the tokens of its own document up to itself.
            The axis of size 1 is for the heads.

    Raises:
        ValueError: `context` is below 1.

    >>> batch = pack_sequences([[5, 6], [7, 8, 9]], context=6, pad_id=0)
    >>> batch["labels"], batch["position_ids"]
    (tensor([[-100,    6, -100,    8,    9, -100]]), tensor([[0, 1, 0, 1, 2, 0]]))
    >>> batch["doc_mask"][0, 0, 4].int()  # the last token of the second document
    tensor([0, 0, 1, 1, 1, 0], dtype=torch.int32)
    """
    # solution
    if context < 1:
        raise ValueError(f"context must be at least 1, got {context}")
    rows: list[list[tuple[int, int, int]]] = []  # of each token its id, label and position
    for piece in (doc[i : i + context] for doc in docs for i in range(0, len(doc), context)):
        if not rows or len(rows[-1]) + len(piece) > context:
            rows.append([])
        rows[-1] += zip(piece, [IGNORED, *piece[1:]], range(len(piece)), strict=True)
    for row in rows:
        row += [(pad_id, IGNORED, i) for i in range(context - len(row))]
    table = torch.tensor(rows, dtype=torch.int64).reshape(
        -1, context, 3
    )  # no rows: (0, context, 3)
    input_ids, labels, position_ids = table.permute(2, 0, 1).contiguous()  # (rows, context) each
    doc = (position_ids == 0).cumsum(-1)  # in its row, the number of each token's document
    same = doc[:, None, :, None] == doc[:, None, None, :]  # (rows, 1, context, context)
    return {
        "input_ids": input_ids,
        "labels": labels,
        "position_ids": position_ids,
        "doc_mask": same & torch.ones(context, context, dtype=torch.bool).tril(),
    }
