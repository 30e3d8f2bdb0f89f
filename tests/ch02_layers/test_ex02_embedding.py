import pytest
import torch
from torch import nn

from kata.check import close, raises
from kata.tensors import generator, parameter_gradients, randomise


def shapes(module):
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def same_as(answer, oracle):
    """The learner's table with the rows of torch's."""
    table = answer.Embedding(oracle.num_embeddings, oracle.embedding_dim)
    table.load_state_dict(oracle.state_dict())
    return table.to(oracle.weight.device, oracle.weight.dtype)


def test_weight_is_named_and_shaped_like_torchs(answer):
    assert shapes(answer.Embedding(7, 3)) == {"weight": (7, 3)}


def test_looks_up_rows_by_hand(answer):
    table = answer.Embedding(3, 2)
    table.load_state_dict({"weight": torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])})
    expected = torch.tensor([[4.0, 5.0], [0.0, 1.0], [4.0, 5.0]])
    close(table(torch.tensor([2, 0, 2])), expected, "seq d_model")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), "d_model"),
        ((5,), "seq d_model"),
        ((2, 5), "batch seq d_model"),
        ((2, 4, 5), "batch choice seq d_model"),
        ((2, 0), "batch seq d_model"),
    ],
)
def test_agrees_with_torch(answer, device, shape, axes):
    oracle = randomise(nn.Embedding(7, 3)).to(device)
    ids = torch.randint(7, shape, generator=generator()).to(device)
    expected = oracle(ids)
    close(same_as(answer, oracle)(ids), expected, axes)


@pytest.mark.parametrize("negative", [-1, -7])
def test_negative_id_raises_an_error(answer, negative):
    table = answer.Embedding(7, 3)
    with raises(IndexError):
        table(torch.tensor([6, negative, 2]))


@pytest.mark.parametrize("too_large", [7, 100])
def test_id_beyond_the_vocabulary_raises(answer, too_large):
    table = answer.Embedding(7, 3)
    with raises(IndexError):
        table(torch.tensor([6, too_large, 2]))


def test_only_used_rows_get_a_gradient(answer):
    oracle = randomise(nn.Embedding(7, 3))
    ids = torch.tensor([[1, 6, 1], [4, 1, 6]])  # repeated ids add up
    expected = parameter_gradients(oracle, ids)["weight"]
    actual = parameter_gradients(same_as(answer, oracle), ids)["weight"]
    close(actual, expected, "vocab d_model")


def test_starts_standard_normal(answer):
    torch.manual_seed(0)
    weight = answer.Embedding(300, 70).state_dict()["weight"]
    found = round(abs(weight.mean().item()), 1), round(weight.std().item(), 1)
    assert found == (0.0, 1.0), "weight: size of the mean, standard deviation"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype_of_the_weight(answer, dtype):
    oracle = randomise(nn.Embedding(7, 3)).to(dtype)
    ids = torch.tensor([[1, 6], [0, 4], [1, 1]])
    expected = oracle(ids)
    close(same_as(answer, oracle)(ids), expected, "batch seq d_model")
