from itertools import pairwise

import pytest
import torch

from kata.check import close, raises
from kata.tensors import Watch, gradients, normal


def cut(x, sizes=(3, 1, 4, 2)):
    """The blocks of rows of ten scores."""
    return list(x.split(sizes, dim=-1))


def with_minus_infinity(dtype=torch.float32):
    """Rows that begin with -inf, for one block and for two, one that ends with it."""
    x = normal(4, 10, dtype=dtype) - 5
    x[0, :3] = x[1, :4] = x[2, 4:] = x[3, 4] = -torch.inf
    return x


def test_two_blocks_by_hand(answer):
    row = torch.tensor([1.0, 3.0, 4.0]).log()  # 1/4 + 3/4 + 4/4 = 2
    m, total, weights = answer.online_softmax([row[:2], row[2:]])
    close(m.exp(), torch.tensor(4.0))
    close(total, torch.tensor(2.0))
    close(weights, torch.tensor([0.125, 0.375, 0.5]), "score")


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0, 3)], ids=str)
def test_weights_agree_with_torch(answer, device, shape):
    x = normal(*shape, 10).to(device)
    expected = x.softmax(-1)
    axes = " ".join(["batch", "row", "score"][-x.dim() :])
    close(answer.online_softmax(cut(x))[2], expected, axes)


@pytest.mark.parametrize("sizes", [[10], [1] * 10, [9, 1], [2, 8]], ids=str)
def test_it_does_not_matter_how_the_rows_are_cut(answer, sizes):
    x = normal(4, 10) - 5
    maximum, softmax = x.amax(-1), x.softmax(-1)
    m, total, _ = answer.online_softmax(cut(x, sizes))
    close(m, maximum, "row")
    close(total, 1 / softmax.amax(-1), "row")  # the largest weight is exp(0) / total


@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
def test_huge_scores_in_order_of_size(answer, descending):
    x = (normal(4, 10) * 1e4).sort(-1, descending=descending).values
    maximum, softmax = x.amax(-1), x.softmax(-1)
    m, total, weights = answer.online_softmax(cut(x))
    close(m, maximum, "row")
    close(total, 1 / softmax.amax(-1), "row")
    close(weights, softmax, "row score")


def test_blocks_of_minus_infinity(answer):
    softmax = with_minus_infinity().softmax(-1)
    _, total, weights = answer.online_softmax(cut(with_minus_infinity()))
    close(total, 1 / softmax.amax(-1), "row")
    close(weights, softmax, "row score")


def test_a_row_of_nothing_but_minus_infinity(answer):
    x = torch.tensor([[-torch.inf] * 10, [0.0] * 10])
    m, total, weights = answer.online_softmax(cut(x))
    close(m, torch.tensor([-torch.inf, 0.0]), "row")
    close(total, torch.tensor([0.0, 10.0]), "row")
    close(weights, torch.tensor([[0.0] * 10, [0.1] * 10]), "row score")


def test_each_block_is_worked_on_before_the_next(answer):
    done = []  # how many operations had run when a block was asked for

    def stream():
        for block in cut(normal(4, 10)):
            done.append(watch.operations)
            yield block

    with Watch() as watch:
        answer.online_softmax(stream())
    was_worked_on = [after > before for before, after in pairwise(done)]
    assert was_worked_on == [True, True, True], "before the next block was asked for"


@pytest.mark.parametrize("i", [1, 2], ids=["m + log l", "weights"])
def test_gradients_agree_with_torch(answer, i):
    def own(x):
        m, total, weights = answer.online_softmax(cut(x))
        return [m + total.log(), weights][i - 1]

    expected = gradients([torch.logsumexp, torch.softmax][i - 1], with_minus_infinity(), dim=-1)[0]
    close(gradients(own, with_minus_infinity())[0], expected, "row score")


def test_blocks_are_not_modified(answer):
    blocks = cut(normal(4, 10))
    answer.online_softmax(blocks)
    close(torch.cat(blocks, -1), normal(4, 10), "row score")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_weights_keep_the_dtype(answer, dtype):
    expected = with_minus_infinity(dtype).softmax(-1)
    close(answer.online_softmax(cut(with_minus_infinity(dtype)))[2], expected, "row score")


@pytest.mark.parametrize(
    ("dtype", "kept_in"),
    [(torch.float64, torch.float64), (torch.bfloat16, torch.float32)],
    ids=str,
)
def test_maximum_and_sum_are_not_kept_in_bfloat16(answer, dtype, kept_in):
    x = normal(2, 3000, dtype=dtype)
    maximum, softmax = x.to(kept_in).amax(-1), x.to(kept_in).softmax(-1)
    m, total, _ = answer.online_softmax(x.split(7, -1))
    close(m, maximum, "row")
    close(total, 1 / softmax.amax(-1), "row")


def test_stays_on_the_device_of_the_blocks(answer):
    m, total, weights = answer.online_softmax(cut(normal(4, 10).to("meta")))
    close(m, torch.empty(4, device="meta"), "row")
    close(total, torch.empty(4, device="meta"), "row")
    close(weights, torch.empty(4, 10, device="meta"), "row score")


def test_a_stream_without_blocks_is_an_error(answer):
    with raises(ValueError):
        answer.online_softmax([])
