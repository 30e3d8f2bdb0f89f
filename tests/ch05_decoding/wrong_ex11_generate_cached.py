from dataclasses import replace

from torch import nn

from kata.wrong import wrong
from solutions.ch05_decoding.ex09_sample_next import SamplingConfig, process_logits
from solutions.ch05_decoding.ex10_generate import GREEDY, generate


class Reader(nn.Module):
    """A right model for `generate`, until a wrong version replaces a part."""

    def __init__(self, model, caches, read):
        super().__init__()
        self.model, self.caches, self.read, self.length = model, caches, read, 0
        self.training = getattr(model, "training", False)

    def unread(self, text):
        new, self.length = text[:, self.length :], text.shape[1]
        return new

    def forward(self, text):
        return self.read(self, text)


def reads_the_new(reader, text):
    return reader.model(reader.unread(text), reader.caches)


def cached(
    model, ids, new, config, read=reads_the_new, caches=None, context=None, wrap=None, **options
):
    length = ids.shape[1] + new
    if context is not None and length > context:
        raise ValueError(f"{length} tokens are more than the context of {context}")
    caches = model.new_caches(length) if caches is None else caches
    reader = Reader(model, caches, read)
    return generate(wrap(reader) if wrap else reader, ids, new, config, **options)


@wrong(
    caught_by=[
        "a_text_by_hand",
        "reads_the_prompt_once_then_single_tokens",
        "stops_reading_when_every_row_has_ended",
        "a_text_as_long_as_the_context_fits",
    ],
    crashes=[
        "ids_are_those_without_a_cache",
        "same_draws_as_without_a_cache",
        "a_second_call_begins_a_new_text",
        "tells_the_published_story",
    ],
)
def generate_cached__reads_the_prompt_again(model, ids, new, config=GREEDY, **options):
    """The whole text was read again at every step, on top of the caches that hold it already. Hand
    over what the model has not read yet: after the prompt that is one token per row."""

    def read(reader, text):
        return reader.model(text, reader.caches)

    return cached(model, ids, new, config, read, **options)


@wrong(
    caught_by=[
        "a_text_by_hand",
        "stops_reading_when_every_row_has_ended",
        "caches_are_made_once_with_room_for_all",
        "ids_are_those_without_a_cache",
        "same_draws_as_without_a_cache",
        "a_second_call_begins_a_new_text",
        "a_text_as_long_as_the_context_fits",
        "tells_the_published_story",
    ]
)
def generate_cached__makes_caches_for_every_token(model, ids, new, config=GREEDY, **options):
    """New caches were made at every step: the model sees the last token alone, at position 0. Make
    them once, before the first step."""

    def read(reader, text):
        return reader.model(reader.unread(text), model.new_caches(text.shape[1]))

    return cached(model, ids, new, config, read, **options)


@wrong(
    caught_by=[
        "reads_the_prompt_once_then_single_tokens",
        "stops_reading_when_every_row_has_ended",
        "caches_are_made_once_with_room_for_all",
    ]
)
def generate_cached__reads_all_with_empty_caches(model, ids, new, config=GREEDY, **options):
    """The ids are right, but nothing is saved: every step reads the whole text into caches that are
    empty. Keep the caches from step to step, and hand over one token per row."""

    def read(reader, text):
        return reader.model(text, model.new_caches(text.shape[1]))

    return cached(model, ids, new, config, read, **options)


@wrong(caught_by=["caches_are_made_once_with_room_for_all", "a_second_call_begins_a_new_text"])
def generate_cached__keeps_the_caches_of_the_last_call(model, ids, new, config=GREEDY, **options):
    """The caches of the call before were used again (from the model, a global, or a default
    argument), so that the text begins with that of the last call. Every call needs new ones."""
    if not hasattr(model, "last_caches"):
        model.last_caches = model.new_caches(200)
    return cached(model, ids, new, config, caches=model.last_caches, **options)


@wrong(
    caught_by=[
        "a_text_by_hand",
        "reads_the_prompt_once_then_single_tokens",
        "stops_reading_when_every_row_has_ended",
        "ids_are_those_without_a_cache",
        "same_draws_as_without_a_cache",
        "a_second_call_begins_a_new_text",
        "a_text_as_long_as_the_context_fits",
        "tells_the_published_story",
    ]
)
def generate_cached__reads_the_end_of_the_prompt(model, ids, new, config=GREEDY, **options):
    """Only the last token of the prompt was read. The first call needs all of it: the caches are
    still empty."""

    def read(reader, text):
        return reader.model(text[:, -1:], reader.caches)

    return cached(model, ids, new, config, read, **options)


@wrong(
    caught_by=["reads_the_prompt_once_then_single_tokens", "stops_reading_when_every_row_has_ended"]
)
def generate_cached__reads_the_prompt_token_by_token(model, ids, new, config=GREEDY, **options):
    """The prompt was read in many calls, token by token. The model can read it in one, which is a
    single large product instead of many small ones."""

    def read(reader, text):
        return [reader.model(piece, reader.caches) for piece in reader.unread(text).split(1, 1)][-1]

    return cached(model, ids, new, config, read, **options)


@wrong(
    caught_by=[
        "a_text_by_hand",
        "stops_reading_when_every_row_has_ended",
        "ids_are_those_without_a_cache",
        "same_draws_as_without_a_cache",
        "a_second_call_begins_a_new_text",
        "a_text_as_long_as_the_context_fits",
        "tells_the_published_story",
    ]
)
def generate_cached__takes_the_logits_of_the_first_token(model, ids, new, config=GREEDY, **options):
    """The logits of the first token of the call were used (`[:, 0]`). That is right for the single
    tokens, but after the prompt the last ones say what follows (`[:, -1]`)."""

    def read(reader, text):
        return reads_the_new(reader, text)[:, :1]

    return cached(model, ids, new, config, read, **options)


@wrong(
    caught_by=["caches_are_made_once_with_room_for_all"],
    crashes=[
        "ids_are_those_without_a_cache",
        "same_draws_as_without_a_cache",
        "a_second_call_begins_a_new_text",
        "tells_the_published_story",
    ],
)
def generate_cached__makes_room_for_the_new_tokens_only(model, ids, new, config=GREEDY, **options):
    """The caches have room for `max_new_tokens` tokens. The prompt is in them as well."""
    return cached(model, ids, new, config, caches=model.new_caches(new), **options)


@wrong(
    caught_by=[
        "reads_the_prompt_once_then_single_tokens",
        "stops_reading_when_every_row_has_ended",
        "nothing_to_write_reads_nothing",
        "caches_are_made_once_with_room_for_all",
        "model_works_in_eval_mode_without_gradients",
    ]
)
def generate_cached__reads_the_last_token_too(model, ids, new, config=GREEDY, **options):
    """One call too many: after the last token is chosen, nobody asks any more what follows it."""
    text = cached(model, ids, new, config, **options)
    caches = model.new_caches(ids.shape[1] + new)
    reads_the_new(Reader(model, caches, None), text[:, -1:])
    return text


@wrong(caught_by=["too_long_a_text_is_refused_at_once"])
def generate_cached__ignores_context(model, ids, new, config=GREEDY, context=None, **options):
    """`context` has no effect. Compare it with prompt and new tokens together before anything
    else, or the model fails somewhere in the middle, or writes nonsense."""
    return cached(model, ids, new, config, **options)


@wrong(caught_by=["too_long_a_text_is_refused_at_once"])
def generate_cached__compares_the_prompt_with_context(
    model, ids, new, config=GREEDY, context=None, **options
):
    """Only the prompt was compared with `context`. The new tokens have to fit as well."""
    if context is not None and ids.shape[1] > context:
        raise ValueError(f"the prompt is longer than the context of {context}")
    return cached(model, ids, new, config, **options)


@wrong(caught_by=["too_long_a_text_is_refused_at_once"])
def generate_cached__compares_with_context_on_the_way(
    model, ids, new, config=GREEDY, context=None, **options
):
    """The error came in the middle of the text, after all the work for its first part. It is known
    before the first call of the model that the text may become too long."""

    def read(reader, text):
        if context is not None and text.shape[1] >= context:
            raise ValueError(f"the text is longer than the context of {context}")
        return reads_the_new(reader, text)

    return cached(model, ids, new, config, read, **options)


@wrong(crashes=["a_text_as_long_as_the_context_fits"])
def generate_cached__refuses_a_text_that_just_fits(
    model, ids, new, config=GREEDY, context=None, **options
):
    """A text of exactly `context` tokens was refused. It fits."""
    if context is not None and ids.shape[1] + new >= context:
        raise ValueError(f"the text is longer than the context of {context}")
    return cached(model, ids, new, config, **options)


@wrong(caught_by=["same_draws_as_without_a_cache"])
def generate_cached__ignores_the_generator(
    model, ids, new, config=GREEDY, generator=None, **options
):
    """`generator` was not handed on: the draws come from torch's global generator."""
    return cached(model, ids, new, config, **options)


@wrong(
    caught_by=[
        "stops_reading_when_every_row_has_ended",
        "ids_are_those_without_a_cache",
        "bad_arguments_are_refused_at_once",
    ]
)
def generate_cached__ignores_the_end(
    model, ids, new, config=GREEDY, eos_id=None, pad_id=None, min_new_tokens=0, **options
):
    """Rows went on after their end: `eos_id` (with `pad_id` and `min_new_tokens`) has no effect."""
    return cached(model, ids, new, config, **options)


@wrong(caught_by=["model_works_in_eval_mode_without_gradients"])
def generate_cached__leaves_the_model_in_training_mode(model, ids, new, config=GREEDY, **options):
    """The model worked in training mode, with its dropout. `generate` takes care of an `nn.Module`,
    but what it was given here is no module, and hides the one inside."""

    def hidden(reader):
        return lambda text: reader(text)

    return cached(model, ids, new, config, wrap=hidden, **options)


@wrong(
    caught_by=["model_works_in_eval_mode_without_gradients", "mode_comes_back_after_an_exception"]
)
def generate_cached__leaves_the_model_in_eval_mode(model, ids, new, config=GREEDY, **options):
    """The model was left in eval mode. It has to get back the mode in which it came, whatever
    happens: `try` ... `finally`."""
    if isinstance(model, nn.Module):
        model.eval()
    return cached(model, ids, new, config, **options)


@wrong(caught_by=["ids_are_those_without_a_cache"])
def generate_cached__looks_back_at_the_last_token(model, ids, new, config=GREEDY, **options):
    """`sample_next` was given what the model reads, one token per row. The penalties look back at
    the whole text: keep it, although the model needs it no more."""
    off = {"repetition_penalty": 1.0, "no_repeat_ngram_size": None}
    penalties = SamplingConfig(**{name: getattr(config, name) for name in off})

    def read(reader, text):
        tokens = reader.unread(text)
        logits = reader.model(tokens, reader.caches)[:, -1]
        return process_logits(logits, tokens, penalties)[:, None]

    return cached(model, ids, new, replace(config, **off), read, **options)


@wrong(
    caught_by=[
        "a_text_by_hand",
        "stops_reading_when_every_row_has_ended",
        "nothing_to_write_reads_nothing",
        "ids_are_those_without_a_cache",
        "same_draws_as_without_a_cache",
        "a_second_call_begins_a_new_text",
        "a_text_as_long_as_the_context_fits",
    ]
)
def generate_cached__returns_the_prompt_always(
    model, ids, new, config=GREEDY, return_prompt=False, **options
):
    """The prompt is part of the result, although `return_prompt` is False."""
    return cached(model, ids, new, config, return_prompt=True, **options)
