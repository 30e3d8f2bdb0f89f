import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from kata.check import close, raises
from kata.tensors import generator

NAMES = ["input_ids", "labels", "attention_mask"]
BY_HAND = {
    "input_ids": [[5, 6, 7, 1], [8, 1, 0, 0], [9, 9, 1, 0]],
    "labels": [[-100, -100, 7, 1], [-100, 1, -100, -100], [-100, 9, 1, -100]],
    "attention_mask": [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]],
}
REFUSED = {
    "no examples": [],
    "a label too few": [([5, 6, 1], [-100, 6])],
    "a label too many": [([5, 1], [-100, 1]), ([7, 1], [-100, 1, 1])],
}


def three():
    return [
        ([5, 6, 7, 1], [-100, -100, 7, 1]),
        ([8, 1], [-100, 1]),
        ([9, 9, 1], [-100, 9, 1]),
    ]


def many(seed=0):
    """Random examples of 1 to 9 tokens, each with some labels of -100 in front."""
    rng, examples = generator(seed), []
    for length in torch.randint(1, 10, (8,), generator=rng).tolist():
        ids = torch.randint(20, (length,), generator=rng).tolist()
        hidden = int(torch.randint(length, (), generator=rng))
        examples.append((ids, [-100] * hidden + ids[hidden:]))
    return examples


def padded(examples, pad_id):
    """What torch's own padding makes of the examples."""
    columns = {
        "input_ids": ([ids for ids, _ in examples], pad_id),
        "labels": ([labels for _, labels in examples], -100),
        "attention_mask": ([[1] * len(ids) for ids, _ in examples], 0),
    }
    return {
        name: pad_sequence([torch.tensor(row) for row in rows], True, value)
        for name, (rows, value) in columns.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_three_examples_by_hand(answer, name):
    expected = torch.tensor(BY_HAND[name])
    close(answer.sft_collate(three(), pad_id=0)[name], expected, "example token")


def test_batch_has_three_parts(answer):
    assert sorted(answer.sft_collate(three(), pad_id=0)) == sorted(NAMES)


def test_end_is_learned_where_it_is_the_padding(answer):
    expected = torch.tensor([[-100, -100, 7, 1], [-100, 1, -100, -100], [-100, 9, 1, -100]])
    close(answer.sft_collate(three(), pad_id=1)["labels"], expected, "example token")


@pytest.mark.parametrize("pad_id", [1, 9])
def test_tokens_that_are_the_padding_are_real(answer, pad_id):
    expected = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]])
    close(answer.sft_collate(three(), pad_id)["attention_mask"], expected, "example token")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pad_id", [3, 25])
def test_agrees_with_the_padding_of_torch(answer, name, pad_id):
    expected = padded(many(), pad_id)[name]
    close(answer.sft_collate(many(), pad_id)[name], expected, "example token")


def test_one_example_needs_no_padding(answer):
    expected = torch.tensor([[-100, -100, 7, 1]])
    close(answer.sft_collate(three()[:1], pad_id=1)["labels"], expected, "example token")


def test_examples_are_not_modified(answer):
    examples = three()
    answer.sft_collate(examples, pad_id=0)
    assert examples == three()


@pytest.mark.parametrize("examples", REFUSED.values(), ids=REFUSED)
def test_impossible_batches_are_refused(answer, examples):
    with raises(ValueError):
        answer.sft_collate(examples, pad_id=0)
