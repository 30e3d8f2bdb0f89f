from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import kata
from kata.check import close, raises
from kata.tensors import Watch, normal

SHAPES = [(8, 5), (5, 8), (6, 6)]  # tall, wide, square
LARGE = {"lr": 0.1, "momentum": 0.7, "weight_decay": 0.8}
# torch imports much for the first optimizer of a process.
slow_import = pytest.mark.timeout(60)


def polynomial(s, steps=5):
    """What the steps make of singular values."""
    for _ in range(steps):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


def by_singular_values(G, steps=5):
    """The same as `newton_schulz`, by way of the singular values."""
    U, s, V = torch.linalg.svd(G.double(), full_matrices=False)
    return (U * polynomial(s / s.norm(), steps) @ V).to(G.dtype)


def weights(count=1, shape=(4, 3), **kind):
    """Parameters of one shape and different values."""
    return [nn.Parameter(normal(*shape, seed=i).to(**kind)) for i in range(count)]


def train(optimizer, parameters, steps):
    """Take steps along random gradients that are the same every time; return where it led."""
    for t in steps:
        for i, p in enumerate(parameters):
            p.grad = normal(*p.shape, seed=100 * t + i).to(p)
        optimizer.step()
    return torch.stack([p.detach().clone() for p in parameters])


# ------------------------------------------------------------------------------- newton_schulz


def test_singular_values_by_hand(answer):
    G = torch.tensor([[0.0, -3.0], [4.0, 0.0]])  # its norm is 5, so they are 0.6 and 0.8 of it
    expected = torch.tensor([[0.0, -polynomial(0.6, 1)], [polynomial(0.8, 1), 0.0]])
    close(answer.newton_schulz(G, steps=1), expected, "row col")


@pytest.mark.parametrize("shape", [*SHAPES, (40, 7), (7, 40), (1, 7)], ids=str)
def test_singular_values_come_near_to_1(answer, shape):
    found = answer.newton_schulz(100 * normal(*shape)).nan_to_num(1e9, 1e9, -1e9)
    s = torch.linalg.svdvals(found).clamp(max=9)  # not the noise of those that grow for ever
    close(s, torch.ones(min(shape)), "singular_value", atol=0.33)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_agrees_with_the_polynomial_of_singular_values(answer, shape, steps):
    expected = by_singular_values(normal(*shape), steps)
    close(answer.newton_schulz(normal(*shape), steps), expected, "row col")


def test_a_matrix_of_zeros_stays_one(answer):
    close(answer.newton_schulz(torch.zeros(3, 4)), torch.zeros(3, 4), "row col")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_input_is_not_modified(answer, shape):
    G = normal(*shape)
    answer.newton_schulz(G)
    close(G, normal(*shape), "row col")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_keeps_the_dtype(answer, device, dtype):
    G = normal(6, 4, dtype=dtype).to(device)
    tolerance = {torch.float64: 1e-6, torch.bfloat16: 0.1}[dtype]  # of the steps, not the result
    close(answer.newton_schulz(G), by_singular_values(G), "row col", atol=tolerance)


@pytest.mark.parametrize("shape", [(60, 5), (5, 60)], ids=str)
def test_works_with_the_smaller_of_both_products(answer, shape):
    with Watch() as watch:
        answer.newton_schulz(normal(*shape))
    # A single product of the large ones would have as many multiplications.
    assert watch.products < 60**3, "too many multiplications"


# ----------------------------------------------------------------------------------------- Muon


@slow_import
def test_first_step_by_hand(answer):
    w = nn.Parameter(torch.ones(4, 1))
    w.grad = torch.tensor([[3.0], [0.0], [-4.0], [0.0]])  # one singular value, of norm 1
    answer.Muon([w], lr=0.1, weight_decay=0.5).step()
    size = 0.1 * 2 * polynomial(1.0)  # sqrt(4 rows / 1 column) = 2
    expected = torch.tensor([[0.95 - 0.6 * size], [0.95], [0.95 + 0.8 * size], [0.95]])
    close(w.detach(), expected, "row col")


@slow_import
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("nesterov", [True, False])
def test_ten_steps_agree_with_torch(answer, shape, nesterov):
    options, theirs, ours = LARGE | {"nesterov": nesterov}, weights(1, shape), weights(1, shape)
    expected = train(torch.optim.Muon(theirs, **options), theirs, range(10))
    moved = train(answer.Muon(ours, **options), ours, range(10))
    close(moved, expected, "parameter row col", atol=0.025)  # torch computes it in bfloat16


@slow_import
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("options", [{}, LARGE, LARGE | {"nesterov": False}], ids=str)
def test_ten_steps_agree_with_the_reference(answer, reference, shape, options):
    theirs, ours = weights(1, shape, dtype=torch.float64), weights(1, shape, dtype=torch.float64)
    expected = train(reference.Muon(theirs, **options), theirs, range(10))
    close(train(answer.Muon(ours, **options), ours, range(10)), expected, "parameter row col")


@slow_import
def test_options_are_those_of_the_group(answer, reference):
    theirs, ours = weights(2), weights(2)
    for module, (a, b) in [(reference, theirs), (answer, ours)]:
        groups = [{"params": [a], "weight_decay": 0.8}, {"params": [b], "momentum": 0.5}]
        optimizer = module.Muon(groups, lr=0.1)
        train(optimizer, [a, b], range(3))
        optimizer.param_groups[1]["lr"] = 0.02
        train(optimizer, [a, b], range(3, 6))
    close(torch.stack(ours).detach(), torch.stack(theirs).detach(), "parameter row col")


@slow_import
def test_a_parameter_without_gradient_is_left_out(answer, reference):
    theirs, ours = weights(3), weights(3)
    train(reference.Muon(theirs, **LARGE), theirs[::2], range(3))
    train(answer.Muon(ours, **LARGE), ours[::2], range(3))
    close(torch.stack(ours).detach(), torch.stack(theirs).detach(), "parameter row col")


@slow_import
def test_goes_on_from_a_state_dict(answer, reference):
    theirs, ours = weights(2), weights(2)
    expected = train(reference.Muon(theirs, **LARGE), theirs, range(6))
    before = answer.Muon(ours, **LARGE)
    train(before, ours, range(3))
    after = answer.Muon(ours)
    after.load_state_dict(deepcopy(before.state_dict()))
    close(train(after, ours, range(3, 6)), expected, "parameter row col")


@slow_import
def test_optimizers_do_not_share_anything(answer, reference):
    theirs, ours, others = weights(), weights(), weights()
    expected = train(reference.Muon(theirs, **LARGE), theirs, range(3))
    train(answer.Muon(others, **LARGE), others, range(10, 13))
    close(train(answer.Muon(ours, **LARGE), ours, range(3)), expected, "parameter row col")


@slow_import
def test_gradients_are_not_modified(answer):
    w = weights()
    train(answer.Muon(w, **LARGE), w, [7])
    close(w[0].grad, normal(4, 3, seed=700), "row col", rtol=0, atol=0)


@slow_import
def test_steps_on_the_meta_device(answer):
    w = weights(device="meta")
    expected = torch.empty(1, 4, 3, device="meta")
    close(train(answer.Muon(w), w, range(2)), expected, "parameter row col")


@slow_import
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)], ids=str)
def test_parameters_that_are_no_matrices_are_refused(answer, shape):
    with raises(ValueError):
        answer.Muon([*weights(), nn.Parameter(normal(*shape))])


@slow_import
@pytest.mark.parametrize(
    "options",
    [{"lr": -0.1}, {"weight_decay": -0.1}, {"momentum": -0.1}, {"momentum": 1.0}],
    ids=str,
)
def test_impossible_options_are_refused(answer, options):
    with raises(ValueError):
        answer.Muon(weights(), **options)


# ------------------------------------------------------------------------------- split_for_muon


class Table(nn.Module):
    """An embedding that is no nn.Embedding, as the learner's own."""

    def __init__(self, rows, cols):
        super().__init__()
        self.weight = nn.Parameter(normal(rows, cols))


def model_of(**parts):
    """A model of these parts, in which each parameter holds its own number, and all the names."""
    model = nn.ModuleDict(parts)
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.fill_(i)
    return model, [name for name, _ in model.named_parameters()]


def names(lists, known):
    """The names of the parameters in each list."""
    return tuple([known[int(p.detach().flatten()[0])] for p in parameters] for parameters in lists)


def block():
    """A norm and a layer."""
    return nn.ModuleDict({"norm": nn.RMSNorm(4), "proj": nn.Linear(4, 6)})


def test_matrices_in_blocks_are_for_muon(answer):
    parts = {"wte": nn.Embedding(9, 4), "wpe": Table(5, 4)}
    parts |= {"layers": nn.ModuleList([block(), block()]), "head": nn.Linear(4, 9, bias=False)}
    model, known = model_of(**parts)
    hidden = ["layers.0.proj.weight", "layers.1.proj.weight"]
    others = [name for name in known if name not in hidden]
    assert names(answer.split_for_muon(model), known) == (hidden, others)


def test_stacks_of_matrices_are_for_adamw(answer):
    experts = nn.ParameterDict({"up": nn.Parameter(normal(3, 4, 5))})
    experts["gate"] = nn.Parameter(normal(3, 4))
    model, known = model_of(h=nn.ModuleList([experts]))
    assert names(answer.split_for_muon(model), known) == (["h.0.gate"], ["h.0.up"])


def test_tied_parameters_are_listed_once(answer):
    wte, head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
    head.weight = wte.weight
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    model, known = model_of(wte=wte, h=nn.ModuleList([first, second]), head=head)
    assert names(answer.split_for_muon(model), known) == (["h.0.weight"], ["wte.weight"])


def test_frozen_parameters_are_in_neither_list(answer):
    model, known = model_of(wte=nn.Embedding(9, 4), h=nn.ModuleList([block(), block()]))
    model.wte.requires_grad_(False)
    model.h[0].requires_grad_(False)
    others = ["h.1.norm.weight", "h.1.proj.bias"]
    assert names(answer.split_for_muon(model), known) == (["h.1.proj.weight"], others)


# ---------------------------------------------------------------------------------- all together


def losses(model, text, optimizers, steps=60, context=32):
    """The mean loss of the last ten steps, in which all rates go down to 0 in a straight line."""
    generator, found = torch.Generator().manual_seed(0), []
    for step in range(steps):
        starts = torch.randint(len(text) - context, (8, 1), generator=generator)
        ids = starts + torch.arange(context)
        logits, targets = model(text[ids]).flatten(0, 1), text[ids + 1].flatten()
        loss = F.cross_entropy(logits, targets, reduction="sum")
        model.zero_grad()
        loss.backward()
        for optimizer, rate in optimizers:
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            optimizer.step()
        found.append(loss.item() / targets.numel())
    return sum(found[-10:]) / 10


def small_model():
    """A Llama of two layers that always starts the same, and a text for it."""
    from solutions.ch04_models.ex04_llama_model import LlamaConfig, LlamaModel

    text = Path(kata.__file__).with_name("corpus").joinpath("sella.txt").read_text("utf-8")[:8000]
    characters = sorted(set(text))
    torch.manual_seed(0)
    model = LlamaModel(LlamaConfig(len(characters), 48, 96, 2, 4, 4))
    return model, torch.tensor([characters.index(character) for character in text])


@cache
def loss_with_adamw():
    """The loss with AdamW alone, at the best of its rates from 0.005 to 0.04."""
    model, text = small_model()
    adamw = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.0)
    return losses(model, text, [(adamw, 0.02)])


@slow_import
def test_a_model_learns_faster_than_with_adamw_alone(answer):
    model, text = small_model()
    hidden, others = answer.split_for_muon(model)
    adamw = torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0)
    both = [(answer.Muon(hidden), 0.05), (adamw, 0.02)]
    assert losses(model, text, both) < loss_with_adamw()
