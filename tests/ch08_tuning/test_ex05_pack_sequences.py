import pytest
import torch
from torch.nn import functional as F

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import generator, normal

AXES = {
    "input_ids": "row token",
    "labels": "row token",
    "position_ids": "row token",
    "doc_mask": "row heads query key",
}
# Of the documents [5, 6, 7], [8] and [9, 5] in rows of 5 tokens.
BY_HAND = {
    "input_ids": [[5, 6, 7, 8, 0], [9, 5, 0, 0, 0]],
    "labels": [[-100, 6, 7, -100, -100], [-100, 5, -100, -100, -100]],
    "position_ids": [[0, 1, 2, 0, 0], [0, 1, 0, 1, 2]],
}
# What may attend to what there, a line for each query.
MASKS = """
1.... 1....
11... 11...
111.. ..1..
...1. ..11.
....1 ..111
"""
# The documents, and the rows of 4 tokens.
ROWS = {
    "filled exactly": ([[1], [2, 3, 4], [5, 6, 7, 8], [9]], ["1234", "5678", "9000"]),
    "one token too many": ([[1, 2], [3, 4, 5], [6]], ["1200", "3456"]),
    "no room at the end": ([[1, 2, 3], [4, 5], [6], [7]], ["1230", "4567"]),
    "longer than a row": ([[1], [2, 3, 4, 5, 6, 7], [8, 9]], ["1000", "2345", "6789"]),
    "longer than two rows": ([[1, 2, 3, 4, 5, 6, 7, 8, 9], [1]], ["1234", "5678", "9100"]),
    "without tokens": ([[], [1, 2], [], [], [3, 4], []], ["1234"]),
}
documents = st.lists(st.lists(st.integers(1, 9), max_size=9), max_size=8)


def three():
    return [[5, 6, 7], [8], [9, 5]]


def flattened(docs):
    """What the collator of transformers makes of documents that share one row."""
    from transformers import DataCollatorWithFlattening

    collate = DataCollatorWithFlattening(return_tensors="pt")
    return collate([{"input_ids": list(doc)} for doc in docs])


def attention(docs):
    """Random queries, keys and values of one row, and what each document gets when it is alone."""
    q, k, v = (normal(1, 2, sum(map(len, docs)), 6, seed=seed) for seed in range(3))
    cuts = [x.split([len(doc) for doc in docs], dim=2) for x in (q, k, v)]
    alone = [
        F.scaled_dot_product_attention(*each, is_causal=True) for each in zip(*cuts, strict=True)
    ]
    return (q, k, v), torch.cat(alone, dim=2)


@pytest.mark.parametrize("name", BY_HAND)
def test_three_documents_by_hand(answer, name):
    expected = torch.tensor(BY_HAND[name])
    close(answer.pack_sequences(three(), context=5, pad_id=0)[name], expected, AXES[name])


def test_mask_of_three_documents_by_hand(answer):
    lines = [line.split() for line in MASKS.split("\n") if line]
    marks = [[[[mark == "1" for mark in line[row]] for line in lines]] for row in range(2)]
    actual = answer.pack_sequences(three(), context=5, pad_id=0)["doc_mask"]
    close(actual, torch.tensor(marks), AXES["doc_mask"])


@pytest.mark.parametrize(("docs", "rows"), ROWS.values(), ids=ROWS)
def test_documents_stay_whole_and_in_order(answer, docs, rows):
    expected = torch.tensor([[int(digit) for digit in row] for row in rows])
    actual = answer.pack_sequences(docs, context=4, pad_id=0)["input_ids"]
    close(actual, expected, "row token")


@given(docs=documents, context=st.integers(1, 6))
@example(docs=[[1], [2, 3, 4, 5, 6], [7]], context=3)
def test_no_token_is_lost(answer, docs, context):
    expected = [token for doc in docs for token in doc]
    actual = answer.pack_sequences(docs, context, pad_id=0)["input_ids"].flatten().tolist()
    assert [token for token in actual if token != 0] == expected


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BY_HAND)
def test_full_row_agrees_with_transformers(answer, name):
    docs = [[3, 1, 4], [1], [5, 9, 2, 6], [5, 3]]
    expected = flattened(docs)[name]
    close(answer.pack_sequences(docs, context=10, pad_id=0)[name], expected, AXES[name])


def test_documents_get_what_they_get_alone(answer):
    docs = [[3, 1, 4], [1], [5, 9, 2, 6], [5, 3]]
    (q, k, v), expected = attention(docs)
    mask = answer.pack_sequences(docs, context=10, pad_id=0)["doc_mask"]
    close(F.scaled_dot_product_attention(q, k, v, mask), expected, "row head query d")


def test_tokens_that_are_the_padding_are_learned(answer):
    docs = [[7, 7, 2], [5, 7], [7, 1, 2, 7]]
    expected = torch.tensor([[-100, 7, 2, -100, 7, -100], [-100, 1, 2, 7, -100, -100]])
    actual = answer.pack_sequences(docs, context=6, pad_id=7)["labels"]
    close(actual, expected, "row token")


@pytest.mark.parametrize("name", AXES)
def test_agrees_with_the_reference(answer, reference, name):
    lengths = torch.randint(0, 14, (15,), generator=generator()).tolist()
    docs = [torch.randint(20, (n,), generator=generator(n)).tolist() for n in lengths]
    expected = reference.pack_sequences([list(doc) for doc in docs], 9, 3)[name]
    close(answer.pack_sequences(docs, 9, 3)[name], expected, AXES[name])


@pytest.mark.parametrize("docs", [[], [[], []]], ids=str)
@pytest.mark.parametrize("name", AXES)
def test_without_tokens_there_are_no_rows(answer, name, docs):
    shape = (0, 1, 4, 4) if name == "doc_mask" else (0, 4)
    expected = torch.zeros(shape, dtype=torch.bool if name == "doc_mask" else torch.int64)
    close(answer.pack_sequences(docs, context=4, pad_id=0)[name], expected, AXES[name])


def test_documents_are_not_modified(answer):
    docs = [[1, 2, 3, 4, 5], [6], [7, 8]]
    answer.pack_sequences(docs, context=3, pad_id=0)
    assert docs == [[1, 2, 3, 4, 5], [6], [7, 8]]


@pytest.mark.parametrize("context", [0, -1])
def test_context_below_one_is_refused(answer, context):
    with raises(ValueError):
        answer.pack_sequences(three(), context, pad_id=0)
