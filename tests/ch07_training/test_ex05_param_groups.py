import pytest
import torch
from torch import nn

from kata.check import close
from kata.tensors import randomise


class Scale(nn.Module):
    """A norm without a familiar name, or whatever else has one parameter."""

    def __init__(self, *shape):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(shape))


def names(answer, model):
    """The names of the parameters in both groups, told by their values."""
    with torch.no_grad():
        for tensor in model.buffers():
            tensor.fill_(-1)
        for i, parameter in enumerate(model.parameters()):
            parameter.fill_(i)
    table = dict(enumerate(name for name, _ in model.named_parameters()))
    groups = answer.param_groups(model, 0.1)
    values = [[int(p.detach().flatten()[0]) for p in group["params"]] for group in groups]
    return [[table.get(value, "no parameter") for value in group] for group in values]


def test_matrices_decay_and_vectors_do_not(answer):
    model = nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 6), Scale(6))
    vectors = ["1.weight", "1.bias", "2.bias", "3.gain"]
    assert names(answer, model) == [["0.weight", "2.weight"], vectors]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), [[], ["gain"]]),
        ((5,), [[], ["gain"]]),
        ((1, 5), [["gain"], []]),
        ((2, 3, 4), [["gain"], []]),
        ((2, 3, 4, 5), [["gain"], []]),
    ],
    ids=str,
)
def test_number_of_axes_decides(answer, shape, expected):
    assert names(answer, Scale(*shape)) == expected


def test_tied_parameters_are_there_once(answer):
    model = nn.Sequential(nn.Embedding(9, 4), Scale(4), nn.Linear(4, 9))
    model[2].weight = model[0].weight
    assert names(answer, model) == [["0.weight"], ["1.gain", "2.bias"]]


def test_frozen_parameters_are_left_out(answer):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 6))
    model[0].requires_grad_(False)
    model[1].bias.requires_grad_(False)
    model[2].weight.requires_grad_(False)
    assert names(answer, model) == [["1.weight"], ["2.bias"]]


def test_buffers_are_left_out(answer):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model.register_buffer("mask", torch.ones(5, 5))
    assert names(answer, model) == [["0.weight"], ["0.bias", "1.weight", "1.bias"]]


def test_every_parameter_is_there_once(answer):
    model = nn.TransformerDecoderLayer(4, 2, 6)
    expected = [[], []]
    for name, parameter in model.named_parameters():
        expected[parameter.dim() < 2].append(name)
    assert names(answer, model) == expected


@pytest.mark.parametrize("weight_decay", [0.3, 0.0])
def test_second_group_does_not_decay(answer, weight_decay):
    groups = answer.param_groups(nn.Linear(3, 4), weight_decay)
    assert [group.get("weight_decay") for group in groups] == [weight_decay, 0.0]


@pytest.mark.timeout(60)
def test_an_optimizer_decays_the_model(answer):
    model = randomise(nn.Linear(3, 4))
    expected = {"weight": 0.9 * model.weight.detach(), "bias": model.bias.detach().clone()}
    optimizer = torch.optim.SGD(answer.param_groups(model, 0.2), lr=0.5, weight_decay=0.7)
    model.weight.grad, model.bias.grad = torch.zeros(4, 3), torch.zeros(4)
    optimizer.step()
    close(model.weight, expected["weight"], "out in")
    close(model.bias, expected["bias"], "out")
