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
    raise NotImplementedError("save_checkpoint")  # your code here


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
    raise NotImplementedError("load_checkpoint")  # your code here
