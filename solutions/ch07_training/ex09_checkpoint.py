"""7.9 Checkpoints   [medium, ~35 min]

Training that was interrupted should go on as if nothing had happened: to the bit. That takes more
than the weights: the optimizer's averages, the order of the data, and the random numbers of dropout
belong to the state as well. And a checkpoint must survive what it is there for: a crash, or a full
disk, in the middle of writing it.

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html (`weights_only`);
https://docs.pytorch.org/docs/stable/notes/randomness.html.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn


def save_checkpoint(
    path: str | Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    generator: torch.Generator | None = None,
    config: Mapping[str, Any] | None = None,
    history: list[dict[str, Any]] | None = None,
) -> None:
    """Write everything that training needs to go on, into one file in a folder that exists.

    That is also the state of torch's global random numbers: on the CPU, and on CUDA devices or on
    MPS where the machine has them. `torch.load(path, weights_only=True)` can read the file: it
    holds only tensors and plain data. Of the model and the optimizer only `state_dict` is used.

    It is written under another name in the same folder, and renamed when it is complete. When
    anything goes wrong before that, the exception goes on to the caller, the checkpoint that stood
    at `path` is as it was, and the folder holds no new file.

    Args:
        path: where to; a file that is there is replaced.
        model: what is trained.
        optimizer: with what.
        step: how many steps have been taken.
        generator: draws the batches (7.1).
        config: the settings that a run must share to go on, plain data under names.
        history: what has been logged so far, plain data.
    """
    # solution
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "generator": None if generator is None else generator.get_state(),
        "random": random_state(),
        "config": dict(config or {}),
        "history": history or [],
    }
    beside = Path(f"{path}.part")
    try:
        torch.save(state, beside)
        os.replace(beside, path)  # there is no moment without a complete file
    finally:
        beside.unlink(missing_ok=True)


def load_checkpoint(
    path: str | Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    generator: torch.Generator | None = None,
    config: Mapping[str, Any] | None = None,
) -> tuple[int, list[dict[str, Any]]]:
    """Put everything back as it was when the checkpoint was saved; return the step and the history.

    Model, optimizer, generator and torch's global random numbers are set in place. The steps that
    follow are bit for bit those of a run that was never interrupted. Of the model and the optimizer
    only `load_state_dict` is used; they may be on another device than when they were saved. Nothing
    that a file holds is executed.

    Args:
        path: what `save_checkpoint` wrote.
        model: gets the weights.
        optimizer: gets the state of the one that was saved; None if only the model is wanted.
        generator: gets the state of the one that was saved, if one was.
        config: the settings of this run; with None any checkpoint is welcome.

    Returns:
        `step` and `history` as they were saved; a history of None is an empty list.

    Raises:
        ValueError: the configuration of the checkpoint (no settings at all, if it was saved without
            one) is another. The message names each setting that differs or that only one of them
            has, with both values, and no other setting. Nothing has been changed.
        FileNotFoundError: there is no such file.
        pickle.UnpicklingError: the file holds more than tensors and plain data.

    >>> from tempfile import TemporaryDirectory
    >>> model = nn.Linear(2, 3)
    >>> with TemporaryDirectory() as folder:
    ...     file, adam = Path(folder, "last.pt"), torch.optim.AdamW(model.parameters())
    ...     save_checkpoint(file, model=model, optimizer=adam, step=7, config={"width": 3})
    ...     load_checkpoint(file, model=nn.Linear(2, 3), config={"width": 3})
    (7, [])
    """
    # solution
    state = torch.load(path, map_location="cpu", weights_only=True)
    if config is not None:
        check_config(state["config"], config)
    model.load_state_dict(state["model"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    if generator is not None and state["generator"] is not None:
        generator.set_state(state["generator"])
    set_random_state(state["random"])
    return state["step"], state["history"]


# solution
def check_config(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise a ValueError that names every setting in which the two differ."""
    pairs = {k: (saved.get(k, "nothing"), wanted.get(k, "nothing")) for k in {**saved, **wanted}}
    differ = [f"{k} is {a!r} there and {b!r} here" for k, (a, b) in pairs.items() if a != b]
    if differ:
        raise ValueError(f"the checkpoint is of another configuration: {', '.join(differ)}")


def random_state() -> dict[str, Any]:
    """The state of torch's global generators; CUDA's is a list, empty where there is no device."""
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all(), "mps": mps}


def set_random_state(state: Mapping[str, Any]) -> None:
    """Give torch's global generators their states, where this machine has such a device."""
    torch.set_rng_state(state["cpu"])
    torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
    if state["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
