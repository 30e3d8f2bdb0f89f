import torch

from kata.wrong import wrong
from solutions.ch07_training.ex01_get_batch import get_batch


def refuse(data, context):
    """Raise the error that `get_batch` documents."""
    if len(data) < context + 1:
        raise ValueError(f"a context of {context} needs {context + 1} tokens, got {len(data)}")


def cut(data, starts, context, device):
    """The windows that begin at `starts`, and their targets."""
    windows = torch.as_tensor(starts).view(-1, 1) + torch.arange(context)
    return data[windows].to(device, torch.int64), data[windows + 1].to(device, torch.int64)


@wrong(
    caught_by=["all_starts_are_equally_likely", "rows_begin_independently"],
    crashes=["only_window_is_drawn", "results_are_int64"],
)
def get_batch__never_draws_the_last_window(data, batch_size, context, device="cpu", generator=None):
    """The last window is never drawn. Its last target is the last token of the data, and the end of
    `torch.randint` is exclusive: `length - context` starts are possible."""
    refuse(data, context)
    starts = torch.randint(len(data) - context - 1, (batch_size,), generator=generator)
    return cut(data, starts, context, device)


@wrong(
    caught_by=[
        "only_window_is_drawn",
        "y_is_the_text_one_token_on",
        "all_starts_are_equally_likely",
        "rows_begin_independently",
        "results_are_int64",
    ]
)
def get_batch__goes_round_at_the_end(data, batch_size, context, device="cpu", generator=None):
    """A window ends with the last token of the data, and its last target is the first one (as
    `torch.roll` has it). Nothing follows the last token: the last start is one earlier."""
    refuse(data, context)
    nexts = torch.roll(data, -1)
    starts = torch.randint(len(data) - context + 1, (batch_size, 1), generator=generator)
    windows = starts + torch.arange(context)
    return data[windows].to(device, torch.int64), nexts[windows].to(device, torch.int64)


@wrong(caught_by=["only_window_is_drawn", "y_is_the_text_one_token_on", "results_are_int64"])
def get_batch__has_the_inputs_as_targets(data, batch_size, context, device="cpu", generator=None):
    """`y` equals `x`: the model would learn to copy the token that it sees. The target is the token
    after it."""
    x, _ = get_batch(data, batch_size, context, device, generator)
    return x, x.clone()


@wrong(
    caught_by=[
        "only_window_is_drawn",
        "y_is_the_text_one_token_on",
        "all_starts_are_equally_likely",
        "rows_begin_independently",
        "results_are_int64",
    ]
)
def get_batch__swaps_inputs_and_targets(data, batch_size, context, device="cpu", generator=None):
    """`x` and `y` are swapped: the model would learn to say the token before."""
    x, y = get_batch(data, batch_size, context, device, generator)
    return y, x


@wrong(caught_by=["all_starts_are_equally_likely", "rows_begin_independently"])
def get_batch__draws_one_start(data, batch_size, context, device="cpu", generator=None):
    """All rows are the same window. Draw a start for each."""
    x, y = get_batch(data, 1, context, device, generator)
    return x.repeat(batch_size, 1), y.repeat(batch_size, 1)


@wrong(caught_by=["all_starts_are_equally_likely", "rows_begin_independently"])
def get_batch__starts_at_multiples_of_the_context(
    data, batch_size, context, device="cpu", generator=None
):
    """The data were cut into pieces of `context` tokens, and the windows are such pieces. A window
    may begin at any token."""
    refuse(data, context)
    pieces = (len(data) - 1) // context
    starts = context * torch.randint(pieces, (batch_size,), generator=generator)
    return cut(data, starts, context, device)


@wrong(
    caught_by=[
        "only_window_is_drawn",
        "all_starts_are_equally_likely",
        "rows_begin_independently",
        "results_are_int64",
    ]
)
def get_batch__draws_without_repetition(data, batch_size, context, device="cpu", generator=None):
    """No start was drawn twice (`torch.randperm`): rows are not independent then, and a batch may
    have too few of them."""
    refuse(data, context)
    starts = torch.randperm(len(data) - context, generator=generator)[:batch_size]
    return cut(data, starts, context, device)


@wrong(caught_by=["same_seed_draws_the_same_batch"])
def get_batch__ignores_the_generator(data, batch_size, context, device="cpu", generator=None):
    """The argument `generator` has no effect: nobody can repeat the run."""
    return get_batch(data, batch_size, context, device)


@wrong(caught_by=["every_call_draws_anew"])
def get_batch__seeds_the_global_generator(data, batch_size, context, device="cpu", generator=None):
    """`torch.manual_seed` inside of the function: every call draws the same batch, and whoever else
    draws random numbers gets the same ones again. Seeding is up to the caller."""
    torch.manual_seed(1337)
    return get_batch(data, batch_size, context, device, generator)


@wrong(caught_by=["rows_begin_independently", "every_call_draws_anew"])
def get_batch__seeds_the_given_generator(data, batch_size, context, device="cpu", generator=None):
    """The generator was set back to its seed (`manual_seed(initial_seed())`) before each draw, so
    that every call draws the same batch."""
    if generator is not None:
        generator.manual_seed(generator.initial_seed())
    return get_batch(data, batch_size, context, device, generator)


@wrong(caught_by=["device_is_obeyed"])
def get_batch__ignores_the_device(data, batch_size, context, device="cpu", generator=None):
    """The batch stays where the data are: the argument `device` has no effect."""
    return get_batch(data, batch_size, context, data.device, generator)


@wrong(caught_by=["results_are_int64"])
def get_batch__keeps_the_dtype(data, batch_size, context, device="cpu", generator=None):
    """The batch has the dtype of the data. Embeddings and losses want int64."""
    x, y = get_batch(data, batch_size, context, device, generator)
    return x.to(data.dtype), y.to(data.dtype)


@wrong(caught_by=["too_little_data_is_refused"])
def get_batch__leaves_the_error_to_torch(data, batch_size, context, device="cpu", generator=None):
    """Data without a single window were not refused with a ValueError that says so."""
    starts = torch.randint(len(data) - context, (batch_size,), generator=generator)
    return cut(data, starts, context, device)
