import pytest
import torch

from kata.check import close, raises
from kata.tensors import normal

INF = float("inf")


def adversarial():
    x = 3 * normal(5, 30)
    x[0, 3], x[0, 7], x[1, 5] = 1e4, 1e4 - 1, -1e4
    x[2, ::2] = -INF
    x[3, 1:] = -INF
    x[4] = x[4].round()  # equal ones
    return x


def test_divides_by_the_temperature(answer):
    logits = torch.tensor([2.0, 4.0, -6.0])
    expected = torch.tensor([4.0, 8.0, -12.0])
    close(answer.apply_temperature(logits, temperature=0.5), expected, "vocab")


def test_zero_keeps_only_the_most_likely(answer):
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, -5.0, -1.0]])
    expected = torch.tensor([[-INF, 3.0, -INF], [0.0, -INF, -INF]])
    close(answer.apply_temperature(logits, temperature=0), expected, "batch vocab")


def test_zero_keeps_the_first_of_equal_ones(answer):
    expected = torch.tensor([-INF, 3.0, -INF, -INF])
    logits = torch.tensor([1.0, 3.0, 3.0, 3.0])
    close(answer.apply_temperature(logits, temperature=0.0), expected, "vocab")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 2.5])
def test_agrees_with_transformers(answer, device, temperature):
    from transformers.generation.logits_process import TemperatureLogitsWarper

    logits = adversarial().to(device)
    expected = TemperatureLogitsWarper(temperature)(None, logits.clone())
    close(answer.apply_temperature(logits, temperature), expected, "batch vocab")


@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 3, 5), (3, 1), (0, 5)])
def test_zero_for_any_leading_axes(answer, reference, shape):
    expected = reference.apply_temperature(normal(*shape), 0.0)
    close(answer.apply_temperature(normal(*shape), 0.0), expected, "vocab")


def test_zero_with_huge_and_hidden_logits(answer, reference):
    expected = reference.apply_temperature(adversarial(), 0.0)
    close(answer.apply_temperature(adversarial(), 0.0), expected, "batch vocab", rtol=0, atol=0)


@pytest.mark.parametrize("temperature", [-1.0, -1e-6, INF, float("nan")])
def test_refuses_impossible_temperatures(answer, temperature):
    with raises(ValueError):
        answer.apply_temperature(normal(2, 5), temperature)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_input_is_not_modified(answer, temperature):
    logits = normal(2, 5)
    answer.apply_temperature(logits, temperature)
    close(logits, normal(2, 5), "batch vocab")


@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_keeps_the_dtype(answer, reference, dtype, temperature):
    expected = reference.apply_temperature(normal(2, 5, dtype=dtype), temperature)
    close(answer.apply_temperature(normal(2, 5, dtype=dtype), temperature), expected, "batch vocab")


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_stays_on_the_device_of_the_input(answer, temperature):
    tempered = answer.apply_temperature(normal(2, 5).to("meta"), temperature)
    close(tempered, torch.empty(2, 5, device="meta"), "batch vocab")
