import pytest
import torch

from kata.check import close, raises
from kata.properties import example, given, st
from kata.tensors import gradients, normal

PAPER = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
# Powers that can be taken in the head; in the second one nothing is as in the first.
FIRST = {"E": 2.0, "A": 8.0, "B": 12.0, "alpha": 0.5, "beta": 0.25}
SECOND = {"E": 0.5, "A": 4.0, "B": 1.0, "alpha": 2.0, "beta": 1.0}
laws = pytest.mark.parametrize("law", [PAPER, FIRST, SECOND], ids=["paper", "first", "second"])


def allocation(answer, flops, law):
    """The best split under a law; that of the paper is the default."""
    options = {} if law == PAPER else {"constants": answer.LossConstants(**law)}
    return answer.optimal_allocation(flops, **options)


def float64(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def paper(n_params, n_tokens):
    return 1.69 + 406.4 * n_params.pow(-0.34) + 410.7 * n_tokens.pow(-0.28)


@pytest.mark.parametrize(
    ("law", "n_params", "n_tokens", "loss"),
    [(FIRST, 16, 81, 2 + 8 / 4 + 12 / 3), (SECOND, 4, 5, 0.5 + 4 / 16 + 1 / 5)],
)
def test_losses_by_hand(answer, law, n_params, n_tokens, loss):
    found = answer.chinchilla_loss(n_params, n_tokens, answer.LossConstants(**law))
    close(float64(found), float64(loss))


def test_chinchilla_beats_gopher(answer):
    found = [answer.chinchilla_loss(70e9, 1.4e12), answer.chinchilla_loss(280e9, 300e9)]
    assert [round(loss, 3) for loss in found] == [1.937, 1.993]


@pytest.mark.parametrize(
    ("n_params", "n_tokens", "loss"),
    [(16, torch.inf, 4), (torch.inf, 81, 6), (torch.inf, torch.inf, 2)],
)
def test_infinite_sizes_are_allowed(answer, n_params, n_tokens, loss):
    found = answer.chinchilla_loss(n_params, n_tokens, answer.LossConstants(**FIRST))
    close(float64(found), float64(loss))


def test_tensors_are_broadcast(answer, device):
    n_params = (10 ** (8 + normal(3, 1))).to(device)
    n_tokens = (10 ** (10 + normal(4, seed=1))).to(device)
    expected = paper(n_params, n_tokens)
    close(answer.chinchilla_loss(n_params, n_tokens), expected, "n_params n_tokens")


def test_float64_stays_float64(answer):
    sizes = normal(5, dtype=torch.float64).exp(), normal(5, seed=1, dtype=torch.float64).exp()
    expected = paper(*sizes)
    close(answer.chinchilla_loss(*sizes), expected, "model", rtol=1e-12)


def test_gradients_agree_with_the_formula(answer):
    sizes = normal(5).exp().double(), normal(5, seed=1).exp().double()
    expected = gradients(paper, *sizes)
    found = gradients(answer.chinchilla_loss, *sizes)
    close(torch.stack(found), torch.stack(expected), "input size")


def test_runs_on_meta(answer):
    n_params, n_tokens = torch.empty(3, 1, device="meta"), torch.empty(4, device="meta")
    found = answer.chinchilla_loss(n_params, n_tokens)
    close(found, torch.empty(3, 4, device="meta"), "n_params n_tokens")


@pytest.mark.parametrize(("flops", "split"), [(6000, (20, 50)), (6e9, (2000, 500_000))])
def test_allocation_by_hand(answer, flops, split):
    # 2 * 4 / N^2 = 1 / D, so that D = N^2 / 8, and N^3 = 8 * flops / 6
    found = allocation(answer, flops, SECOND)
    close(float64(found), float64(split), "result")


@laws
@given(exponent=st.floats(0, 30))
@example(exponent=3.0)
def test_the_whole_budget_is_spent(answer, law, exponent):
    n_params, n_tokens = allocation(answer, 10**exponent, law)
    close(float64(n_tokens), float64(10**exponent / (6 * n_params)), atol=0)


@laws
@pytest.mark.parametrize("flops", [1e9, 1e13])
def test_no_other_split_has_less_loss(answer, reference, law, flops):
    sizes = torch.logspace(0, 20, 200_001, dtype=torch.float64)  # each 0.02 % above the last
    losses = reference.chinchilla_loss(sizes, flops / (6 * sizes), reference.LossConstants(**law))
    expected = sizes[losses.argmin()]
    n_params, _ = allocation(answer, flops, law)
    close(float64(n_params), expected, rtol=1e-3)


@laws
def test_model_and_text_pay_the_same(answer, law):
    n_params, n_tokens = allocation(answer, 1e10, law)
    # What one per cent more of each takes off the loss, in per cent.
    by_params = law["alpha"] * law["A"] / n_params ** law["alpha"]
    by_tokens = law["beta"] * law["B"] / n_tokens ** law["beta"]
    close(float64(by_params), float64(by_tokens), rtol=1e-3, atol=0)


@pytest.mark.parametrize("flops", [0, -1, -6e20])
def test_impossible_budgets_are_refused(answer, flops):
    with raises(ValueError):
        answer.optimal_allocation(flops)
