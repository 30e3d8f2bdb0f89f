import pytest
import torch

from kata.check import close, raises
from kata.tensors import gradients, normal, parameter_gradients, randomise
from solutions.ch06_moe.ex07_router_extras import sigmoid_gate

SIZES = {"d_model": 12, "d_ff": 5, "n_experts": 7, "k": 3, "n_shared": 2, "scale": 2.5}
SHAPES = {"gate.weight": (7, 12), "gate_bias": (7,)}
SHAPES |= {
    f"{name}.{w}.weight": shape[::-1] if w == "w2" else shape
    for name, shape in [*((f"experts.{i}", (5, 12)) for i in range(7)), ("shared_expert", (10, 12))]
    for w in ("w1", "w2", "w3")
}


def table(gate, n_experts):
    """The weight of every expert for every token, 0 for those that were not chosen."""
    weights, idx = gate
    return torch.zeros_like(weights).repeat(1, n_experts)[:, :n_experts].scatter(-1, idx, weights)


def gate_inputs(dtype=torch.float32):
    """Tokens, the rows of 7 experts, and a bias that changes most choices."""
    return normal(9, 4, dtype=dtype), normal(7, 4, seed=1, dtype=dtype), normal(7, seed=2) / 2


def deepseek():
    """The layer of transformers with random weights, and these under the course's names."""
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Config, DeepseekV3MoE

    config = DeepseekV3Config(
        hidden_size=12,
        moe_intermediate_size=5,
        n_routed_experts=7,
        num_experts_per_tok=3,
        n_shared_experts=2,
        routed_scaling_factor=2.5,
        n_group=1,
        topk_group=1,
        experts_implementation="eager",
    )
    layer = randomise(DeepseekV3MoE(config)).eval()
    layer.gate.e_score_correction_bias.copy_(normal(7, seed=2) / 2)
    return layer, course_names(layer.state_dict())


def course_names(theirs):
    """Values by transformers' names, under those of the course."""
    up, down = theirs["experts.gate_up_proj"], theirs["experts.down_proj"]
    ours = {"gate.weight": theirs["gate.weight"]}
    for i in range(7):
        w1, w3 = up[i].chunk(2)
        ours |= {f"experts.{i}.w{j}.weight": w for j, w in ((1, w1), (2, down[i]), (3, w3))}
    for name, w in {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}.items():
        ours[f"shared_expert.{w}.weight"] = theirs[f"shared_experts.{name}.weight"]
    if "gate.e_score_correction_bias" in theirs:
        ours["gate_bias"] = theirs["gate.e_score_correction_bias"]
    return ours


# ------------------------------------------------------------------------------------ z-loss


def test_z_loss_by_hand(answer):
    logits = torch.tensor([[0.5, 0.25, 0.25], [2.0, 1.0, 1.0]]).log()
    # The sums are 1 and 4.
    close(answer.router_z_loss(logits), torch.tensor(4.0).log() ** 2 / 2)


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_z_loss_agrees_with_its_formula(answer, device, size):
    logits = (size * normal(6, 5)).to(device)
    expected = torch.stack([row.logsumexp(0) ** 2 for row in logits]).mean()
    close(answer.router_z_loss(logits), expected)


def test_z_loss_of_bfloat16_is_float32(answer):
    logits = (3 * normal(50, 8)).to(torch.bfloat16)
    expected = (logits.float().logsumexp(-1) ** 2).mean()
    close(answer.router_z_loss(logits), expected)


def test_gradient_of_the_z_loss_agrees(answer):
    expected = gradients(lambda x: (x.logsumexp(-1) ** 2).mean(), normal(6, 5))[0]
    close(gradients(answer.router_z_loss, normal(6, 5))[0], expected, "token gradient")


# ------------------------------------------------------------------------------------ the gate


def test_bias_chooses_but_does_not_weigh(answer):
    x, weight = torch.tensor([[1.0], [-1.0]]), torch.tensor([[0.25], [0.5], [0.75]]).logit()
    bias = torch.tensor([2.0, 0.5, 0.0])
    # Experts 0 and 1 for both tokens, by scores of 1/4 and 1/2, and of 3/4 and 1/2.
    expected = torch.tensor([[2 / 3, 4 / 3, 0.0], [1.2, 0.8, 0.0]])
    close(
        table(answer.sigmoid_gate(x, weight, bias, 2, 2.0), 3), expected, "token weight_of_expert"
    )


@pytest.mark.parametrize(("k", "scale"), [(1, 1.0), (3, 2.5), (7, 0.5)])
def test_gate_agrees_with_its_formula(answer, device, k, scale):
    x, weight, bias = (part.to(device) for part in gate_inputs())
    scores = 1 / (1 + (-(x @ weight.T)).exp())
    kth = (scores + bias).sort(-1, descending=True).values[:, k - 1 : k]
    chosen = scores * (scores + bias >= kth)
    expected = scale * chosen / chosen.sum(-1, keepdim=True)
    close(
        table(answer.sigmoid_gate(x, weight, bias, k, scale), 7), expected, "token weight_of_expert"
    )


def test_huge_logits_give_finite_weights(answer):
    x, weight = torch.tensor([[1e4], [-1e4]]), torch.tensor([[1.0], [2.0], [3.0]])
    bias, expected = torch.tensor([0.0, 1.0, 0.5]), torch.tensor([[0, 0.5, 0.5], [0, 0, 0]])
    close(table(answer.sigmoid_gate(x, weight, bias, 2), 3), expected, "token weight_of_expert")


@pytest.mark.parametrize("leaf", [0, 1], ids=["of x", "of weight"])
def test_gradient_of_the_gate_agrees(answer, reference, leaf):
    expected = gradients(lambda *a: table(reference.sigmoid_gate(*a), 7), *gate_inputs(), 3)[leaf]
    actual = gradients(lambda *a: table(answer.sigmoid_gate(*a), 7), *gate_inputs(), 3)[leaf]
    close(actual, expected, "row gradient")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_gate_keeps_the_dtype(answer, dtype):
    x, weight, bias = gate_inputs(dtype)
    wide = torch.promote_types(dtype, torch.float32)
    expected = table(sigmoid_gate(x.to(wide), weight.to(wide), bias, 3), 7).to(dtype)
    close(table(answer.sigmoid_gate(x, weight, bias, 3), 7), expected, "token weight_of_expert")


def test_gate_stays_on_the_device_of_its_input(answer):
    weights, idx = answer.sigmoid_gate(*(part.to("meta") for part in gate_inputs()), 3)
    close(weights, torch.empty(9, 3, device="meta"), "token choice")
    close(idx, torch.empty(9, 3, device="meta", dtype=torch.long), "token choice")


@pytest.mark.parametrize("k", [0, 8])
def test_impossible_k_is_refused(answer, k):
    with raises(ValueError, match="k must be"):
        answer.sigmoid_gate(*gate_inputs(), k)


# -------------------------------------------------------------------------------------- the bias


def test_bias_moves_by_the_rate(answer):
    bias, idx = (
        torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]),
        torch.tensor([[0, 1], [0, 2], [0, 1], [0, 2]]),
    )
    idx = torch.cat([idx, torch.tensor([[0, 3]])])
    # 5, 2, 2, 1 and 0 times; 2 is the mean
    expected = torch.tensor([0.75, 2.0, 3.0, 4.25, 5.25])
    close(answer.update_gate_bias(bias, idx, 0.25), expected, "expert")


def test_bias_of_the_caller_stays(answer):
    bias = torch.zeros(3)
    answer.update_gate_bias(bias, torch.tensor([[0, 1], [0, 1]]), 0.5)
    assert bias.tolist() == [0.0, 0.0, 0.0], "the bias of the caller, afterwards"


def test_updates_balance_a_lopsided_gate(answer):
    x, weight, bias = normal(400, 3) + 1, normal(6, 3, seed=1), torch.zeros(6)
    for _ in range(100):
        bias = answer.update_gate_bias(bias, sigmoid_gate(x, weight, bias, 2)[1], 0.01)
    load = sigmoid_gate(x, weight, bias, 2)[1].flatten().bincount(minlength=6) / 800
    close(load, torch.full((6,), 1 / 6), "load_of_expert", atol=0.02)


# ------------------------------------------------------------------------------------- the layer


def test_layer_saves_its_bias_and_does_not_train_it(answer):
    layer = answer.SharedExpertMoE(**SIZES)
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == SHAPES
    assert {name for name, _ in layer.named_parameters()} == SHAPES.keys() - {"gate_bias"}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("shape", [(2, 9), (3, 1), (1, 0)], ids=str)
def test_layer_agrees_with_deepseek(answer, device, shape):
    theirs, state = deepseek()
    layer, x = answer.SharedExpertMoE(**SIZES), normal(*shape, 12)
    layer.load_state_dict(state)
    expected = theirs(x).detach()
    close(layer.to(device)(x.to(device)), expected.to(device), "batch seq d_model")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["gate.weight", "experts.0.w1.weight", "shared_expert.w2.weight"])
def test_layer_learns_as_deepseek_does(answer, name):
    (theirs, state), x = deepseek(), normal(2, 9, 12)
    layer = answer.SharedExpertMoE(**SIZES)
    layer.load_state_dict(state)
    expected = course_names(parameter_gradients(theirs, x))[name]
    close(parameter_gradients(layer, x)[name], expected, "out gradient")


@pytest.mark.timeout(120)
def test_gradient_of_the_input_agrees_with_deepseek(answer):
    (theirs, state), x = deepseek(), normal(2, 9, 12)
    layer = answer.SharedExpertMoE(**SIZES)
    layer.load_state_dict(state)
    expected = gradients(theirs, x)[0]
    close(gradients(layer, x)[0], expected, "batch seq gradient_of_x")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_layer_keeps_the_dtype(answer, reference, dtype):
    expected, x = (
        randomise(reference.SharedExpertMoE(**SIZES)).to(dtype),
        normal(8, 12, dtype=dtype),
    )
    layer = answer.SharedExpertMoE(**SIZES).to(dtype)
    layer.load_state_dict(expected.state_dict())
    close(layer(x), expected(x).detach(), "token d_model")
