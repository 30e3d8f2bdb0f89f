from threading import Event

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

from kata.check import close, raises
from kata.ranks import on_ranks
from kata.tensors import generator, randomise

pytestmark = [
    pytest.mark.in_worker("calls the answer on ranks that talk to each other", loopback=True),
    pytest.mark.timeout(60),  # the first step of an optimizer imports half of torch
]

# The number of rows in each rank's shard, and the rank of which no token counts.
SHARDS = {
    "two halves": ([3, 3], None),
    "unequal shards": ([4, 1], None),
    "three ranks": ([2, 1, 3], None),
    "one without tokens": ([2, 3], 0),
}


def tiny():
    """A model of 11 tokens, in float64."""
    return randomise(nn.Sequential(nn.Embedding(11, 6), nn.Tanh(), nn.Linear(6, 11))).double()


class Experts(nn.Module):
    """A model that uses one of two experts for a whole batch. Its embedding is frozen."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6).requires_grad_(False)
        self.experts = nn.ModuleList([nn.Linear(6, 11), nn.Linear(6, 11)])

    def forward(self, x):
        return self.experts[int(x[0, 0]) % 2](self.embedding(x))


def shards_of(rows, empty=None, seed=0):
    """Random shards of 5 columns; in later ones more targets are -100."""
    rng, shards = generator(seed), []
    for rank, n_rows in enumerate(rows):
        x, y = torch.randint(11, (2, n_rows, 5), generator=rng)
        x[0, 0] = rank  # which expert is used
        ignored = torch.rand(n_rows, 5, generator=rng) < (1.0 if rank == empty else 0.3 * rank)
        shards.append((x, y.masked_fill(ignored, -100)))
    return shards


def whole_step(model, optimizer, shards, max_norm=None):
    """The same step, in one process that has all shards."""
    optimizer.zero_grad()
    logits = torch.cat([model(x).flatten(0, 1) for x, _ in shards])
    loss = F.cross_entropy(logits, torch.cat([y.flatten() for _, y in shards]))
    loss.backward()
    if max_norm is not None:
        clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()


def adam(model):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trained, lr=0.1, eps=0.1, weight_decay=0.5)


def trained(step, batches, max_norm=None, make=tiny, optimizer=adam):
    """The weights of a model as one vector, and the loss, after a step on each batch."""
    model = make()
    optimizer = optimizer(model)
    losses = [step(model, optimizer, batch, max_norm) for batch in batches]
    return parameters_to_vector(model.parameters()).detach(), losses[-1]


def on_all(step, steps, **options):
    """`trained` on every rank: `steps` holds the shards of all ranks, step by step."""
    mine = list(zip(*steps, strict=True))
    return on_ranks(lambda rank: trained(step, mine[rank], **options), len(mine))


def near(actual, expected):
    """Compare weights far more closely than float32 allows."""
    close(actual, expected, "weight", rtol=1e-6, atol=1e-7)


def complaint(function):
    """What the OSError says that `function` raises."""
    try:
        function()
    except OSError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("rank", [0, 1])
def test_two_ranks_by_hand(answer, rank):
    tokens = [([[0, 0, 0]], [[1, 1, 2]]), ([[1]], [[0]])]
    shards = [(torch.tensor(x), torch.tensor(y)) for x, y in tokens]
    zeros = lambda: nn.Embedding.from_pretrained(torch.zeros(3, 3), freeze=False)
    descent = lambda model: torch.optim.SGD(model.parameters(), lr=1.0)
    weights, loss = on_all(answer.data_parallel_step, [shards], make=zeros, optimizer=descent)[rank]
    assert round(loss, 4) == 1.0986
    expected = torch.tensor([[-1 / 4, 1 / 4, 0], [1 / 6, -1 / 12, -1 / 12], [0, 0, 0]])
    close(weights.view(3, 3), expected, "token logit")


@pytest.mark.parametrize(("rows", "empty"), SHARDS.values(), ids=SHARDS)
def test_ranks_equal_one_process_with_all(answer, rows, empty):
    steps = [shards_of(rows, empty, seed=seed) for seed in range(3)]
    expected, _ = trained(whole_step, steps)
    near(on_all(answer.data_parallel_step, steps)[-1][0], expected)


def test_ranks_stay_equal_to_the_bit(answer):
    steps = [shards_of([3, 1], seed=seed) for seed in range(3)]
    (first, _), (second, _) = on_all(answer.data_parallel_step, steps)
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize(("rows", "empty"), SHARDS.values(), ids=SHARDS)
def test_every_rank_returns_the_loss_of_all(answer, rows, empty):
    shards = shards_of(rows, empty)
    _, expected = trained(whole_step, [shards])
    losses = [round(loss, 6) for _, loss in on_all(answer.data_parallel_step, [shards])]
    assert losses == [round(expected, 6)] * len(rows)


@pytest.mark.parametrize("max_norm", [0.05, 100.0])
def test_gradient_of_all_is_clipped(answer, max_norm):
    shards = shards_of([3, 2])
    expected, _ = trained(whole_step, [shards], max_norm)
    near(on_all(answer.data_parallel_step, [shards], max_norm=max_norm)[1][0], expected)


@pytest.mark.parametrize("rank", [0, 1])
def test_shards_may_reach_different_parameters(answer, rank):
    make = lambda: randomise(Experts()).double()
    steps = [shards_of([2, 3], seed=seed) for seed in range(2)]
    expected, _ = trained(whole_step, steps, make=make)
    near(on_all(answer.data_parallel_step, steps, make=make)[rank][0], expected)


def test_works_without_a_process_group(answer, device):
    make = lambda: tiny().float().to(device)
    (x, y), batch = shards_of([3])[0], [tensor.to(device) for tensor in shards_of([3])[0]]
    expected, loss = trained(whole_step, [[(x.to(device), y.to(device))]], 0.05, make)
    weights, actual = trained(answer.data_parallel_step, [batch], 0.05, make)
    close(weights, expected, "weight")
    assert round(actual, 4) == round(loss, 4)


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_no_tokens_anywhere_are_an_error(answer, n_ranks):
    empty = torch.zeros(2, 5).long(), torch.full((2, 5), -100)

    def refused(rank):
        with raises(ValueError):
            trained(answer.data_parallel_step, [empty])

    on_ranks(refused, n_ranks)


@pytest.mark.parametrize("n_ranks", [1, 3])
def test_rank_zero_alone_saves(answer, n_ranks):
    saved = []
    on_ranks(
        lambda rank: answer.save_on_rank_zero(lambda: saved.append(f"by rank {rank}")), n_ranks
    )
    assert sorted(saved) == ["by rank 0"]


def test_saves_without_a_process_group(answer):
    saved = []
    answer.save_on_rank_zero(lambda: saved.append("once"))
    assert saved == ["once"]


def test_no_rank_goes_on_before_all_is_saved(answer):
    gone, seen = Event(), []

    def work(rank):
        answer.save_on_rank_zero(lambda: seen.append(gone.wait(0.3)))
        gone.set()

    on_ranks(work)
    assert seen == [False], "another rank went on while rank 0 was saving"


def test_a_full_disk_is_told_on_rank_zero(answer):
    def full():
        raise OSError("no space left")

    said = on_ranks(lambda rank: complaint(lambda: answer.save_on_rank_zero(full)))
    assert said == ["no space left", ""]
