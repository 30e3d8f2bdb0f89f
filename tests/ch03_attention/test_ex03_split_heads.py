import pytest
import torch

from kata.check import close, raises
from kata.tensors import gradients, normal


def test_splits_two_tokens_by_hand(answer):
    x = torch.tensor([[[0, 1, 2, 3, 4, 5], [10, 11, 12, 13, 14, 15]]])
    heads = [[[0, 1], [10, 11]], [[2, 3], [12, 13]], [[4, 5], [14, 15]]]
    close(answer.split_heads(x, 3), torch.tensor([heads]), "batch head token head_dim")


def test_merges_two_tokens_by_hand(answer):
    heads = [[[0, 1], [10, 11]], [[2, 3], [12, 13]], [[4, 5], [14, 15]]]
    expected = torch.tensor([[[0, 1, 2, 3, 4, 5], [10, 11, 12, 13, 14, 15]]])
    close(answer.merge_heads(torch.tensor([heads])), expected, "batch token d_model")


@pytest.mark.parametrize("leading", [(), (2,), (2, 6)], ids=str)
@pytest.mark.parametrize("n_heads", [1, 3, 12])
def test_each_head_holds_its_piece_of_the_features(answer, device, leading, n_heads):
    x = normal(*leading, 5, 12).to(device)
    expected = torch.stack(x.chunk(n_heads, dim=-1), dim=-3)
    close(answer.split_heads(x, n_heads), expected)


@pytest.mark.parametrize("leading", [(), (2,), (2, 6)], ids=str)
@pytest.mark.parametrize("n_heads", [1, 3, 7])
def test_merging_puts_the_heads_side_by_side(answer, device, leading, n_heads):
    x = normal(*leading, n_heads, 5, 4).to(device)
    expected = torch.cat(x.unbind(-3), dim=-1)
    close(answer.merge_heads(x), expected)


def test_merging_undoes_splitting(answer):
    x = normal(2, 5, 12)
    close(answer.merge_heads(answer.split_heads(x, 3)), normal(2, 5, 12), "batch token d_model")


def test_other_tokens_do_not_change_a_token(answer):
    before = answer.split_heads(normal(2, 5, 12), 3)[:, :, :3]
    changed = torch.cat([normal(2, 5, 12)[:, :3], normal(2, 2, 12, seed=1)], dim=1)
    close(answer.split_heads(changed, 3)[:, :, :3], before, "batch head token head_dim")


def test_gradient_finds_its_way_back(answer):
    x = normal(2, 5, 12)
    expected = gradients(torch.square, x)[0]
    actual = gradients(lambda x: answer.merge_heads(answer.split_heads(x, 3) ** 2), x)[0]
    close(actual, expected, "batch token d_model")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    x = normal(2, 5, 12, dtype=dtype)
    close(answer.merge_heads(answer.split_heads(x, 3)), x.clone(), "batch token d_model")


def test_stays_on_the_device_of_the_input(answer):
    heads = answer.split_heads(normal(2, 5, 12).to("meta"), 3)
    close(heads, torch.empty(2, 3, 5, 4, device="meta"), "batch head token head_dim")
    close(answer.merge_heads(heads), torch.empty(2, 5, 12, device="meta"), "batch token d_model")


def test_heads_of_unequal_size_are_refused(answer):
    with raises(ValueError):
        answer.split_heads(normal(2, 5, 12), 5)
