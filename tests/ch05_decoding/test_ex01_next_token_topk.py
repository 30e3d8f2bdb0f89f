import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal

IDS, PROBS = "batch id", "batch probability"  # the axes of the two results


def test_two_most_likely_by_hand(answer):
    last = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4]]).log()
    probs, ids = answer.next_token_topk(last[:, None], k=2)
    close(ids, torch.tensor([[1, 2], [0, 2]]), IDS)
    close(probs, torch.tensor([[0.6, 0.3], [0.5, 0.4]]), PROBS)


def test_reads_the_last_position(answer):
    row = torch.tensor([[0.2, 0.7, 0.1], [0.6, 0.1, 0.3], [0.1, 0.1, 0.8]]).log()
    probs, ids = answer.next_token_topk(row.repeat(2, 1, 1), k=1)
    close(ids, torch.tensor([[2], [2]]), IDS)
    close(probs, torch.tensor([[0.8], [0.8]]), PROBS)


@pytest.mark.parametrize("shape", [(2, 3, 7), (5, 1, 4), (3, 6, 50), (0, 2, 5)])
def test_agrees_with_torch(answer, device, shape):
    logits = normal(*shape).to(device)
    expected = logits[:, -1].softmax(-1).topk(3)
    probs, ids = answer.next_token_topk(logits, k=3)
    close(ids, expected.indices, IDS)
    close(probs, expected.values, PROBS)


def test_huge_and_hidden_logits(answer):
    logits = torch.tensor([[[-1e4, 1e4, -torch.inf, 1e4 - 1]], [[-torch.inf, -1e4, 0.0, 3.0]]])
    expected = logits[:, -1].softmax(-1).topk(2)
    probs, ids = answer.next_token_topk(logits, k=2)
    close(ids, expected.indices, IDS)
    close(probs, expected.values, PROBS)


@pytest.mark.parametrize("k", [4, 5, 1000])
def test_never_more_than_the_vocabulary(answer, k):
    logits = normal(2, 3, 4)
    expected = logits[:, -1].softmax(-1).topk(4)
    probs, ids = answer.next_token_topk(logits, k=k)
    close(ids, expected.indices, IDS)
    close(probs, expected.values, PROBS)


@pytest.mark.parametrize("k", [0, -1])
def test_refuses_k_below_one(answer, k):
    with raises(ValueError):
        answer.next_token_topk(normal(2, 3, 4), k=k)


def test_input_is_not_modified(answer):
    logits = normal(2, 3, 4)
    answer.next_token_topk(logits, k=2)
    close(logits, normal(2, 3, 4), "batch seq vocab")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    logits = torch.tensor([[[0, 2, 1, -3]], [[-1, -2, 4, 3]]], dtype=dtype)
    expected = logits[:, -1].softmax(-1).topk(3)
    probs, ids = answer.next_token_topk(logits, k=3)
    close(ids, expected.indices, IDS)
    close(probs, expected.values, PROBS)


def test_stays_on_the_device_of_the_input(answer):
    probs, ids = answer.next_token_topk(normal(2, 3, 5).to("meta"), k=4)
    close(probs, torch.empty(2, 4, device="meta"), PROBS)
    close(ids, torch.empty(2, 4, dtype=torch.long, device="meta"), IDS)
