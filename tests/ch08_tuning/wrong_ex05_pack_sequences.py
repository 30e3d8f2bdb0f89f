import torch

from kata.wrong import wrong
from solutions.ch08_tuning.ex05_pack_sequences import pack_sequences


def pieces_of(docs, context):
    """The documents, long ones cut into pieces."""
    return [doc[i : i + context] for doc in docs for i in range(0, len(doc), context)]


def put_together(rows, context, pad_id):
    """The batch of these rows, each of which is a list of documents."""
    batches = [pack_sequences(row, context, pad_id) for row in rows]
    empty = pack_sequences([], context, pad_id)
    return {name: torch.cat([b[name] for b in [empty, *batches]]) for name in empty}


@wrong(
    caught_by=[
        "mask_of_three_documents_by_hand",
        "documents_get_what_they_get_alone",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__sees_earlier_documents(docs, context, pad_id):
    """`doc_mask` is the causal mask, and nothing more: each document sees those before it in its
    row."""
    batch = pack_sequences(docs, context, pad_id)
    causal = torch.ones(context, context, dtype=torch.bool).tril()
    return {**batch, "doc_mask": causal.repeat(len(batch["input_ids"]), 1, 1, 1)}


@wrong(
    caught_by=[
        "mask_of_three_documents_by_hand",
        "documents_get_what_they_get_alone",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__sees_later_tokens(docs, context, pad_id):
    """`doc_mask` lets a token attend to later ones of its document. It is causal too."""
    batch = pack_sequences(docs, context, pad_id)
    return {**batch, "doc_mask": batch["doc_mask"] | batch["doc_mask"].mT}


@wrong(caught_by=["mask_of_three_documents_by_hand", "agrees_with_the_reference"])
def pack_sequences__has_one_mask_for_all_rows(docs, context, pad_id):
    """All rows have the mask of the first one. Each row has its own documents."""
    batch = pack_sequences(docs, context, pad_id)
    return {**batch, "doc_mask": batch["doc_mask"][:1].expand_as(batch["doc_mask"])}


@wrong(
    caught_by=[
        "mask_of_three_documents_by_hand",
        "documents_get_what_they_get_alone",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__turns_the_mask_round(docs, context, pad_id):
    """True means "may attend" in `doc_mask`; here it means "may not"."""
    batch = pack_sequences(docs, context, pad_id)
    return {**batch, "doc_mask": ~batch["doc_mask"]}


@wrong(
    caught_by=[
        "mask_of_three_documents_by_hand",
        "agrees_with_the_reference",
        "without_tokens_there_are_no_rows",
    ]
)
def pack_sequences__has_no_axis_for_heads(docs, context, pad_id):
    """`doc_mask` has no axis of size 1 for the heads: (rows, 1, context, context)."""
    batch = pack_sequences(docs, context, pad_id)
    return {**batch, "doc_mask": batch["doc_mask"][:, 0]}


@wrong(caught_by=["mask_of_three_documents_by_hand", "agrees_with_the_reference"])
def pack_sequences__lets_padding_see_nothing(docs, context, pad_id):
    """Padding may attend to nothing, and a softmax over nothing is NaN. It attends to itself, as if
    it were one more document."""
    batch = pack_sequences(docs, context, pad_id)
    is_real = put_together([[[1] * len(d) for d in docs]], context, 0)["input_ids"] == 1
    return {**batch, "doc_mask": batch["doc_mask"] & is_real[:, None, :, None]}


@wrong(
    caught_by=[
        "three_documents_by_hand",
        "full_row_agrees_with_transformers",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__counts_positions_through(docs, context, pad_id):
    """Positions go on from one document to the next. They begin at 0 in each."""
    batch = pack_sequences(docs, context, pad_id)
    return {**batch, "position_ids": torch.arange(context).repeat(len(batch["labels"]), 1)}


@wrong(
    caught_by=[
        "three_documents_by_hand",
        "full_row_agrees_with_transformers",
        "tokens_that_are_the_padding_are_learned",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__learns_first_tokens(docs, context, pad_id):
    """The first token of a document has its label, so that it is predicted from the end of another
    document. Its label is -100."""
    batch = pack_sequences(docs, context, pad_id)
    is_real = pack_sequences([[1] * len(doc) for doc in docs], context, 0)["input_ids"] == 1
    return {**batch, "labels": batch["input_ids"].where(is_real, -100)}


@wrong(
    caught_by=[
        "three_documents_by_hand",
        "full_row_agrees_with_transformers",
        "tokens_that_are_the_padding_are_learned",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__shifts_the_labels(docs, context, pad_id):
    """The labels were moved by one place. The loss does that."""
    batch = pack_sequences(docs, context, pad_id)
    return {**batch, "labels": batch["labels"].roll(-1, dims=1)}


@wrong(
    caught_by=[
        "three_documents_by_hand",
        "tokens_that_are_the_padding_are_learned",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__learns_padding(docs, context, pad_id):
    """Padding has labels, and is learned. There they are -100."""
    batch = pack_sequences(docs, context, pad_id)
    return {**batch, "labels": batch["input_ids"].masked_fill(batch["position_ids"] == 0, -100)}


@wrong(caught_by=["tokens_that_are_the_padding_are_learned", "agrees_with_the_reference"])
def pack_sequences__takes_pad_ids_for_padding(docs, context, pad_id):
    """Every token that is `pad_id` lost its label. In a document such a token is real: padding is
    what comes behind the last document of a row."""
    batch = pack_sequences(docs, context, pad_id)
    return {**batch, "labels": batch["labels"].masked_fill(batch["input_ids"] == pad_id, -100)}


@wrong(
    caught_by=[
        "three_documents_by_hand",
        "mask_of_three_documents_by_hand",
        "documents_stay_whole_and_in_order",
        "no_token_is_lost",
        "tokens_that_are_the_padding_are_learned",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__loses_the_last_row(docs, context, pad_id):
    """The last row is missing where it is not full. Nothing is lost: fill it up."""
    batch = pack_sequences(docs, context, pad_id)
    lengths = pack_sequences([[1] * len(doc) for doc in docs], context, 0)["input_ids"].sum(-1)
    full = len(lengths) - int(len(lengths) > 0 and lengths[-1] < context)
    return {name: value[:full] for name, value in batch.items()}


@wrong(
    caught_by=["documents_stay_whole_and_in_order", "no_token_is_lost", "agrees_with_the_reference"]
)
def pack_sequences__cuts_long_documents(docs, context, pad_id):
    """What did not fit of a long document was thrown away. It goes on in further pieces."""
    return pack_sequences([doc[:context] for doc in docs], context, pad_id)


@wrong(
    caught_by=[
        "three_documents_by_hand",
        "mask_of_three_documents_by_hand",
        "documents_stay_whole_and_in_order",
        "tokens_that_are_the_padding_are_learned",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__splits_documents_between_rows(docs, context, pad_id):
    """Documents were joined to one long text and cut every `context` tokens. A document that fits
    into a row stays whole: what is cut off would have to do without its beginning."""
    if context < 1:
        raise ValueError("no context")
    rows, room = [], 0
    for doc in docs:
        while doc:
            if room == 0:
                rows.append([])
                room = context
            rows[-1].append(doc[:room])
            doc, room = doc[room:], max(0, room - len(doc))
    return put_together(rows, context, pad_id)


@wrong(
    caught_by=[
        "three_documents_by_hand",
        "mask_of_three_documents_by_hand",
        "documents_stay_whole_and_in_order",
        "full_row_agrees_with_transformers",
        "tokens_that_are_the_padding_are_learned",
        "agrees_with_the_reference",
    ],
    crashes=["documents_get_what_they_get_alone"],
)
def pack_sequences__gives_each_document_a_row(docs, context, pad_id):
    """Each document has a row of its own: that is padding, not packing."""
    return put_together([[piece] for piece in pieces_of(docs, context)], context, pad_id)


@wrong(
    caught_by=["documents_stay_whole_and_in_order", "no_token_is_lost", "agrees_with_the_reference"]
)
def pack_sequences__fills_earlier_rows(docs, context, pad_id):
    """A document went into an earlier row that had room for it. They stay in order."""
    rows = []
    for piece in pieces_of(docs, context):
        for row in rows:
            if sum(map(len, row)) + len(piece) <= context:
                row.append(piece)
                break
        else:
            rows.append([piece])
    return put_together(rows, context, pad_id)


@wrong(
    caught_by=[
        "three_documents_by_hand",
        "mask_of_three_documents_by_hand",
        "documents_stay_whole_and_in_order",
        "no_token_is_lost",
        "full_row_agrees_with_transformers",
        "documents_get_what_they_get_alone",
        "tokens_that_are_the_padding_are_learned",
        "agrees_with_the_reference",
    ]
)
def pack_sequences__sorts_by_length(docs, context, pad_id):
    """The documents were sorted by their length. That saves rows, but they stay in order here."""
    return pack_sequences(sorted(docs, key=len, reverse=True), context, pad_id)


@wrong(
    caught_by=[
        "documents_stay_whole_and_in_order",
        "full_row_agrees_with_transformers",
        "agrees_with_the_reference",
    ],
    crashes=["documents_get_what_they_get_alone"],
)
def pack_sequences__leaves_rows_not_quite_full(docs, context, pad_id):
    """A document that fills a row exactly began a new one: it fits (`<=`, not `<`)."""
    rows, used = [], 0
    for piece in pieces_of(docs, context):
        if not rows or used + len(piece) >= context:
            rows.append([])
            used = 0
        rows[-1].append(piece)
        used += len(piece)
    return put_together(rows, context, pad_id)


@wrong(crashes=["no_token_is_lost", "without_tokens_there_are_no_rows"])
def pack_sequences__needs_a_token(docs, context, pad_id):
    """Without any token it crashed. There are no rows then, but the tensors keep their axes."""
    if not any(docs):
        raise IndexError("list index out of range")
    return pack_sequences(docs, context, pad_id)


@wrong(caught_by=["without_tokens_there_are_no_rows"])
def pack_sequences__begins_with_an_empty_row(docs, context, pad_id):
    """Without any token there was a row of nothing but padding. There are no rows then."""
    batch = pack_sequences(docs if any(docs) else [[pad_id]], context, pad_id)
    if not any(docs):
        batch["position_ids"] = torch.arange(context)[None]
        batch["doc_mask"] = torch.ones(1, 1, context, context, dtype=torch.bool).tril()
    return batch


@wrong(caught_by=["documents_are_not_modified"])
def pack_sequences__empties_the_documents(docs, context, pad_id):
    """The lists of the documents were used up (`pop`, `del`, `+=`). They belong to the caller."""
    batch = pack_sequences(docs, context, pad_id)
    for doc in docs:
        del doc[context:]
    return batch


@wrong(caught_by=["context_below_one_is_refused"])
def pack_sequences__accepts_no_context(docs, context, pad_id):
    """A `context` below 1 was not refused."""
    return pack_sequences(docs, max(context, 1), pad_id)
