from collections import OrderedDict

import pytest
import torch
from torch import nn

from kata.check import close, raises
from kata.tensors import gradients, normal, parameter_gradients, randomise

R, ALPHA, SCALE = 2, 6.0, 3.0


def given(bias=True):
    """A layer that has learned something."""
    return randomise(nn.Linear(5, 4, bias=bias))


def learned(answer, bias=True):
    """A LoRALinear with random A and B, and one layer with the weight that they make."""
    layer, full = answer.LoRALinear(given(bias), r=R, alpha=ALPHA), given(bias)
    A, B = normal(R, 5, seed=2), normal(4, R, seed=3)
    layer.load_state_dict(
        {f"linear.{k}": v for k, v in full.state_dict().items()} | {"A": A, "B": B}
    )
    full.weight.data += SCALE * (B @ A)
    return layer, full


def model():
    """Layers at three depths, and other modules with weights."""
    blocks = [
        nn.Sequential(
            OrderedDict(
                up=nn.Linear(4, 6),
                norm=nn.LayerNorm(6),
                mix_up=nn.Linear(6, 5, bias=False),
                down=nn.Linear(5, 4),
            )
        )
        for _ in range(2)
    ]
    parts = {"embed": nn.Embedding(9, 4), "layers": nn.Sequential(*blocks), "up": nn.Linear(4, 7)}
    return randomise(nn.Sequential(OrderedDict(parts)))


def learning(model):
    """The names of the parameters that require a gradient."""
    return sorted(name for name, p in model.named_parameters() if p.requires_grad)


def test_two_numbers_by_hand(answer):
    layer = answer.LoRALinear(nn.Linear(2, 1), r=2, alpha=1.0)
    state = {"linear.weight": [[1.0, 2.0]], "linear.bias": [10.0]}
    state |= {"A": [[1.0, -1.0], [0.0, 2.0]], "B": [[3.0, 4.0]]}
    layer.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    # 1 + 4 + 10, and half of 3 times -1 and 4 times 4.
    close(layer(torch.tensor([1.0, 2.0])), torch.tensor([21.5]), "out")


def test_parameters_have_their_names(answer):
    state = answer.LoRALinear(given(), r=2, alpha=6.0).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes == {"linear.weight": (4, 5), "linear.bias": (4,), "A": (2, 5), "B": (4, 2)}


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((5,), "out"), ((3, 5), "batch out"), ((2, 3, 5), "batch seq out"), ((0, 5), "batch out")],
)
def test_new_layer_computes_what_it_was_given(answer, device, shape, axes):
    x = normal(*shape).to(device)
    expected = given().to(device)(x)
    torch.manual_seed(0)
    close(answer.LoRALinear(given().to(device), r=3, alpha=6.0)(x.clone()), expected, axes)


def test_A_starts_like_the_weight_of_a_linear_layer(answer):
    torch.manual_seed(0)
    A = answer.LoRALinear(nn.Linear(64, 5), r=50, alpha=8.0).state_dict()["A"]
    ends = torch.stack([A.min(), A.max()])
    close(ends, torch.tensor([-1 / 8, 1 / 8]), "smallest_and_largest", rtol=0.02)
    close(A.std()[None], torch.tensor([1 / 8 / 3**0.5]), "standard_deviation", rtol=0.05)


def test_B_starts_with_zeros(answer):
    torch.manual_seed(0)
    state = answer.LoRALinear(given(), r=2, alpha=6.0).state_dict()
    close(state["B"], torch.zeros(4, 2), "out r")


@pytest.mark.parametrize("bias", [True, False])
def test_only_A_and_B_learn(answer, bias):
    assert learning(answer.LoRALinear(given(bias), r=2, alpha=6.0)) == ["A", "B"]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("shape", "axes"), [((5,), "out"), ((2, 3, 5), "batch seq out")])
def test_A_and_B_are_added_to_the_weight(answer, device, shape, axes, bias):
    layer, full = (m.to(device) for m in learned(answer, bias))
    x = normal(*shape).to(device)
    close(layer(x.clone()), full(x), axes)


def test_gradients_pass_to_A_B_and_the_input(answer):
    layer, full = learned(answer)
    x, A, B = normal(2, 3, 5), normal(R, 5, seed=2), normal(4, R, seed=3)
    close(gradients(layer, x)[0], gradients(full, x)[0], "batch seq in")
    change = parameter_gradients(full, x)["weight"]  # by the chain rule A and B get parts of it
    actual = parameter_gradients(layer, x)
    close(actual["A"], SCALE * B.T @ change, "r in")
    close(actual["B"], SCALE * change @ A.T, "out r")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype):
    # Small whole numbers: nothing is rounded, in whatever order it is computed.
    W, b, x = normal(4, 5).round(), normal(4, seed=1).round(), normal(2, 3, 5, seed=4).round()
    A, B = normal(R, 5, seed=2).round(), normal(4, R, seed=3).round()
    layer = answer.LoRALinear(nn.Linear(5, 4, dtype=dtype), r=R, alpha=ALPHA)
    layer.load_state_dict({"linear.weight": W, "linear.bias": b, "A": A, "B": B})
    expected = (x @ (W + SCALE * (B @ A)).T + b).to(dtype)
    close(layer(x.to(dtype)), expected, "batch seq out")


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_A_and_B_are_made_like_the_weight(answer, place):
    layer = answer.LoRALinear(nn.Linear(5, 4, device=place, dtype=torch.float16), r=2, alpha=6.0)
    state = {name: (str(p.dtype), p.device.type) for name, p in layer.state_dict().items()}
    names = ["linear.weight", "linear.bias", "A", "B"]
    assert state == dict.fromkeys(names, ("torch.float16", place))


@pytest.mark.parametrize("bias", [True, False])
def test_merged_layer_has_it_all_in_its_weight(answer, bias):
    layer, full = learned(answer, bias)
    expected, actual = full.state_dict(), layer.merge().state_dict()
    assert sorted(actual) == sorted(expected)
    close(actual["weight"], expected["weight"], "out in")
    close(layer.merge()(normal(3, 5)), full(normal(3, 5)), "batch out")


def test_merging_leaves_the_layer_alone(answer):
    layer, full = learned(answer)
    randomise(layer.merge(), seed=5)
    close(layer(normal(3, 5)), full(normal(3, 5)), "batch out")


@pytest.mark.parametrize("r", [0, -1])
def test_impossible_rank_is_refused(answer, r):
    with raises(ValueError):
        answer.LoRALinear(given(), r=r, alpha=6.0)


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        (["up"], ["layers.0.up", "layers.1.up", "up"]),
        (["1.up"], ["layers.1.up"]),
        (["layers.0.down", "mix_up"], ["layers.0.down", "layers.0.mix_up", "layers.1.mix_up"]),
        (["down", "0.down"], ["layers.0.down", "layers.1.down"]),
    ],
    ids=str,
)
def test_A_and_B_of_the_named_layers_learn(answer, names, layers):
    tuned = answer.add_lora(model(), names, r=2, alpha=6.0)
    assert learning(tuned) == [f"{layer}.{name}" for layer in layers for name in "AB"]


def test_tuned_model_computes_what_it_did_at_first(answer, device):
    ids = torch.tensor([[3, 1, 8], [0, 7, 7]], device=device)
    expected = model().to(device)(ids)
    torch.manual_seed(0)
    tuned = answer.add_lora(model().to(device), ["up", "0.down"], r=2, alpha=6.0)
    close(tuned(ids), expected, "batch seq out")


def test_what_was_learned_is_in_the_model(answer):
    ids, expected = torch.tensor([[3, 1, 8], [0, 7, 7]]), model()
    tuned = answer.add_lora(model(), ["0.mix_up"], r=R, alpha=ALPHA)
    A, B = normal(R, 6, seed=2), normal(5, R, seed=3)
    tuned.load_state_dict({"layers.0.mix_up.A": A, "layers.0.mix_up.B": B}, strict=False)
    expected.layers[0].mix_up.weight.data += SCALE * (B @ A)
    close(tuned(ids), expected(ids), "batch seq out")


def test_model_itself_is_changed(answer):
    tuned = model()
    answer.add_lora(tuned, ["1.up"], r=2, alpha=6.0)
    assert learning(tuned) == ["layers.1.up.A", "layers.1.up.B"]


@pytest.mark.parametrize("names", [["p"], ["up", "side"], ["norm"], ["up", "0"]], ids=str)
def test_names_of_no_linear_layer_are_refused(answer, names):
    with raises(ValueError):
        answer.add_lora(model(), names, r=2, alpha=6.0)


def test_refused_names_change_nothing(answer):
    tuned = model()
    with raises(ValueError):
        answer.add_lora(tuned, ["up", "side"], r=2, alpha=6.0)
    assert learning(tuned) == learning(model())
