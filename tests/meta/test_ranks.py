"""Ranks that are threads are like the processes that torchrun starts, and 7.13 is right on both."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from kata.ranks import on_ranks
from kata.tensors import generator, randomise
from solutions.ch07_training.ex01_get_batch import get_batch
from solutions.ch07_training.ex08_accumulate_step import accumulate_step

ROOT = Path(__file__).parents[2]
STEPS = 4
# What a learner would write: a training loop on half of each batch, and a checkpoint at the end.
SCRIPT = """
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from solutions.ch07_training.ex09_checkpoint import load_checkpoint, save_checkpoint
from solutions.ch07_training.ex13_data_parallel_step import data_parallel_step, save_on_rank_zero
from tests.meta.test_ranks import batches, tiny

folder = Path(sys.argv[1])
dist.init_process_group("gloo")
rank = dist.get_rank()
model = tiny()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
losses = []
for halves in batches():
    losses.append(data_parallel_step(model, optimizer, halves[rank], max_norm=0.5))
save_on_rank_zero(
    lambda: save_checkpoint(folder / "last.pt", model=model, optimizer=optimizer, step=len(losses))
)
copy = tiny()
step, _ = load_checkpoint(folder / "last.pt", model=copy)
same = all(torch.equal(a, b) for a, b in zip(copy.parameters(), model.parameters(), strict=True))
weights = [p.detach() for p in model.parameters()]
found = {"losses": losses, "weights": weights, "same": same, "step": step}
torch.save(found | {"ranks": dist.get_world_size()}, folder / f"rank{rank}.pt")
dist.destroy_process_group()
"""


def tiny():
    """A model of 11 tokens, in float64."""
    layers = torch.nn.Embedding(11, 6), torch.nn.Tanh(), torch.nn.Linear(6, 11)
    return randomise(torch.nn.Sequential(*layers)).double()


def batches():
    """The halves of some batches of a text, which are the same for everybody who draws them."""
    rng = generator()
    text = torch.randint(11, (200,), generator=rng)
    for _ in range(STEPS):
        x, y = get_batch(text, batch_size=6, context=8, generator=rng)
        yield list(zip(x.chunk(2), y.chunk(2), strict=True))


@pytest.mark.timeout(180)  # torch is imported three times
def test_two_processes_of_torchrun_equal_one_to_the_bit(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    loopback = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if loopback:
        environ["GLOO_SOCKET_IFNAME"] = loopback.pop()
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone",
         "--local-addr=127.0.0.1", str(script), str(tmp_path)],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]

    model = tiny()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    losses = [accumulate_step(model, optimizer, halves, 0.5) for halves in batches()]
    for rank in (0, 1):
        got = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        assert (got["ranks"], got["step"], got["same"]) == (2, STEPS, True)
        assert got["losses"] == losses
        for weight, expected in zip(got["weights"], model.parameters(), strict=True):
            assert torch.equal(weight, expected)


def test_ranks_talk_to_each_other():
    def work(rank):
        part = torch.tensor([rank + 1.0, 10.0])
        dist.all_reduce(part)
        names = [None] * 3
        dist.all_gather_object(names, f"rank {rank}")
        return part.tolist(), names, dist.get_rank(), dist.get_world_size()

    names = ["rank 0", "rank 1", "rank 2"]
    assert on_ranks(work, 3) == [([6.0, 30.0], names, rank, 3) for rank in range(3)]


def test_a_process_group_ends_with_its_ranks(monkeypatch):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    assert on_ranks(lambda rank: dist.is_initialized(), 2) == [True, True]
    assert not dist.is_initialized()
    assert "GLOO_SOCKET_IFNAME" not in os.environ


def test_ranks_do_not_hinder_each_other_in_autograd():
    def work(rank):
        x = torch.full((3,), rank + 1.0, requires_grad=True)
        (x * x).sum().backward()
        dist.all_reduce(x.grad)
        return x.grad.tolist()

    assert on_ranks(work) == [[6.0, 6.0, 6.0]] * 2


def test_the_rank_that_failed_is_the_one_that_is_heard():
    def work(rank):
        if rank == 1:
            raise KeyError("my own mistake")
        dist.barrier()

    with pytest.raises(KeyError, match="my own mistake"):
        on_ranks(work)


def test_a_rank_that_waits_for_nobody_fails():
    def work(rank):
        if rank == 0:
            dist.barrier()

    with pytest.raises(AssertionError, match="waits for another one"):
        on_ranks(work)
