import os
import shutil
from pathlib import Path

import torch

from kata.wrong import wrong
from solutions.ch07_training.ex09_checkpoint import (
    check_config,
    load_checkpoint,
    save_checkpoint,
    set_random_state,
)


def rewritten(path, **changes):
    """Write a checkpoint again, with some of its entries changed."""
    torch.save(torch.load(path, weights_only=True) | changes, path)


@wrong(caught_by=["failed_save_keeps_the_old_checkpoint"])
def save_checkpoint__writes_over_the_old_file(path, **parts):
    """The file was written in its place: what goes wrong meanwhile leaves half a checkpoint, and
    the old one is lost. Write beside it and rename when it is complete (`os.replace`)."""
    try:
        save_checkpoint(path, **parts)
    except Exception:
        Path(path).write_bytes(b"half of a checkpoint")
        raise


@wrong(caught_by=["failed_save_keeps_the_old_checkpoint"])
def save_checkpoint__removes_the_old_file_first(path, **parts):
    """The old checkpoint was removed before the new one was complete. For that time there is none,
    and if writing fails it stays so: `os.replace` replaces a file, no need to remove it."""
    Path(path).unlink(missing_ok=True)
    save_checkpoint(path, **parts)


@wrong(caught_by=["failed_save_keeps_the_old_checkpoint"])
def save_checkpoint__leaves_half_a_file(path, **parts):
    """When writing failed, the unfinished file stayed behind: on a disk that is full already.
    Remove it (`finally`)."""
    try:
        save_checkpoint(path, **parts)
    except Exception:
        Path(f"{path}.tmp").write_bytes(b"half of a checkpoint")
        raise


@wrong(
    caught_by=["new_checkpoint_takes_the_place_of_the_old", "failed_save_keeps_the_old_checkpoint"]
)
def save_checkpoint__copies_the_new_file(path, **parts):
    """The complete file was copied to its place, not renamed: there are two now, and the copying
    can be interrupted like the writing."""
    save_checkpoint(f"{path}.tmp", **parts)
    shutil.copy(f"{path}.tmp", path)


@wrong(
    caught_by=[
        "file_holds_only_tensors_and_plain_data",
        "another_configuration_is_refused",
        "refused_checkpoint_changes_nothing",
    ],
    crashes=[
        "step_and_history_come_back",
        "new_checkpoint_takes_the_place_of_the_old",
        "model_alone_can_be_loaded",
        "optimizer_goes_on_with_its_averages",
        "batches_go_on_in_order",
        "dropout_goes_on_with_its_random_numbers",
        "resumed_run_is_the_uninterrupted_one",
    ],
)
def save_checkpoint__saves_the_objects(path, *, model, **parts):
    """The model itself was saved, not its `state_dict`. A file with objects in it can only be read
    by executing what it holds, and `weights_only=True` refuses that."""
    save_checkpoint(path, model=model, **parts)
    torch.save(torch.load(path, weights_only=True) | {"model": model}, path)


@wrong(caught_by=["batches_go_on_in_order", "resumed_run_is_the_uninterrupted_one"])
def save_checkpoint__saves_the_seed_only(path, *, generator=None, **parts):
    """Of the generator only the seed was saved. It says where the numbers began, not how many have
    been drawn: the resumed run would see the first batches again. Save `get_state()`."""
    save_checkpoint(path, generator=generator, **parts)
    if generator is not None:
        anew = torch.Generator().manual_seed(generator.initial_seed())
        rewritten(path, generator=anew.get_state())


@wrong(caught_by=["step_and_history_come_back", "failed_save_keeps_the_old_checkpoint"])
def save_checkpoint__loses_the_history(path, *, history=None, **parts):
    """The history was not saved: the curves of the resumed run begin in the middle."""
    save_checkpoint(path, **parts)


@wrong(caught_by=["step_and_history_come_back", "new_checkpoint_takes_the_place_of_the_old"])
def load_checkpoint__loses_the_step(path, **parts):
    """The step was not returned as it was saved. With another number the learning rate starts its
    warm-up again, or goes on too far down."""
    return 0, load_checkpoint(path, **parts)[1]


@wrong(caught_by=["optimizer_goes_on_with_its_averages", "resumed_run_is_the_uninterrupted_one"])
def load_checkpoint__forgets_the_optimizer(path, *, optimizer=None, **parts):
    """The optimizer did not get its state back. Adam's averages begin at zero again, and so does
    its bias correction: the loss jumps after each restart."""
    return load_checkpoint(path, **parts)


@wrong(crashes=["new_checkpoint_takes_the_place_of_the_old", "model_alone_can_be_loaded"])
def load_checkpoint__needs_an_optimizer(path, *, optimizer=None, **parts):
    """Who only wants to use the model has no optimizer: with None there is nothing to load into."""
    result = load_checkpoint(path, optimizer=optimizer, **parts)
    optimizer.load_state_dict(optimizer.state_dict())
    return result


@wrong(caught_by=["batches_go_on_in_order", "resumed_run_is_the_uninterrupted_one"])
def load_checkpoint__forgets_the_generator(path, *, generator=None, **parts):
    """The generator did not get its state back: the resumed run draws other batches."""
    return load_checkpoint(path, **parts)


@wrong(
    caught_by=["dropout_goes_on_with_its_random_numbers", "resumed_run_is_the_uninterrupted_one"]
)
def load_checkpoint__forgets_the_global_random_numbers(path, **parts):
    """torch's global random numbers were not set back. Dropout draws from them, not from the
    generator of the batches."""
    state = torch.get_rng_state()
    gpu = torch.cuda.get_rng_state_all()
    result = load_checkpoint(path, **parts)
    torch.set_rng_state(state)
    torch.cuda.set_rng_state_all(gpu)
    return result


@wrong(caught_by=["nothing_in_a_file_is_executed"])
def load_checkpoint__executes_what_the_file_holds(
    path, *, model, optimizer=None, generator=None, config=None
):
    """The file was loaded with `weights_only=False`. Then it can hold any Python call, and loading
    executes it: a checkpoint from somebody else is a program from somebody else."""
    state = torch.load(path, map_location="cpu", weights_only=False)
    if config is not None:
        check_config(state["config"], config)
    model.load_state_dict(state["model"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    if generator is not None and state["generator"] is not None:
        generator.set_state(state["generator"])
    set_random_state(state["random"])
    return state["step"], state["history"]


@wrong(caught_by=["missing_file_is_an_error"])
def load_checkpoint__starts_anew_without_a_file(path, **parts):
    """Where there was no file, it went on as if there had been one of step 0. A name that is
    misspelt must not start a training from zero: let the FileNotFoundError through."""
    return load_checkpoint(path, **parts) if os.path.exists(path) else (0, [])


@wrong(caught_by=["another_configuration_is_refused", "refused_checkpoint_changes_nothing"])
def load_checkpoint__ignores_the_config(path, *, config=None, **parts):
    """The configurations were not compared. Where the shapes happen to fit, a run goes on with
    the wrong settings, and nobody notices."""
    return load_checkpoint(path, **parts)


@wrong(caught_by=["refused_checkpoint_changes_nothing"])
def load_checkpoint__checks_the_config_last(path, *, config=None, **parts):
    """The configurations were compared when everything had been loaded. Who catches the error goes
    on with somebody else's weights: compare first."""
    result = load_checkpoint(path, **parts)
    if config is not None:
        check_config(torch.load(path, weights_only=True)["config"], config)
    return result


@wrong(caught_by=["another_configuration_is_refused"])
def load_checkpoint__does_not_say_what_differs(path, *, config=None, **parts):
    """The message does not name the settings that differ. Somebody has to find them by hand."""
    try:
        return load_checkpoint(path, config=config, **parts)
    except ValueError:
        raise ValueError("wrong configuration") from None


@wrong(caught_by=["another_configuration_is_refused"])
def load_checkpoint__names_one_difference(path, *, config=None, **parts):
    """Only the first setting that differs was named. Name all of them at once."""
    for name in config or {}:
        saved = torch.load(path, weights_only=True)["config"]
        if saved.get(name) != config[name]:
            raise ValueError(f"{name} differs")
    return load_checkpoint(path, config=config, **parts)


@wrong(caught_by=["another_configuration_is_refused"])
def load_checkpoint__overlooks_settings_of_the_file(path, *, config=None, **parts):
    """Only the settings of this run were compared. One that the checkpoint has and this run does
    not have is a difference too."""
    if config is not None:
        saved = torch.load(path, weights_only=True)["config"]
        check_config({name: saved[name] for name in config if name in saved}, config)
    return load_checkpoint(path, **parts)
