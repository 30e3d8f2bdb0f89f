import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

from kata.check import close, raises
from kata.tensors import generator, gradients, normal, randomise

pytestmark = pytest.mark.timeout(60)  # the first step of an optimizer imports half of torch

UNLABELLED = {
    "nothing but -100": [[-100, -100, -100], [-100, -100, -100]],
    "labels of first tokens": [[4, -100, -100], [2, -100, -100]],
}


def some(seed=0, device="cpu"):
    """Three padded examples of 11 tokens with 2, 5 and 1 tokens to be learned."""
    rng, hidden, lengths = generator(seed), (3, 2, 4), (5, 7, 5)
    ids, place = torch.randint(11, (3, 7), generator=rng), torch.arange(7)
    is_real = place < torch.tensor(lengths)[:, None]
    is_learned = is_real & (place >= torch.tensor(hidden)[:, None])
    batch = {
        "input_ids": ids.masked_fill(~is_real, 0),
        "labels": ids.masked_fill(~is_learned, -100),
        "attention_mask": is_real.long(),
    }
    return {name: value.to(device) for name, value in batch.items()}


def of_responses(logits, batch):
    """The loss, with the tokens that count picked one by one."""
    logits, labels = logits.to(torch.promote_types(logits.dtype, torch.float32)), batch["labels"]
    places = [(i, j) for i, j in (labels != -100).nonzero().tolist() if j > 0]
    return -sum(logits[i, j - 1].log_softmax(-1)[labels[i, j]] for i, j in places) / len(places)


def tiny():
    """A model of 11 tokens with a gradient longer than 1."""
    model = randomise(nn.Sequential(nn.Embedding(11, 60), nn.Tanh(), nn.Linear(60, 11)))
    model[0].weight.data *= 8
    return model


def torch_step(model, optimizer, batch, max_norm=None):
    """The same step, written out."""
    optimizer.zero_grad()
    logits, labels = model(batch["input_ids"])[:, :-1], batch["labels"][:, 1:]
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    loss.backward()
    if max_norm is not None:
        clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


def descent(model):
    """An optimizer that moves each weight along its gradient."""
    return torch.optim.SGD(model.parameters(), lr=0.1)


def after(step, *batches, device="cpu", **options):
    """All weights of a model as one vector, after a step on each batch.

    The model comes with gradients of something else.
    """
    model = tiny().to(device)
    optimizer = descent(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for batch in batches:
        step(model, optimizer, batch, **options)
    return parameters_to_vector(model.parameters())


def digits(value):
    """A float with 4 digits; anything else as it is."""
    return round(value, 4) if isinstance(value, float) else value


def test_three_tokens_by_hand(answer):
    # What is said after the tokens 0, 1 and 2; learned are the tokens 2, 1 and 0.
    probs = torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])
    ids = torch.tensor([[0, 1, 2, 1, 0], [1, 2, 0, 0, 0]])
    labels = torch.tensor([[-100, -100, 2, 1, -100], [-100, -100, 0, -100, -100]])
    expected = torch.tensor(-math.log(0.4 * 0.3 * 0.6) / 3)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    batch = {"input_ids": ids, "labels": labels, "attention_mask": mask}
    close(answer.sft_loss(lambda ids: probs.log()[ids], batch), expected)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str
)
def test_loss_is_the_mean_over_response_tokens(answer, device, dtype):
    batch, logits = some(device=device), normal(3, 7, 11, dtype=dtype).to(device)
    expected = of_responses(logits, batch)
    close(answer.sft_loss(lambda ids: logits, batch), expected)


def test_no_gradient_reaches_other_logits(answer):
    batch, logits = some(), normal(3, 7, 11)
    expected = gradients(lambda x: of_responses(x, batch), logits)[0]
    actual = gradients(lambda x: answer.sft_loss(lambda ids: x, batch), logits)[0]
    close(actual, expected, "example token vocab")


def test_first_labels_never_count(answer):
    batch, logits = some(), normal(3, 7, 11)
    expected = of_responses(logits, batch)
    batch["labels"][:, 0] = torch.tensor([3, 5, 10])
    close(answer.sft_loss(lambda ids: logits, batch), expected)


def test_loss_runs_on_the_meta_device(answer):
    logits = normal(3, 7, 11).to("meta")
    actual = answer.sft_loss(lambda ids: logits, some(device="meta"))
    close(actual, torch.empty((), device="meta"))


def test_step_returns_the_loss_before_it(answer):
    model, twin = tiny(), tiny()
    expected = torch_step(twin, descent(twin), some())
    assert digits(answer.sft_step(model, descent(model), some())) == digits(expected)


def test_three_steps_agree_with_torch(answer, device):
    batches = [some(seed, device) for seed in range(3)]
    expected = after(torch_step, *batches, device=device)
    close(after(answer.sft_step, *batches, device=device), expected, "weight")


@pytest.mark.parametrize("max_norm", [0.1, 100.0])
def test_whole_gradient_is_clipped(answer, max_norm):
    expected = after(torch_step, some(), max_norm=max_norm)
    close(after(answer.sft_step, some(), max_norm=max_norm), expected, "weight")


@pytest.mark.parametrize("training", [True, False])
def test_mode_of_the_model_stays(answer, training):
    model = tiny().train(training)
    answer.sft_step(model, descent(model), some())
    assert {"training": model.training} == {"training": training}


@pytest.mark.parametrize("labels", UNLABELLED.values(), ids=UNLABELLED)
def test_batches_without_labels_are_refused(answer, labels):
    batch = {"input_ids": torch.tensor([[4, 1, 2], [2, 5, 0]]), "labels": torch.tensor(labels)}
    model = tiny()
    with raises(ValueError):
        answer.sft_step(model, descent(model), batch)
