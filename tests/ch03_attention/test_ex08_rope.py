import pytest
import torch

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import gradients, normal

FIVE_TO_NINE = [5, 6, 7, 8, 9]
ONE_ROW_PER_TEXT = [[0, 0, 1, 2, 3], [40, 41, 42, 43, 44]]


def angles(positions, head_dim, base):
    """The definition, in float64."""
    pairs = torch.arange(head_dim // 2, dtype=torch.float64)
    return torch.tensor(positions).unsqueeze(-1) * base ** (-2 * pairs / head_dim)


def cos_sin(positions, head_dim=8, base=100.0):
    exact = angles(positions, head_dim, base)
    return exact.cos().float(), exact.sin().float()


def rotate(x, cos, sin, interleaved=False):
    """Each pair is one complex number, multiplied by cos + i sin."""
    pairs = x.unflatten(-1, (-1, 2)) if interleaved else torch.stack(x.chunk(2, dim=-1), -1)
    turn = torch.view_as_complex(torch.stack((cos, sin), -1).to(x.dtype)).unsqueeze(-3)
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turn)
    return (turned if interleaved else turned.transpose(-2, -1)).flatten(-2)


def test_angles_by_hand(answer):
    # The first pair turns by the position, the second by 1 / 10000^(2/4) = 1/100 of it.
    cos, sin = answer.rope_cos_sin(torch.tensor([0, 3]), 4)
    close(cos, torch.tensor([[0.0, 0.0], [3.0, 0.03]]).cos(), "seq pair")
    close(sin, torch.tensor([[0.0, 0.0], [3.0, 0.03]]).sin(), "seq pair")


@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
@pytest.mark.parametrize("positions", [FIVE_TO_NINE, ONE_ROW_PER_TEXT, [1001, -1]], ids=str)
def test_angles_agree_with_the_formula(answer, device, positions, base):
    cos, sin = answer.rope_cos_sin(torch.tensor(positions, device=device), 6, base)
    expected, axes = angles(positions, 6, base), "batch seq pair" if cos.dim() == 3 else "seq pair"
    close(cos, expected.cos().float().to(device), axes, atol=1e-4)
    close(sin, expected.sin().float().to(device), axes, atol=1e-4)


@pytest.mark.parametrize(
    ("interleaved", "expected"), [(False, [-3.0, -4.0, 1.0, 2.0]), (True, [-2.0, 1.0, -4.0, 3.0])]
)
def test_a_quarter_turn_by_hand(answer, interleaved, expected):
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    actual = answer.apply_rope(x, torch.zeros(1, 2), torch.ones(1, 2), interleaved)
    close(actual, torch.tensor([[expected]]), "head seq head_dim")


@given(shift=st.integers(1, 60), interleaved=st.booleans())
@example(shift=5, interleaved=False)
@example(shift=5, interleaved=True)
def test_scores_depend_on_the_distance_only(answer, shift, interleaved):
    def scores(positions):
        cos, sin = answer.rope_cos_sin(positions, 8, 100.0)
        q, k = (answer.apply_rope(normal(3, 5, 8, seed=i), cos, sin, interleaved) for i in (1, 2))
        return q @ k.transpose(-2, -1)

    positions = torch.tensor([2, 3, 5, 6, 9])
    close(scores(positions + shift), scores(positions), "head query key", atol=1e-4)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (4,), (3, 2, 4)], ids=str)
def test_agrees_with_complex_numbers(answer, device, shape, interleaved):
    x, turn = normal(*shape, 5, 8), cos_sin(FIVE_TO_NINE)
    expected = rotate(x, *turn, interleaved).to(device)
    inputs = [t.to(device) for t in (x, *turn)]
    axes = " ".join(["group", "batch", "head", "seq", "head_dim"][-expected.dim() :])
    close(answer.apply_rope(*inputs, interleaved), expected, axes)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("n_heads", [2, 3])
def test_each_text_has_positions_of_its_own(answer, device, n_heads, interleaved):
    x, turn = normal(2, n_heads, 5, 8), cos_sin(ONE_ROW_PER_TEXT)
    expected = rotate(x, *turn, interleaved).to(device)
    inputs = [t.to(device) for t in (x, *turn)]
    close(answer.apply_rope(*inputs, interleaved), expected, "batch head seq head_dim")


def test_layouts_differ_in_the_order_of_features(answer):
    x, turn, order = normal(2, 3, 5, 8), cos_sin(FIVE_TO_NINE), [0, 2, 4, 6, 1, 3, 5, 7]
    regrouped = answer.apply_rope(x[..., order], *turn)
    expected = answer.apply_rope(x, *turn, interleaved=True)[..., order]
    close(regrouped, expected, "batch head seq head_dim")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("positions", [[FIVE_TO_NINE], ONE_ROW_PER_TEXT], ids=str)
def test_agrees_with_llama(answer, positions):
    from transformers.models.llama import modeling_llama as llama

    rope = {"rope_type": "default", "rope_theta": 500.0}
    config = llama.LlamaConfig(hidden_size=24, num_attention_heads=3, rope_parameters=rope)
    x, positions = normal(2, 3, 5, 8), torch.tensor(positions)
    cos_sin = llama.LlamaRotaryEmbedding(config)(x, positions)
    expected = llama.apply_rotary_pos_emb(x, x, *cos_sin)[0]
    actual = answer.apply_rope(x.clone(), *answer.rope_cos_sin(positions, 8, 500.0))
    close(actual, expected, "batch head seq head_dim")


@pytest.mark.parametrize("interleaved", [False, True])
def test_gradient_agrees_with_complex_numbers(answer, interleaved):
    inputs = normal(2, 3, 5, 8), *cos_sin(FIVE_TO_NINE)
    expected = gradients(rotate, *inputs, interleaved=interleaved)[0]
    actual = gradients(answer.apply_rope, *inputs, interleaved=interleaved)[0]
    close(actual, expected, "batch head seq head_dim")


def test_input_is_not_modified(answer):
    x = normal(2, 3, 5, 8)
    answer.apply_rope(x, *cos_sin(FIVE_TO_NINE))
    close(x, normal(2, 3, 5, 8), "batch head seq head_dim")


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, dtype, interleaved):
    x, turn = normal(2, 3, 5, 8, dtype=dtype), cos_sin(FIVE_TO_NINE)
    expected = rotate(x.double(), *turn, interleaved).to(dtype)
    close(answer.apply_rope(x, *turn, interleaved), expected, "batch head seq head_dim")


def test_stays_on_the_device_of_its_input(answer):
    cos, sin = answer.rope_cos_sin(torch.arange(5, device="meta"), 8)
    close(cos, torch.empty(5, 4, device="meta"), "seq pair")
    actual = answer.apply_rope(normal(2, 3, 5, 8).to("meta"), cos, sin)
    close(actual, torch.empty(2, 3, 5, 8, device="meta"), "batch head seq head_dim")


def test_odd_size_is_refused(answer):
    with raises(ValueError):
        answer.rope_cos_sin(torch.arange(4), 7)
