from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch01_tokenizers.ex12_pad_batch import pad_batch
from solutions.ch05_decoding.ex09_sample_next import sample_next
from solutions.ch05_decoding.ex10_generate import GREEDY


@contextmanager
def at_work(model):
    """In eval mode, without gradients, and back in its own mode afterwards."""
    training = isinstance(model, nn.Module) and model.training
    try:
        with torch.no_grad():
            yield model.eval() if training else model
    finally:
        if training:
            model.train()


def counted(mask):
    return (mask.cumsum(-1) - 1).clamp(min=0)


def without_padding(ids, mask):
    return ids[mask.bool()]


def up_to_the_end(new, eos_id):
    return new[: new.index(eos_id) + 1] if eos_id in new else new


def batch(
    model,
    prompts,
    max_new_tokens,
    config=GREEDY,
    *,
    pad_id,
    eos_id=None,
    generator=None,
    device=None,
    side="left",
    seen=lambda ids, mask: mask,
    positions=counted,
    so_far=without_padding,
    has_ended=lambda row, prompt, eos_id: eos_id in row[prompt:],
    cut=up_to_the_end,
    mode=at_work,
):
    """A right answer that pads once and goes on with a rectangle; a wrong one changes a part."""
    if max_new_tokens < 0 or not all(prompts):
        raise ValueError(f"got max_new_tokens={max_new_tokens}, prompts={prompts}")
    if not prompts:
        return []
    with mode(model):
        ids, mask = torch.tensor(pad_batch(prompts, pad_id, side), device=device)
        prompt = ids.shape[1]
        for _ in range(max_new_tokens):
            if all(has_ended(row, prompt, eos_id) for row in ids.tolist()):
                break
            shown = seen(ids, mask)
            logits = model(ids, shown, positions(shown))[:, -1:]
            texts = [so_far(*row) for row in zip(ids, mask, strict=True)]
            new = [
                sample_next(row, config, generator, text[None])
                for row, text in zip(logits, texts, strict=True)
            ]
            ids = torch.cat([ids, torch.stack(new)], dim=1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    return [cut(row, eos_id) for row in ids[:, prompt:].tolist()]


@wrong(
    caught_by=[
        "prompts_by_hand",
        "model_is_told_what_is_real",
        "pad_id_may_be_that_of_a_real_token",
        "each_row_says_what_it_says_alone",
        "each_row_ends_with_its_own_end",
        "an_end_in_the_prompt_ends_nothing",
        "model_is_not_called_without_need",
        "penalties_do_not_see_padding",
    ]
)
def generate_batch__pads_on_the_right(*args, **options):
    """The padding is on the right: the new tokens come after it, and the last column, from which
    the logits are taken, is padding. Put it on the left."""
    return batch(*args, side="right", **options)


@wrong(
    caught_by=[
        "prompts_by_hand",
        "model_is_told_what_is_real",
        "pad_id_may_be_that_of_a_real_token",
        "each_row_says_what_it_says_alone",
        "each_row_ends_with_its_own_end",
        "an_end_in_the_prompt_ends_nothing",
        "penalties_do_not_see_padding",
    ]
)
def generate_batch__counts_the_padding(*args, **options):
    """The positions count the padding (0, 1, 2, ... from the first column on), so that the same
    text stands elsewhere than alone. They begin with 0 at the first real token of each row."""

    def columns(mask):
        return torch.arange(mask.shape[1], device=mask.device).expand_as(mask)

    return batch(*args, positions=columns, **options)


@wrong(caught_by=["model_is_told_what_is_real"], crashes=["each_row_says_what_it_says_alone"])
def generate_batch__gives_padding_negative_positions(*args, **options):
    """The padding got the position -1, and no table has that row. Nobody looks there, but the
    model has to get through: 0 will do."""
    return batch(*args, positions=lambda mask: mask.cumsum(-1) - 1, **options)


@wrong(
    caught_by=[
        "prompts_by_hand",
        "model_is_told_what_is_real",
        "pad_id_may_be_that_of_a_real_token",
        "each_row_says_what_it_says_alone",
        "each_row_ends_with_its_own_end",
        "an_end_in_the_prompt_ends_nothing",
        "penalties_do_not_see_padding",
    ]
)
def generate_batch__hides_no_padding(*args, **options):
    """The mask is 1 everywhere, so that the model takes the padding for text."""
    return batch(*args, seen=lambda ids, mask: torch.ones_like(mask), positions=counted, **options)


@wrong(
    caught_by=[
        "model_is_told_what_is_real",
        "pad_id_may_be_that_of_a_real_token",
        "each_row_says_what_it_says_alone",
        "an_end_in_the_prompt_ends_nothing",
    ]
)
def generate_batch__masks_a_real_token(*args, **options):
    """The mask was made by comparing ids with `pad_id`, which a real token may be as well. The
    lengths of the prompts say what is padding."""
    pad_id = options["pad_id"]
    return batch(*args, seen=lambda ids, mask: (ids != pad_id).long(), **options)


@wrong(
    caught_by=[
        "prompts_by_hand",
        "model_is_told_what_is_real",
        "pad_id_may_be_that_of_a_real_token",
        "each_row_says_what_it_says_alone",
        "each_row_ends_with_its_own_end",
        "an_end_in_the_prompt_ends_nothing",
        "model_is_not_called_without_need",
    ]
)
def generate_batch__hides_the_new_tokens(*args, **options):
    """The mask was made for the prompts, and the new tokens got no 1 in it: the model does not see
    what it wrote."""
    width = max(map(len, args[1]), default=0)

    def prompt_only(ids, mask):
        return mask * (torch.arange(mask.shape[1], device=mask.device) < width)

    return batch(*args, seen=prompt_only, **options)


@wrong(caught_by=["each_row_ends_with_its_own_end"])
def generate_batch__goes_on_after_the_end(*args, **options):
    """A row that had ended went on, and what came after `eos_id` was returned. Cut it off there."""
    return batch(*args, cut=lambda new, eos_id: new, **options)


@wrong(caught_by=["each_row_ends_with_its_own_end"])
def generate_batch__fills_the_result_with_padding(*args, **options):
    """The result is padded behind the end of a row. Return the tokens of each row alone."""

    def padded(new, eos_id):
        text = up_to_the_end(new, eos_id)
        return text + [options["pad_id"]] * (len(new) - len(text))

    return batch(*args, cut=padded, **options)


@wrong(caught_by=["each_row_ends_with_its_own_end"])
def generate_batch__loses_the_end(*args, **options):
    """The `eos_id` with which a row ended is missing. It is part of the result."""

    def before_the_end(new, eos_id):
        return new[: new.index(eos_id)] if eos_id in new else new

    return batch(*args, cut=before_the_end, **options)


@wrong(caught_by=["an_end_in_the_prompt_ends_nothing"])
def generate_batch__ends_with_the_prompt(model, prompts, *args, eos_id=None, **options):
    """An `eos_id` in the prompt ended the row. Look for it among the new tokens only."""
    new = batch(model, prompts, *args, eos_id=eos_id, **options)
    return [[] if eos_id in prompt else row for prompt, row in zip(prompts, new, strict=True)]


@wrong(caught_by=["model_is_not_called_without_need"])
def generate_batch__asks_when_all_have_ended(*args, **options):
    """The model was still asked when every row had ended: leave the loop."""
    return batch(*args, has_ended=lambda row, prompt, eos_id: False, **options)


@wrong(caught_by=["each_row_ends_with_its_own_end", "model_is_not_called_without_need"])
def generate_batch__ends_with_the_first_row(*args, **options):
    """All rows ended as soon as one of them had. Each goes on until its own end."""
    ends = []

    def any_has_ended(row, prompt, eos_id):
        ends.append(eos_id in row[prompt:])
        return any(ends)

    return batch(*args, has_ended=any_has_ended, **options)


@wrong(caught_by=["penalties_do_not_see_padding"])
def generate_batch__looks_back_at_padding(*args, **options):
    """`sample_next` was shown the row with its padding, so that the penalties take `pad_id` for a
    token of the text. Show it the text alone."""
    return batch(*args, so_far=lambda ids, mask: ids, **options)


@wrong(
    caught_by=[
        "prompts_by_hand",
        "pad_id_may_be_that_of_a_real_token",
        "each_row_says_what_it_says_alone",
        "each_row_ends_with_its_own_end",
        "an_end_in_the_prompt_ends_nothing",
        "penalties_do_not_see_padding",
        "nothing_to_do_gives_nothing",
    ]
)
def generate_batch__returns_the_prompts(model, prompts, *args, **options):
    """The results begin with the prompts. Only the new tokens were asked for."""
    new = batch(model, prompts, *args, **options)
    return [prompt + row for prompt, row in zip(prompts, new, strict=True)]


@wrong(caught_by=["prompts_are_not_modified"])
def generate_batch__changes_the_prompts(model, prompts, *args, **options):
    """The new tokens were appended to the lists of the caller, too. Copy the prompts first."""
    new = batch(model, prompts, *args, **options)
    for prompt, row in zip(prompts, new, strict=True):
        prompt.extend(row)
    return new


@wrong(
    caught_by=[
        "prompts_by_hand",
        "model_is_told_what_is_real",
        "pad_id_may_be_that_of_a_real_token",
        "each_row_says_what_it_says_alone",
        "each_row_ends_with_its_own_end",
        "penalties_do_not_see_padding",
    ]
)
def generate_batch__returns_them_by_length(model, prompts, *args, **options):
    """The prompts were sorted by length, and the results came back in that order."""
    return batch(model, sorted(prompts, key=len), *args, **options)


@wrong(caught_by=["draws_come_from_the_generator"])
def generate_batch__ignores_the_generator(*args, generator=None, **options):
    """`generator` was not handed on: the draws come from torch's global generator."""
    return batch(*args, **options)


@wrong(
    caught_by=[
        "each_row_says_what_it_says_alone",
        "penalties_do_not_see_padding",
        "draws_come_from_the_generator",
    ]
)
def generate_batch__is_always_greedy(model, prompts, max_new_tokens, config=None, **options):
    """`config` has no effect: the most likely token was taken at every step."""
    return batch(model, prompts, max_new_tokens, **options)


@wrong(caught_by=["model_works_in_eval_mode_without_gradients"])
def generate_batch__works_in_training_mode(*args, **options):
    """The model was left as it came: in training mode, with its dropout, and with gradients being
    recorded. See 5.10."""
    return batch(*args, mode=nullcontext, **options)


@wrong(
    caught_by=["model_works_in_eval_mode_without_gradients", "mode_comes_back_after_an_exception"]
)
def generate_batch__leaves_the_model_in_eval_mode(model, *args, **options):
    """The model was left in eval mode. It has to get back the mode in which it came, whatever
    happens: `try` ... `finally`."""
    if isinstance(model, nn.Module):
        model.eval()
    return batch(model, *args, **options)


@wrong(caught_by=["bad_arguments_are_refused"])
def generate_batch__accepts_an_empty_prompt(model, prompts, max_new_tokens, *args, **options):
    """An empty prompt was accepted. There is no token whose successor the model could name."""
    if max_new_tokens < 0:
        raise ValueError("max_new_tokens is negative")
    new = iter(batch(model, [p for p in prompts if p], max_new_tokens, *args, **options))
    return [next(new) if p else [] for p in prompts]
