import pytest
import torch

from kata.check import close, raises
from kata.tensors import gradients, normal, parameter_gradients, randomise

SIZES = (4, 6, 5, 2)  # d_model, d_ff, n_experts, k


def twins(answer, reference, *sizes):
    """The learner's layer and the reference, with the same random weights."""
    expected, layer = randomise(reference.MoELayer(*sizes)), answer.MoELayer(*sizes)
    layer.load_state_dict(expected.state_dict())
    return layer, expected


def split(stacked):
    """What Mixtral keeps in three stacked tensors, under the names of `MoELayer`."""
    gate, down = stacked["gate.weight"], stacked["experts.down_proj"]
    result = {"gate.weight": gate}
    for i, gate_up in enumerate(stacked["experts.gate_up_proj"]):
        w1, w3 = gate_up.chunk(2)
        names = {"w1": w1, "w2": down[i], "w3": w3}
        result |= {f"experts.{i}.{name}.weight": value for name, value in names.items()}
    return result


def of_all(state, name):
    """The gate's weight, or one of the three weights of all experts."""
    names = ["gate.weight"] if name == "gate" else [f"experts.{i}.{name}.weight" for i in range(5)]
    return torch.stack([state[name] for name in names])


def mixtral_block(d_model, d_ff, n_experts, k):
    """The layer of transformers, with random weights."""
    from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralSparseMoeBlock

    config = MixtralConfig(
        hidden_size=d_model,
        intermediate_size=d_ff,
        num_local_experts=n_experts,
        num_experts_per_tok=k,
    )
    return randomise(MixtralSparseMoeBlock(config)).eval()


def test_gate_and_experts_have_their_names(answer):
    state = answer.MoELayer(4, 6, 3, 2).state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in state.items()}
    expert = {"w1.weight": (6, 4), "w2.weight": (4, 6), "w3.weight": (6, 4)}
    names = {f"experts.{i}.{name}": shape for i in range(3) for name, shape in expert.items()}
    assert shapes == {"gate.weight": (3, 4)} | names


def test_two_tokens_by_hand(answer):
    layer = answer.MoELayer(1, 1, n_experts=3, k=2)
    state = {"gate.weight": torch.tensor([[0.0], [1.0], [-1.0]])}
    for i, w2 in enumerate([10.0, 20.0, 40.0]):
        values = {"w1": 1.0, "w2": w2, "w3": 1.0}
        state |= {f"experts.{i}.{name}.weight": torch.tensor([[w]]) for name, w in values.items()}
    layer.load_state_dict(state)
    # Probabilities of ln 3: as 1 to 3 to 1/3; of -ln 3: as 1 to 1/3 to 3. Their sigmoids: 3/4, 1/4.
    x = torch.tensor([[3.0], [1 / 3]]).log()
    mixed = torch.tensor([[0.75 * (0.25 * 10 + 0.75 * 20)], [0.25 * (0.25 * 10 + 0.75 * 40)]])
    close(layer(x.clone()), x * x * mixed, "token d_model")


def test_each_expert_starts_with_its_own_weights(answer):
    state = answer.MoELayer(4, 6, 3, 2).state_dict()
    weights = [state[f"experts.{i}.w1.weight"].flatten().tolist() for i in range(3)]
    assert len({tuple(weight) for weight in weights}) == 3, "different weights at the start"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_agrees_with_mixtral(answer, k):
    mixtral, layer, x = mixtral_block(4, 6, 5, k), answer.MoELayer(4, 6, 5, k), normal(3, 7, 4)
    layer.load_state_dict(split(mixtral.state_dict()))
    close(layer(x.clone()), mixtral(x), "batch seq d_model")


@pytest.mark.timeout(120)
def test_gradient_of_the_input_agrees_with_mixtral(answer):
    mixtral, layer, x = mixtral_block(*SIZES), answer.MoELayer(*SIZES), normal(3, 7, 4)
    layer.load_state_dict(split(mixtral.state_dict()))
    close(gradients(layer, x)[0], gradients(mixtral, x)[0], "batch seq gradient_of_x")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["gate", "w1", "w2", "w3"])
def test_gradient_of_each_weight_agrees_with_mixtral(answer, name):
    mixtral, layer, x = mixtral_block(*SIZES), answer.MoELayer(*SIZES), normal(3, 7, 4)
    layer.load_state_dict(split(mixtral.state_dict()))
    expected = of_all(split(parameter_gradients(mixtral, x)), name)
    close(
        of_all(parameter_gradients(layer, x), name), expected, "expert out gradient_of_the_weight"
    )


def test_moving_a_token_moves_its_output(answer, reference):
    layer, _ = twins(answer, reference, *SIZES)
    x, order = normal(6, 4), torch.tensor([3, 0, 5, 2, 1, 4])
    alone = layer(x.view(2, 3, 4)).view(6, 4)
    close(layer(x[order].view(3, 2, 4)).view(6, 4), alone[order], "token d_model")


def test_an_expert_that_nobody_chose_has_no_influence(answer, reference):
    layer, expected = twins(answer, reference, *SIZES)
    x, state = normal(3, 7, 4).abs(), expected.state_dict()
    state["gate.weight"][2] = -100.0
    expected.load_state_dict(state)
    y = expected(x)
    spoiled = {name: w * torch.nan for name, w in state.items() if name.startswith("experts.2.")}
    layer.load_state_dict(state | spoiled)
    close(layer(x), y, "batch seq d_model")


@pytest.mark.parametrize("shape", [(4,), (9, 4), (2, 1, 3, 4), (0, 4), (2, 0, 4)], ids=str)
def test_any_leading_axes_are_tokens(answer, reference, device, shape):
    layer, expected = (m.to(device) for m in twins(answer, reference, *SIZES))
    x = normal(*shape).to(device)
    close(layer(x.clone()), expected(x), "d_model")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, reference, device, dtype):
    layer, expected = (m.to(device, dtype) for m in twins(answer, reference, *SIZES))
    x = normal(3, 7, 4, dtype=dtype).to(device)
    close(layer(x.clone()), expected(x), "batch seq d_model")


@pytest.mark.parametrize("k", [0, 6])
def test_impossible_k_is_refused(answer, k):
    with raises(ValueError):
        answer.MoELayer(4, 6, 5, k)
