import pytest
import torch
import torch.nn.functional as F

from kata.check import close, raises
from kata.tensors import gradients, normal

both_forms = pytest.mark.parametrize("approximate", ["none", "tanh"])


def test_exact_form_is_the_default(answer):
    # A standard normal variable is below 1 with a chance of 84.13 %, below 2 with 97.72 %.
    x = torch.tensor([-1.0, 0.0, 1.0, 2.0])
    expected = x * torch.tensor([0.158655, 0.5, 0.841345, 0.97725])
    close(answer.gelu(x), expected, "x")


@both_forms
def test_agrees_with_torch_to_six_digits(answer, approximate):
    x = torch.linspace(-4, 4, 161, dtype=torch.float64)
    expected = F.gelu(x, approximate=approximate)
    close(answer.gelu(x, approximate=approximate), expected, "x", rtol=0, atol=1e-6)


@both_forms
@pytest.mark.parametrize(
    ("shape", "axes"), [((), ""), ((3, 0), "row column"), ((2, 3, 5), "batch row column")]
)
def test_takes_any_shape(answer, device, shape, axes, approximate):
    x = normal(*shape).to(device)
    expected = F.gelu(x, approximate=approximate)
    close(answer.gelu(x, approximate=approximate), expected, axes)


@both_forms
def test_large_numbers_stay_finite(answer, approximate):
    x = torch.tensor([-1e4, -30.0, 30.0, 1e4])
    close(answer.gelu(x, approximate=approximate), torch.tensor([0.0, 0.0, 30.0, 1e4]), "x")


@both_forms
def test_gradient_agrees_with_torch(answer, approximate):
    x = normal(3, 5) * 2
    expected = gradients(F.gelu, x, approximate=approximate)[0]
    close(gradients(answer.gelu, x, approximate=approximate)[0], expected, "row column")


@both_forms
def test_keeps_the_dtype(answer, approximate):
    x = normal(3, 5, dtype=torch.bfloat16)
    expected = F.gelu(x, approximate=approximate)
    close(answer.gelu(x, approximate=approximate), expected, "row column")


@both_forms
def test_stays_on_the_device_of_its_input(answer, approximate):
    x = normal(2, 3).to("meta")
    close(answer.gelu(x, approximate=approximate), torch.empty(2, 3, device="meta"), "row column")


@both_forms
def test_input_is_not_modified(answer, approximate):
    x = normal(2, 3)
    answer.gelu(x, approximate=approximate)
    close(x, normal(2, 3), "row column")


@pytest.mark.parametrize("approximate", ["erf", "Tanh", True])
def test_other_forms_are_refused(answer, approximate):
    with raises(ValueError, match="approximate"):
        answer.gelu(normal(2), approximate=approximate)
