import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal


def test_kept_elements_are_scaled_up(answer):
    torch.manual_seed(0)
    y = answer.Dropout(p=0.75).train()(torch.full((200,), 3.0))
    assert sorted(set(y.tolist())) == [0.0, 12.0], "what 3.0 has become"


@pytest.mark.parametrize("p", [0.1, 0.3, 0.6])
def test_drops_a_fraction_p(answer, device, p):
    torch.manual_seed(0)
    y = answer.Dropout(p=p).train()(torch.ones(40_000, device=device))
    dropped = (y == 0).float().mean().item()
    assert round(50 * dropped) / 50 == p, "part of the elements that became 0"  # within 0.01


def test_evaluation_mode_changes_nothing(answer):
    x = normal(3, 5)
    close(answer.Dropout(p=0.4).train().eval()(x), normal(3, 5), "row column")


@pytest.mark.parametrize(("p", "factor"), [(0.0, 1.0), (1.0, 0.0)])
def test_keeps_or_drops_everything_at_the_ends(answer, p, factor):
    x = normal(4, 50).abs()
    close(answer.Dropout(p=p).train()(x.clone()), x * factor, "row column")


def test_each_element_has_its_own_chance(answer):
    torch.manual_seed(0)
    y = answer.Dropout(p=0.5).train()(torch.ones(2, 10, 40)).flatten(0, 1)
    rows, columns = set(map(tuple, y.tolist())), set(map(tuple, y.T.tolist()))
    found = {"different rows": len(rows), "different columns": len(columns)}
    assert found == {"different rows": 20, "different columns": 40}


def test_each_call_draws_anew(answer):
    torch.manual_seed(0)
    layers = answer.Dropout(p=0.5).train(), answer.Dropout(p=0.5).train()
    results = {tuple(layer(torch.ones(60)).tolist()) for layer in layers for _ in range(2)}
    found = {"calls": 4, "different results": len(results)}
    assert found == {"calls": 4, "different results": 4}


def test_the_seed_repeats_the_draw(answer):
    layer = answer.Dropout(p=0.5).train()
    torch.manual_seed(3)
    first = layer(torch.ones(60)).tolist()
    torch.manual_seed(3)
    found = {"same result after the same seed": layer(torch.ones(60)).tolist() == first}
    assert found == {"same result after the same seed": True}


def test_gradient_flows_through_kept_elements_only(answer):
    torch.manual_seed(0)
    x, weight = torch.ones(6, 10, requires_grad=True), normal(6, 10).abs()
    y = answer.Dropout(p=0.25).train()(x)
    (y * weight).sum().backward()
    close(x.grad, y.detach() * weight, "row column")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_keeps_dtype_and_device(answer, dtype):
    x = normal(3, 5, dtype=dtype).to("meta")
    expected = torch.empty_like(x)
    close(answer.Dropout(p=0.4).train()(x), expected, "row column")


def test_input_is_not_modified(answer):
    x = normal(3, 5)
    answer.Dropout(p=0.4).train()(x)
    close(x, normal(3, 5), "row column")


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_probability_outside_the_unit_interval_is_refused(answer, p):
    with raises(ValueError, match="p must be"):
        answer.Dropout(p=p)
