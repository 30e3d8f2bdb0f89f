import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal

INF = float("inf")


def adversarial():
    x = 3 * normal(6, 30)
    x[0, 3], x[0, 7], x[1, 5] = 1e4, 1e4 - 1, -1e4
    x[2, ::2] = -INF
    x[3, 2:] = -INF  # two candidates
    x[4] = x[4].round()  # equal ones
    x[5] = 0.25
    return x


@pytest.mark.parametrize(
    ("k", "expected"),
    [(1, [-INF, 4.0, -INF, -INF]), (2, [-INF, 4.0, -INF, 3.0]), (3, [-INF, 4.0, -2.0, 3.0])],
)
def test_keeps_the_k_largest(answer, k, expected):
    logits = torch.tensor([-7.0, 4.0, -2.0, 3.0])
    close(answer.top_k_filter(logits, k=k), torch.tensor(expected), "vocab")


def test_keeps_all_that_equal_the_kth(answer):
    logits = torch.tensor([1.0, 3.0, 2.0, 2.0, 2.0, 0.0])
    expected = torch.tensor([-INF, 3.0, 2.0, 2.0, 2.0, -INF])
    close(answer.top_k_filter(logits, k=2), expected, "vocab")


def test_each_row_has_its_own_threshold(answer):
    logits = torch.tensor([[1.0, 2.0, 3.0], [60.0, 40.0, 50.0], [-5.0, -4.0, -6.0]])
    expected = torch.tensor([[-INF, 2.0, 3.0], [60.0, -INF, 50.0], [-5.0, -4.0, -INF]])
    close(answer.top_k_filter(logits, k=2), expected, "batch vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("k", [1, 3, 29, 30])
def test_agrees_with_transformers(answer, device, k):
    from transformers.generation.logits_process import TopKLogitsWarper

    logits = adversarial().to(device)
    expected = TopKLogitsWarper(k)(None, logits.clone())
    close(answer.top_k_filter(logits, k=k), expected, "batch vocab", rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 3, 5), (3, 1), (0, 5)])
def test_any_leading_axes(answer, reference, shape):
    expected = reference.top_k_filter(normal(*shape), 3)
    close(answer.top_k_filter(normal(*shape), k=3), expected, "vocab")


@pytest.mark.parametrize("k", [4, 5, 1000])
def test_large_k_keeps_everything(answer, k):
    logits = normal(2, 4)
    close(answer.top_k_filter(logits, k=k), normal(2, 4), "batch vocab")


@pytest.mark.parametrize("k", [0, -1])
def test_refuses_k_below_one(answer, k):
    with raises(ValueError):
        answer.top_k_filter(normal(2, 5), k=k)


def test_input_is_not_modified(answer):
    logits = normal(2, 5)
    answer.top_k_filter(logits, k=2)
    close(logits, normal(2, 5), "batch vocab")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_keeps_the_dtype(answer, reference, dtype):
    expected = reference.top_k_filter(normal(3, 20, dtype=dtype), 4)
    actual = answer.top_k_filter(normal(3, 20, dtype=dtype), k=4)
    close(actual, expected, "batch vocab", rtol=0, atol=0)


def test_stays_on_the_device_of_the_input(answer):
    filtered = answer.top_k_filter(normal(2, 5).to("meta"), k=3)
    close(filtered, torch.empty(2, 5, device="meta"), "batch vocab")
