import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from kata.check import close, raises
from kata.tensors import generator, randomise

pytestmark = pytest.mark.timeout(60)  # the first step of an optimizer imports half of torch

CONFIG = {"n_layer": 2, "n_head": 4, "betas": (0.9, 0.95), "tied": True}
HISTORY = [{"step": 5, "loss": 2.5, "note": None}, {"step": 10, "loss": 1.25, "note": "saved"}]
# What is set in this run, and what of it the message must name.
OTHERS = {
    "another value": (CONFIG | {"n_layer": 3}, "n_layer"),
    "one more": (CONFIG | {"rope": 1e4}, "rope"),
    "one less": ({k: v for k, v in CONFIG.items() if k != "tied"}, "tied"),
    "two, one of them": (CONFIG | {"n_head": 2, "n_layer": 1}, "n_head"),
    "two, the other": (CONFIG | {"n_head": 2, "n_layer": 1}, "n_layer"),
}


class Payload:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def run(seed=0, device="cpu"):
    """All that a run consists of: a model with dropout, its optimizer, and the order of data."""
    model = randomise(nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.4), nn.Linear(6, 3)), seed)
    optimizer = torch.optim.AdamW(model.to(device).parameters(), lr=0.1)
    return {"model": model, "optimizer": optimizer, "generator": generator(seed)}


def train(parts, steps):
    """Take some steps, and return their losses."""
    model, optimizer, losses = parts["model"], parts["optimizer"], []
    device = model[0].weight.device
    for _ in range(steps):
        x = torch.randn(5, 4, generator=parts["generator"]).to(device)
        loss = model(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def place(tmp_path):
    """A file in a new folder: wrong versions meet the same `tmp_path` one after another."""
    return Path(mkdtemp(dir=tmp_path), "last.pt")


def neighbours(file):
    """What lies in the folder of this file."""
    return sorted(path.name for path in file.parent.iterdir())


@pytest.mark.parametrize("config", [None, CONFIG], ids=["any", "the same"])
def test_step_and_history_come_back(answer, tmp_path, config):
    parts, file = run(), place(tmp_path)
    answer.save_checkpoint(file, **parts, step=10, config=CONFIG, history=HISTORY)
    assert answer.load_checkpoint(file, **parts, config=config) == (10, HISTORY)


def test_new_checkpoint_takes_the_place_of_the_old(answer, tmp_path):
    parts, file = run(), place(tmp_path)
    answer.save_checkpoint(file, **parts, step=10)
    answer.save_checkpoint(str(file), **parts, step=20)
    assert answer.load_checkpoint(file, model=parts["model"]) == (20, [])
    assert neighbours(file) == ["last.pt"]


def test_model_alone_can_be_loaded(answer, tmp_path):
    parts, model, file = run(), run(seed=1)["model"], place(tmp_path)
    answer.save_checkpoint(file, **parts, step=10)
    answer.load_checkpoint(file, model=model)
    expected = parameters_to_vector(parts["model"].parameters())
    close(parameters_to_vector(model.parameters()), expected, "weight", rtol=0, atol=0)


def test_optimizer_goes_on_with_its_averages(answer, tmp_path):
    parts, resumed, file = run(), run(seed=1), place(tmp_path)
    torch.manual_seed(1)  # for dropout
    train(parts, 10)
    answer.save_checkpoint(file, **parts, step=10)
    expected = parts["optimizer"].state_dict()["state"][0]["exp_avg"].clone()
    answer.load_checkpoint(file, **resumed)
    first = resumed["optimizer"].state_dict()["state"].get(0, {"exp_avg": torch.zeros(6, 4)})
    close(first["exp_avg"], expected, "out in", rtol=0, atol=0)


def test_batches_go_on_in_order(answer, tmp_path):
    parts, resumed, file = run(), run(seed=1), place(tmp_path)
    torch.rand(3, generator=parts["generator"])
    answer.save_checkpoint(file, **parts, step=10)
    expected = torch.rand(8, generator=parts["generator"])
    answer.load_checkpoint(file, **resumed)
    close(torch.rand(8, generator=resumed["generator"]), expected, "draw", rtol=0, atol=0)


def test_dropout_goes_on_with_its_random_numbers(answer, device, tmp_path):
    parts, file = run(), place(tmp_path)
    torch.manual_seed(1)
    torch.rand(3, device=device)
    answer.save_checkpoint(file, **parts, step=10)
    expected = torch.rand(8, device=device)
    answer.load_checkpoint(file, **parts)
    close(torch.rand(8, device=device), expected, "draw", rtol=0, atol=0)


def test_resumed_run_is_the_uninterrupted_one(answer, device, tmp_path):
    parts, resumed, file = run(device=device), run(seed=1, device=device), place(tmp_path)
    torch.manual_seed(1)
    train(parts, 10)
    answer.save_checkpoint(file, **parts, step=10)
    expected = train(parts, 10)
    answer.load_checkpoint(file, **resumed)
    assert train(resumed, 10) == expected


def test_file_holds_only_tensors_and_plain_data(answer, tmp_path):
    file = place(tmp_path)
    answer.save_checkpoint(file, **run(), step=10, config=CONFIG, history=HISTORY)
    problem = ""
    try:
        torch.load(file, weights_only=True)
    except Exception as error:
        problem = str(error)
    assert problem == ""


def test_nothing_in_a_file_is_executed(answer, tmp_path):
    file = place(tmp_path)
    torch.save({"model": Payload(file.parent / "made by the file")}, file)
    with suppress(Exception):
        answer.load_checkpoint(file, model=run()["model"])
    assert neighbours(file) == ["last.pt"]


def test_failed_save_keeps_the_old_checkpoint(answer, tmp_path):
    parts, file = run(), place(tmp_path)
    answer.save_checkpoint(file, **parts, step=10)
    expected = file.read_bytes()
    with raises(Exception, match="lambda"):
        answer.save_checkpoint(file, **parts, step=20, history=[{"step": lambda: 20}])
    assert neighbours(file) == ["last.pt"]
    assert file.read_bytes() == expected


def test_missing_file_is_an_error(answer, tmp_path):
    with raises(FileNotFoundError):
        answer.load_checkpoint(place(tmp_path), model=run()["model"])


@pytest.mark.parametrize(("config", "named"), OTHERS.values(), ids=OTHERS)
def test_another_configuration_is_refused(answer, tmp_path, config, named):
    parts, file = run(), place(tmp_path)
    answer.save_checkpoint(file, **parts, step=10, config=CONFIG)
    with raises(ValueError, match=named):
        answer.load_checkpoint(file, model=parts["model"], config=config)


def test_refused_checkpoint_changes_nothing(answer, tmp_path):
    parts, other, file = run(), run(seed=1), place(tmp_path)
    answer.save_checkpoint(file, **parts, step=10)
    expected = parameters_to_vector(other["model"].parameters()).clone()
    with raises(ValueError):
        answer.load_checkpoint(file, **other, config=CONFIG)
    close(parameters_to_vector(other["model"].parameters()), expected, "weight")
