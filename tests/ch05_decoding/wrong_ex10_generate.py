from dataclasses import replace

import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch05_decoding.ex09_sample_next import process_logits
from solutions.ch05_decoding.ex10_generate import GREEDY, check, generate

NEVER = float("-inf")


class Changed(nn.Module):
    """A model with a function around it."""

    def __init__(self, model, around):
        super().__init__()
        self.model, self.around = model, around
        self.training = getattr(model, "training", False)

    def forward(self, ids):
        return self.around(self.model, ids)


class Finished(Exception):
    """Ends the loop of the reference early; holds the text so far."""


def last_changed(logits, last):
    """The model's logits with other ones for the last token."""
    return torch.cat([logits[:, :-1], last[:, None]], dim=1)


# ----------------------------------------------------------------------- what the model is shown


@wrong(caught_by=["model_sees_the_last_tokens"])
def generate__shows_the_whole_text(
    model, ids, max_new_tokens, config=GREEDY, *, context=None, **options
):
    """The model was shown a text longer than its context. Show it the last `context` tokens
    only."""

    if context is None or context < 1:
        return generate(model, ids, max_new_tokens, config, context=context, **options)
    return generate(model, ids, max_new_tokens, config, **options)


@wrong(caught_by=["model_sees_the_last_tokens", "penalties_see_the_whole_text"])
def generate__crops_the_prompt_only(
    model, ids, max_new_tokens, config=GREEDY, *, context=None, **options
):
    """Only the prompt was cut to the context. The text grows with every token: cut it before each
    call of the model."""
    if context is None or context < 1:
        return generate(model, ids, max_new_tokens, config, context=context, **options)
    return generate(model, ids[:, -context:], max_new_tokens, config, **options)


@wrong(
    caught_by=[
        "appends_what_the_model_says",
        "model_sees_the_last_tokens",
        "model_is_called_once_for_each_token",
        "rows_end_after_eos",
        "eos_in_the_prompt_ends_nothing",
        "eos_waits_for_the_minimum",
        "stop_strings_end_the_text",
        "stop_strings_end_their_own_row",
        "prompt_comes_back_when_asked_for",
        "greedy_ids_equal_those_of_transformers",
        "tells_the_published_story",
    ]
)
def generate__reads_the_first_position(model, ids, max_new_tokens, config=GREEDY, **options):
    """The logits of the first token were used. What follows the text is in those of the last
    one."""
    first = Changed(model, lambda model, text: model(text)[:, :1])
    return generate(first, ids, max_new_tokens, config, **options)


# ------------------------------------------------------------------------------ how the model is


@wrong(caught_by=["model_is_in_eval_mode_meanwhile"])
def generate__stays_in_training_mode(model, ids, max_new_tokens, config=GREEDY, **options):
    """The model was not in eval mode, so that dropout would be at work while it writes."""
    return generate(lambda text: model(text), ids, max_new_tokens, config, **options)


@wrong(caught_by=["model_is_in_eval_mode_meanwhile", "mode_is_restored_after_an_error"])
def generate__leaves_the_model_in_eval_mode(model, ids, max_new_tokens, config=GREEDY, **options):
    """The model was in training mode before, and is in eval mode now: whoever trains it goes on
    without dropout."""
    if isinstance(model, nn.Module):
        model.eval()
    return generate(model, ids, max_new_tokens, config, **options)


@wrong(caught_by=["model_is_in_eval_mode_meanwhile", "mode_is_restored_after_an_error"])
def generate__leaves_the_model_in_training_mode(
    model, ids, max_new_tokens, config=GREEDY, **options
):
    """The model came in eval mode and went in training mode. Remember in which mode it was."""
    try:
        return generate(model, ids, max_new_tokens, config, **options)
    finally:
        if isinstance(model, nn.Module):
            model.train()


@wrong(caught_by=["mode_is_restored_after_an_error"])
def generate__stays_in_eval_mode_after_an_error(
    model, ids, max_new_tokens, config=GREEDY, **options
):
    """After an exception the model stays in eval mode. `try: ... finally: ...` restores the mode
    whatever happens."""
    try:
        return generate(model, ids, max_new_tokens, config, **options)
    except KeyError:
        model.eval()
        raise


@wrong(caught_by=["no_gradients_are_recorded"])
def generate__records_gradients(model, ids, max_new_tokens, config=GREEDY, **options):
    """Gradients were recorded: every step keeps all that the model computed in memory. Use
    `torch.no_grad()`."""

    def recorded(model, text):
        with torch.enable_grad():
            return model(text)

    return generate(Changed(model, recorded), ids, max_new_tokens, config, **options)


@wrong(caught_by=["inputs_are_not_modified"])
def generate__writes_into_the_logits(
    model, ids, max_new_tokens, config=GREEDY, *, eos_id=None, min_new_tokens=0, **options
):
    """The logit of `eos_id` was overwritten in the model's own tensor. The model may return it
    again: change a copy."""

    def overwritten(model, text):
        logits = model(text)
        if eos_id is not None and text.shape[1] - ids.shape[1] < min_new_tokens:
            logits[:, -1, eos_id] = NEVER
        return logits

    options |= {"eos_id": eos_id, "min_new_tokens": min_new_tokens}
    return generate(Changed(model, overwritten), ids, max_new_tokens, config, **options)


# ---------------------------------------------------------------------------------------- the end


@wrong(
    caught_by=[
        "rows_end_after_eos",
        "eos_in_the_prompt_ends_nothing",
        "eos_waits_for_the_minimum",
        "stop_strings_end_their_own_row",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__goes_on_after_the_end(
    model, ids, max_new_tokens, config=GREEDY, *, eos_id=None, min_new_tokens=0, **options
):
    """Tokens were added after `eos_id`. A row that has ended is filled with `pad_id`."""

    def around(model, text):
        logits = model(text).clone()
        if eos_id is not None and text.shape[1] - ids.shape[1] < min_new_tokens:
            logits[:, -1, eos_id] = NEVER
        return logits

    options["min_new_tokens"] = min_new_tokens
    return generate(Changed(model, around), ids, max_new_tokens, config, **options)


@wrong(
    caught_by=[
        "rows_end_after_eos",
        "eos_in_the_prompt_ends_nothing",
        "stop_strings_end_their_own_row",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__lets_ended_rows_go_on(
    model, ids, max_new_tokens, config=GREEDY, *, eos_id=None, stop=(), decode=None, **options
):
    """A row that had ended went on writing until the others had ended too. Put `pad_id` there."""
    least, pad_id = options.get("min_new_tokens", 0), options.get("pad_id")
    fill = eos_id if pad_id is None else pad_id
    check(ids, max_new_tokens, least, stop, decode, options.get("context"), fill)

    def around(model, text):
        new = text[:, ids.shape[1] :].tolist()
        if all(eos_id in row or any(word in decode(row) for word in stop) for row in new):
            raise Finished(text)
        logits = model(text).clone()
        if eos_id is not None and len(new[0]) < least:
            logits[:, -1, eos_id] = NEVER
        return logits

    try:
        return generate(Changed(model, around), ids, max_new_tokens, config, **options)
    except Finished as finished:
        return finished.args[0][:, 0 if options.get("return_prompt") else ids.shape[1] :]


@wrong(
    caught_by=[
        "rows_end_after_eos",
        "eos_in_the_prompt_ends_nothing",
        "eos_waits_for_the_minimum",
        "stop_strings_end_their_own_row",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__drops_the_end(model, ids, max_new_tokens, config=GREEDY, *, eos_id=None, **options):
    """`eos_id` itself is missing in the result. A row ends after it."""
    text = generate(model, ids, max_new_tokens, config, eos_id=eos_id, **options)
    is_eos = text == (-1 if eos_id is None else eos_id)
    fill = options.get("pad_id") or 0
    text = text.masked_fill(is_eos, fill)
    return text[:, :-1] if len(ids) and is_eos.any(-1).all() else text


@wrong(caught_by=["eos_in_the_prompt_ends_nothing"])
def generate__looks_for_the_end_in_the_prompt(
    model, ids, max_new_tokens, config=GREEDY, *, eos_id=None, pad_id=None, **options
):
    """A prompt that contains `eos_id` gets no continuation. Many prompts begin with that token:
    look for it among the new tokens only."""
    if eos_id is None or not (ids == eos_id).any():
        return generate(model, ids, max_new_tokens, config, eos_id=eos_id, pad_id=pad_id, **options)
    text = generate(model, ids, max_new_tokens, config, eos_id=eos_id, pad_id=pad_id, **options)
    fill = eos_id if pad_id is None else pad_id
    return text.masked_fill((ids == eos_id).any(-1, keepdim=True), fill)


@wrong(
    caught_by=[
        "rows_end_after_eos",
        "eos_in_the_prompt_ends_nothing",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__ends_with_the_first_row(
    model, ids, max_new_tokens, config=GREEDY, *, eos_id=None, **options
):
    """Everything ended as soon as one row had ended. The others go on."""

    def one_is_enough(model, text):
        if eos_id is not None and (text[:, ids.shape[1] :] == eos_id).any():
            raise Finished(text)
        return model(text)

    try:
        return generate(
            Changed(model, one_is_enough), ids, max_new_tokens, config, eos_id=eos_id, **options
        )
    except Finished as finished:
        return finished.args[0][:, ids.shape[1] :]


@wrong(
    caught_by=[
        "rows_end_after_eos",
        "eos_waits_for_the_minimum",
        "stop_strings_end_their_own_row",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__never_ends_early(
    model, ids, max_new_tokens, config=GREEDY, *, pad_id=None, **options
):
    """When all rows had ended the model was called all the same, up to `max_new_tokens`."""
    options |= {"pad_id": pad_id}
    text = generate(model, ids, max_new_tokens, config, **options)
    fill = options.get("eos_id") if pad_id is None else pad_id
    width = max_new_tokens + (ids.shape[1] if options.get("return_prompt") else 0)
    while text.shape[1] < width and fill is not None:
        model(torch.cat([ids, text], dim=1))
        text = torch.nn.functional.pad(text, (0, 1), value=fill)
    return text


@wrong(
    caught_by=[
        "model_is_called_once_for_each_token",
        "rows_end_after_eos",
        "stop_strings_end_the_text",
    ]
)
def generate__asks_once_more(model, ids, max_new_tokens, config=GREEDY, *, context=None, **options):
    """The model was called again after the last token was chosen. Nobody needs these logits."""
    text = generate(
        model, ids, max_new_tokens, config, context=context, **(options | {"return_prompt": True})
    )
    if not isinstance(model, nn.Module):
        model(text if context is None else text[:, -context:])
    return text if options.get("return_prompt") else text[:, ids.shape[1] :]


@wrong(
    caught_by=[
        "appends_what_the_model_says",
        "model_sees_the_last_tokens",
        "model_is_called_once_for_each_token",
        "eos_in_the_prompt_ends_nothing",
        "stop_strings_end_the_text",
        "penalties_see_the_whole_text",
        "model_is_in_eval_mode_meanwhile",
        "no_gradients_are_recorded",
        "prompt_comes_back_when_asked_for",
        "greedy_ids_equal_those_of_transformers",
        "tells_the_published_story",
    ]
)
def generate__counts_the_prompt(model, ids, max_new_tokens, config=GREEDY, **options):
    """The prompt was counted as well. `max_new_tokens` is the number of tokens that are added."""
    if max_new_tokens < 0 or options.get("min_new_tokens"):
        return generate(model, ids, max_new_tokens, config, **options)
    return generate(model, ids, max(0, max_new_tokens - ids.shape[1]), config, **options)


@wrong(
    caught_by=[
        "rows_end_after_eos",
        "eos_in_the_prompt_ends_nothing",
        "stop_strings_end_their_own_row",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__fills_with_the_end(
    model, ids, max_new_tokens, config=GREEDY, *, pad_id=None, **options
):
    """Rows that had ended were filled with `eos_id` although there is a `pad_id`."""
    if options.get("eos_id") is not None:
        pad_id = None
    return generate(model, ids, max_new_tokens, config, pad_id=pad_id, **options)


@wrong(caught_by=["eos_waits_for_the_minimum", "greedy_ids_equal_those_of_transformers"])
def generate__forgets_the_minimum(model, ids, max_new_tokens, config=GREEDY, **options):
    """A row ended before it had `min_new_tokens`. Until then `eos_id` must not be chosen."""
    if 0 <= options.get("min_new_tokens", 0) <= max_new_tokens:
        options["min_new_tokens"] = 0
    return generate(model, ids, max_new_tokens, config, **options)


@wrong(
    caught_by=[
        "eos_waits_for_the_minimum",
        "stop_strings_end_their_own_row",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__minimum_is_one_too_many(model, ids, max_new_tokens, config=GREEDY, **options):
    """`eos_id` was forbidden for one step too long. It may be chosen as soon as there are
    `min_new_tokens` other tokens."""
    if 0 < options.get("min_new_tokens", 0) < max_new_tokens:
        options["min_new_tokens"] += 1
    return generate(model, ids, max_new_tokens, config, **options)


# ----------------------------------------------------------------------------------- stop strings


@wrong(
    caught_by=[
        "stop_strings_end_the_text",
        "stop_strings_end_their_own_row",
        "tells_the_published_story",
    ]
)
def generate__looks_at_the_last_token(
    model, ids, max_new_tokens, config=GREEDY, *, stop=(), decode=None, **options
):
    """The stop strings were looked for in the last token only. They may lie across several: look at
    the text of the whole continuation."""
    last = decode and (lambda new: decode(new[-1:]))
    return generate(model, ids, max_new_tokens, config, stop=stop, decode=last, **options)


@wrong(caught_by=["stop_strings_end_the_text", "tells_the_published_story"])
def generate__joins_decoded_tokens(
    model, ids, max_new_tokens, config=GREEDY, *, stop=(), decode=None, **options
):
    """The tokens were decoded one by one. A character that lies across two tokens gets lost that
    way: decode the whole continuation at once."""
    joined = decode and (lambda new: "".join(decode([token]) for token in new))
    return generate(model, ids, max_new_tokens, config, stop=stop, decode=joined, **options)


@wrong(caught_by=["stop_strings_end_the_text"])
def generate__finds_stop_strings_in_the_prompt(
    model, ids, max_new_tokens, config=GREEDY, *, stop=(), decode=None, **options
):
    """A stop string in the prompt, or one that begins there, ended the row. Look at the
    continuation only."""
    whole = decode and (lambda new: decode(ids[0].tolist() + new))
    return generate(model, ids, max_new_tokens, config, stop=stop, decode=whole, **options)


@wrong(caught_by=["stop_strings_end_the_text", "tells_the_published_story"])
def generate__wants_the_stop_string_at_the_end(
    model, ids, max_new_tokens, config=GREEDY, *, stop=(), decode=None, **options
):
    """A row ended only where the stop string was at the very end of its text. The last token may
    bring more than the rest of it: look whether the text contains it."""

    def only_at_the_end(new):
        return decode(new) if decode(new).endswith(tuple(stop)) else ""

    ends = decode and only_at_the_end
    return generate(model, ids, max_new_tokens, config, stop=stop, decode=ends, **options)


@wrong(caught_by=["stop_strings_end_their_own_row"])
def generate__stops_all_rows(
    model, ids, max_new_tokens, config=GREEDY, *, stop=(), decode=None, **options
):
    """A stop string in one row ended all of them. The others go on."""

    def one_is_enough(model, text):
        new = text[:, ids.shape[1] :].tolist()
        if any(word in decode(row) for row in new for word in stop):
            raise Finished(text)
        return model(text)

    changed = Changed(model, one_is_enough) if stop and decode else model
    try:
        return generate(changed, ids, max_new_tokens, config, stop=stop, decode=decode, **options)
    except Finished as finished:
        return finished.args[0][:, ids.shape[1] :]


@wrong(caught_by=["stop_strings_end_their_own_row"])
def generate__minimum_holds_back_stop_strings(
    model, ids, max_new_tokens, config=GREEDY, *, decode=None, min_new_tokens=0, **options
):
    """A stop string did not end a row that had fewer than `min_new_tokens`. The minimum is about
    `eos_id` only."""
    options["min_new_tokens"] = min_new_tokens
    later = decode and (lambda new: decode(new) if len(new) >= min_new_tokens else "")
    return generate(model, ids, max_new_tokens, config, decode=later, **options)


# -------------------------------------------------------------------- what the choice is made from


@wrong(
    caught_by=[
        "penalties_see_the_whole_text",
        "draws_from_the_given_generator",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__ignores_the_config(model, ids, max_new_tokens, config=GREEDY, **options):
    """`config` has no effect: the most likely token was taken at every step."""
    return generate(model, ids, max_new_tokens, GREEDY, **options)


@wrong(caught_by=["draws_from_the_given_generator"])
def generate__ignores_the_generator(
    model, ids, max_new_tokens, config=GREEDY, *, generator=None, **options
):
    """The random numbers did not come from the given generator. Hand it to `sample_next`."""
    return generate(model, ids, max_new_tokens, config, **options)


@wrong(caught_by=["penalties_see_the_whole_text", "greedy_ids_equal_those_of_transformers"])
def generate__penalises_the_continuation_only(model, ids, max_new_tokens, config=GREEDY, **options):
    """The penalties saw the new tokens only. They are meant for the whole text, prompt included."""
    return penalised(
        lambda text: text[:, ids.shape[1] :], model, ids, max_new_tokens, config, options
    )


@wrong(caught_by=["penalties_see_the_whole_text"])
def generate__penalises_what_the_model_sees(
    model, ids, max_new_tokens, config=GREEDY, *, context=None, **options
):
    """The penalties saw only the part of the text that the model was shown. They are meant for all
    of it: crop for the model, not for `sample_next`."""
    if context is None or context < 1:
        return generate(model, ids, max_new_tokens, config, context=context, **options)
    cropped = Changed(model, lambda model, text: model(text[:, -context:]))
    return penalised(lambda text: text[:, -context:], cropped, ids, max_new_tokens, config, options)


def penalised(seen, model, ids, max_new_tokens, config, options):
    """The reference with penalties that see another part of the text."""
    off = {"repetition_penalty": 1.0, "no_repeat_ngram_size": None}
    alone = replace(GREEDY, temperature=1.0, **{name: getattr(config, name) for name in off})

    def around(model, text):
        logits = model(text)
        return last_changed(logits, process_logits(logits[:, -1], seen(text), alone))

    return generate(Changed(model, around), ids, max_new_tokens, replace(config, **off), **options)


# ------------------------------------------------------------------------------------- the result


@wrong(
    caught_by=[
        "appends_what_the_model_says",
        "model_sees_the_last_tokens",
        "model_is_called_once_for_each_token",
        "rows_end_after_eos",
        "eos_in_the_prompt_ends_nothing",
        "eos_waits_for_the_minimum",
        "stop_strings_end_the_text",
        "stop_strings_end_their_own_row",
        "penalties_see_the_whole_text",
        "greedy_ids_equal_those_of_transformers",
    ]
)
def generate__returns_the_prompt(model, ids, max_new_tokens, config=GREEDY, **options):
    """The prompt is part of the result. It is asked for with `return_prompt` only."""
    return generate(model, ids, max_new_tokens, config, **(options | {"return_prompt": True}))


@wrong(caught_by=["prompt_comes_back_when_asked_for", "tells_the_published_story"])
def generate__never_returns_the_prompt(model, ids, max_new_tokens, config=GREEDY, **options):
    """`return_prompt` has no effect."""
    return generate(model, ids, max_new_tokens, config, **(options | {"return_prompt": False}))


@wrong(caught_by=["senseless_arguments_are_refused"])
def generate__accepts_anything(model, ids, max_new_tokens, config=GREEDY, **options):
    """Arguments that make no sense were accepted. Look at the list of errors, and check before the
    model is called."""
    max_new_tokens = max(0, max_new_tokens)
    least = options.get("min_new_tokens", 0)
    options["min_new_tokens"] = min(max(0, least), max_new_tokens)
    if ids.shape[1] == 0:
        return torch.zeros(len(ids), max_new_tokens, dtype=torch.int64)
    if options.get("stop") and options.get("decode") is None:
        options["stop"] = ()
    if options.get("stop") and options.get("eos_id") is None and options.get("pad_id") is None:
        options["pad_id"] = 0
    if options.get("context") is not None and options["context"] < 1:
        options["context"] = None
    return generate(model, ids, max_new_tokens, config, **options)
