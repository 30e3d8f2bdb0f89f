import torch

from kata.wrong import wrong
from solutions.ch08_tuning.ex03_sft_collate import sft_collate


@wrong(
    caught_by=[
        "end_is_learned_where_it_is_the_padding",
        "agrees_with_the_padding_of_torch",
        "one_example_needs_no_padding",
    ]
)
def sft_collate__masks_the_end(examples, pad_id):
    """Every label that is `pad_id` was set to -100. Where the end token serves as padding, that
    hides the real end too, and the model never learns to stop: go by the lengths."""
    batch = sft_collate(examples, pad_id)
    labels = batch["labels"].masked_fill(batch["input_ids"] == pad_id, -100)
    return {**batch, "labels": labels}


@wrong(caught_by=["tokens_that_are_the_padding_are_real", "agrees_with_the_padding_of_torch"])
def sft_collate__takes_pad_ids_for_padding(examples, pad_id):
    """`attention_mask` is 0 at every token that is `pad_id`. Where such a token belongs to an
    example it is real: go by the lengths."""
    batch = sft_collate(examples, pad_id)
    return {**batch, "attention_mask": (batch["input_ids"] != pad_id).long()}


@wrong(
    caught_by=[
        "three_examples_by_hand",
        "tokens_that_are_the_padding_are_real",
        "agrees_with_the_padding_of_torch",
    ]
)
def sft_collate__masks_the_prompt(examples, pad_id):
    """`attention_mask` is 0 wherever there is no label, at the prompt too. The prompt is not to be
    learned, but it is to be read."""
    batch = sft_collate(examples, pad_id)
    return {**batch, "attention_mask": (batch["labels"] != -100).long()}


@wrong(
    caught_by=[
        "three_examples_by_hand",
        "end_is_learned_where_it_is_the_padding",
        "agrees_with_the_padding_of_torch",
    ]
)
def sft_collate__pads_labels_with_the_pad_id(examples, pad_id):
    """Labels were padded with `pad_id`, so that the model learns to write padding. They are padded
    with -100."""
    batch = sft_collate(examples, pad_id)
    return {**batch, "labels": batch["labels"].where(batch["attention_mask"] == 1, pad_id)}


@wrong(caught_by=["three_examples_by_hand", "agrees_with_the_padding_of_torch"])
def sft_collate__pads_ids_with_the_label(examples, pad_id):
    """The ids were padded with -100. That is no token, and no embedding has a row for it."""
    batch = sft_collate(examples, pad_id)
    return {**batch, "input_ids": batch["input_ids"].where(batch["attention_mask"] == 1, -100)}


@wrong(
    caught_by=[
        "three_examples_by_hand",
        "end_is_learned_where_it_is_the_padding",
        "tokens_that_are_the_padding_are_real",
        "agrees_with_the_padding_of_torch",
    ]
)
def sft_collate__pads_on_the_left(examples, pad_id):
    """The padding stands on the left. That is for generation; here it is on the right, where causal
    attention never looks."""
    batch = sft_collate([(ids[::-1], labels[::-1]) for ids, labels in examples], pad_id)
    return {name: rows.flip(-1) for name, rows in batch.items()}


@wrong(
    caught_by=[
        "three_examples_by_hand",
        "end_is_learned_where_it_is_the_padding",
        "agrees_with_the_padding_of_torch",
        "one_example_needs_no_padding",
    ]
)
def sft_collate__takes_ids_as_labels(examples, pad_id):
    """The labels were made of the ids, so the prompt is learned. Take those of the examples."""
    batch = sft_collate(examples, pad_id)
    return {**batch, "labels": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)}


@wrong(
    caught_by=[
        "three_examples_by_hand",
        "end_is_learned_where_it_is_the_padding",
        "agrees_with_the_padding_of_torch",
        "one_example_needs_no_padding",
    ]
)
def sft_collate__shifts_the_labels(examples, pad_id):
    """The labels were moved by one place. The loss does that."""
    return sft_collate([(ids, [*labels[1:], -100]) for ids, labels in examples], pad_id)


@wrong(
    caught_by=[
        "three_examples_by_hand",
        "end_is_learned_where_it_is_the_padding",
        "tokens_that_are_the_padding_are_real",
        "agrees_with_the_padding_of_torch",
        "impossible_batches_are_refused",
    ]
)
def sft_collate__cuts_to_the_shortest(examples, pad_id):
    """Every example was cut to the length of the shortest one. They are padded to the longest."""
    width = min((len(ids) for ids, _ in examples), default=0)
    return sft_collate([(ids[:width], labels[:width]) for ids, labels in examples], pad_id)


@wrong(
    caught_by=[
        "three_examples_by_hand",
        "tokens_that_are_the_padding_are_real",
        "agrees_with_the_padding_of_torch",
    ]
)
def sft_collate__returns_a_boolean_mask(examples, pad_id):
    """`attention_mask` is boolean. Its dtype is int64, with 1 at a token."""
    batch = sft_collate(examples, pad_id)
    return {**batch, "attention_mask": batch["attention_mask"].bool()}


@wrong(
    caught_by=["batch_has_three_parts"],
    crashes=[
        "three_examples_by_hand",
        "tokens_that_are_the_padding_are_real",
        "agrees_with_the_padding_of_torch",
    ],
)
def sft_collate__gives_no_mask(examples, pad_id):
    """`attention_mask` is missing."""
    batch = sft_collate(examples, pad_id)
    return {name: batch[name] for name in ("input_ids", "labels")}


@wrong(caught_by=["examples_are_not_modified"])
def sft_collate__pads_the_given_lists(examples, pad_id):
    """The lists of the examples were padded in place. They belong to the caller, who has them in
    other batches too: make new ones."""
    batch = sft_collate(examples, pad_id)
    for ids, labels in examples:
        gap = batch["labels"].shape[1] - len(ids)
        ids += [pad_id] * gap
        labels += [-100] * gap
    return batch


@wrong(caught_by=["impossible_batches_are_refused"])
def sft_collate__checks_nothing(examples, pad_id):
    """Neither an empty batch was refused nor an example with another number of labels than ids,
    which would learn the wrong tokens."""
    width = max((len(ids) for ids, _ in examples), default=0)
    rows = [[*ids, *[pad_id] * width][:width] for ids, _ in examples]
    labels = [[*labels, *[-100] * width][:width] for _, labels in examples]
    mask = [[int(i < len(ids)) for i in range(width)] for ids, _ in examples]
    batch = {"input_ids": rows, "labels": labels, "attention_mask": mask}
    return {name: torch.tensor(value) for name, value in batch.items()}
