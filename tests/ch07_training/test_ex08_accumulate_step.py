import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

from kata.check import close, raises
from kata.tensors import generator, randomise

pytestmark = pytest.mark.timeout(60)  # the first step of an optimizer imports half of torch

# The shapes of the micro-batches, and which of them has no token that counts.
CUTS = {
    "one": ([(3, 4)], None),
    "equal": ([(2, 5), (2, 5), (2, 5)], None),
    "unequal": ([(4, 7), (2, 3), (3, 5)], None),
    "one of them empty": ([(2, 3), (3, 2), (4, 6)], 1),
}


def tiny(seed=0):
    """A model of 11 tokens."""
    return randomise(nn.Sequential(nn.Embedding(11, 6), nn.Tanh(), nn.Linear(6, 11)), seed)


def cut(shapes, empty=None, seed=0, device="cpu"):
    """Random micro-batches of these shapes, in which a third of the targets are -100."""
    rng, pairs = generator(seed), []
    for i, shape in enumerate(shapes):
        x, y = torch.randint(11, (2, *shape), generator=rng)
        ignored = torch.rand(shape, generator=rng) < (1.0 if i == empty else 1 / 3)
        pairs.append((x.to(device), y.masked_fill(ignored, -100).to(device)))
    return pairs


def whole_step(model, optimizer, pairs, max_norm=None):
    """The same step, on one large batch."""
    optimizer.zero_grad()
    logits = torch.cat([model(x).flatten(0, 1) for x, _ in pairs])
    loss = F.cross_entropy(logits, torch.cat([y.flatten() for _, y in pairs]))
    loss.backward()
    if max_norm is not None:
        clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


def descent(model):
    """An optimizer that moves each weight by its gradient."""
    return torch.optim.SGD(model.parameters(), lr=1.0)


def digits(value):
    """A float with 4 digits; anything else as it is."""
    return round(value, 4) if isinstance(value, float) else value


def after(step, *pairs, optimizer=descent, device="cpu", **options):
    """All weights of a model as one vector, after a step on each list of micro-batches."""
    model = tiny().to(device)
    optimizer = optimizer(model)
    for each in pairs:
        step(model, optimizer, each, **options)
    return parameters_to_vector(model.parameters())


def most_kept(step, pairs):
    """The largest number of tensors that waited for a backward pass at the same time."""
    alive, counts = weakref.WeakSet(), []

    class Kept:
        def __init__(self, tensor):
            self.tensor = tensor
            alive.add(self)
            counts.append(len(alive))

    model = tiny()
    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        step(model, descent(model), pairs)
    return max(counts)


def test_loss_of_five_tokens_by_hand(answer):
    model = nn.Embedding.from_pretrained(torch.tensor([[0.5, 0.5], [0.2, 0.8]]).log(), False)
    long = torch.tensor([[1, 1], [1, 1]]), torch.tensor([[1, 1], [1, 0]])
    short = torch.tensor([[0]]), torch.tensor([[1]])
    # The mean of -ln 0.8 three times, -ln 0.2 and -ln 0.5.
    assert digits(answer.accumulate_step(model, descent(model), [long, short])) == 0.5944


@pytest.mark.parametrize(("shapes", "empty"), CUTS.values(), ids=CUTS)
def test_loss_is_that_of_one_large_batch(answer, shapes, empty):
    model, twin, pairs = tiny(), tiny(), cut(shapes, empty)
    expected = digits(whole_step(twin, descent(twin), pairs))
    assert digits(answer.accumulate_step(model, descent(model), pairs)) == expected


@pytest.mark.parametrize(("shapes", "empty"), CUTS.values(), ids=CUTS)
def test_gradient_is_that_of_one_large_batch(answer, device, shapes, empty):
    pairs = cut(shapes, empty, device=device)
    expected = after(whole_step, pairs, device=device)
    close(after(answer.accumulate_step, pairs, device=device), expected, "weight")


def test_second_step_starts_anew(answer):
    pairs = cut([(2, 3), (4, 5)]), cut([(3, 6), (2, 2)], seed=1)
    expected = after(whole_step, *pairs)
    close(after(answer.accumulate_step, *pairs), expected, "weight")


def test_momentum_moves_on_once_for_each_step(answer):
    def heavy(model):
        return torch.optim.AdamW(model.parameters(), lr=0.1, eps=0.1, weight_decay=0.5)

    pairs = [cut([(2, 3), (4, 5)], seed=seed) for seed in range(3)]
    expected = after(whole_step, *pairs, optimizer=heavy)
    close(after(answer.accumulate_step, *pairs, optimizer=heavy), expected, "weight")


@pytest.mark.parametrize("max_norm", [0.05, 100.0])
def test_whole_gradient_is_clipped(answer, max_norm):
    pairs = cut([(2, 3), (4, 5)])
    expected = after(whole_step, pairs, max_norm=max_norm)
    close(after(answer.accumulate_step, pairs, max_norm=max_norm), expected, "weight")


@pytest.mark.in_worker("counts what torch keeps for the backward pass")
def test_memory_is_that_of_one_micro_batch(answer):
    expected = {"tensors kept": most_kept(answer.accumulate_step, cut([(2, 5)]))}
    assert {"tensors kept": most_kept(answer.accumulate_step, cut([(2, 5)] * 4))} == expected


@pytest.mark.parametrize("pairs", [[], [(2, 3)]], ids=["no micro-batch", "nothing but -100"])
def test_no_tokens_are_refused(answer, pairs):
    model = tiny()
    with raises(ValueError):
        answer.accumulate_step(model, descent(model), cut(pairs, empty=0))
