"""What an answer may need, done in a worker: prints a JSON object of what went wrong."""

import asyncio
import ctypes
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from kata.grading import sandbox

torch.set_num_threads(1)


def multiply():
    assert torch.isfinite(torch.randn(99, 99) @ torch.randn(99, 99)).all()


def go_backward():
    x = torch.randn(9, 9, requires_grad=True)
    (x @ x).relu().sum().backward()
    assert x.grad is not None


def compute_in_bfloat16():
    x = torch.randn(9, 9, dtype=torch.bfloat16, requires_grad=True)
    torch.softmax(x @ x, -1).sum().backward()


def save():
    torch.save({"a": torch.ones(3)}, "x.pt")
    assert torch.load("x.pt")["a"].sum() == 3


def compute_in_threads():
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda i: torch.ones(i).sum().item(), range(4))) == [0, 1, 2, 3]


def compute_in_threads_of_torch():
    torch.set_num_threads(2)
    torch.randn(600, 600) @ torch.randn(600, 600)


def import_more():
    for name in ("sqlite3", "wave", "xml.dom.minidom", "ssl", "lzma", "numpy.polynomial"):
        importlib.import_module(name)


def tokenize():
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=30, show_progress=False)
    tokenizer.train_from_iterator(["hello world"] * 9, trainer)
    import tiktoken

    ranks = {bytes([i]): i for i in range(256)}
    assert tiktoken.Encoding("x", pat_str=".", mergeable_ranks=ranks, special_tokens={}).encode("a")


def check_a_property():
    from hypothesis import given, settings, strategies

    settings(max_examples=3)(given(strategies.integers())(lambda x: None))()


def draw():
    import matplotlib.figure

    matplotlib.figure.Figure().savefig("x.png")


def map_a_dataset():
    from datasets import Dataset

    Path("x.txt").write_text("a\nb\n")
    assert len(Dataset.from_text("x.txt").map(lambda row: {"b": 1})) == 2


def use_temporary_files():
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile():
        Path(folder, "a").touch()
        shutil.copy(Path(folder, "a"), "b")
        shutil.move("b", Path(folder, "c"))


def run_coroutine():
    asyncio.run(asyncio.sleep(0.001))


def be_called_from_c():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.POINTER(ctypes.c_int)] * 2)
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    ctypes.CDLL(None).qsort(numbers, 3, 4, kind(lambda a, b: a[0] - b[0]))
    assert list(numbers) == [1, 2, 3]


def take_a_signal():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()
    os.kill(os.getpid(), signal.SIGALRM)
    signal.raise_signal(signal.SIGALRM)


def know_the_time_zones():
    import zoneinfo

    zoneinfo.ZoneInfo("Europe/Vienna")


JOBS = [job for job in list(globals().values()) if getattr(job, "__module__", "") == __name__]


def main(scratch: str) -> None:
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with open(reader) as pipe:
            print(pipe.read())
        return
    before = set(sys.modules)
    sandbox.confine(Path(scratch), keep=[writer])
    found = {"imported": sorted(set(sys.modules) - before)}
    for job in JOBS:
        try:
            job()
        except BaseException as error:
            found[job.__name__] = repr(error)
    os.write(writer, json.dumps(found).encode())


if __name__ == "__main__":
    main(sys.argv[1])
