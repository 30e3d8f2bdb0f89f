import torch
from torch import nn

from kata.wrong import wrong
from solutions.ch05_decoding.ex09_sample_next import SamplingConfig
from solutions.ch10_playground.ex01_generate_text import (
    STRATEGIES,
    generate_ids,
    generate_text,
    sampling_config,
    settings_of,
    stream_generate,
)

# ------------------------------------------------------------------------- names and parameters


@wrong(caught_by=["strange_names_are_refused"])
def settings_of__forgives_a_hyphen(strategy, params):
    """A misspelt name was taken for another one. Whoever writes "top-p" is to be told that it is
    "top_p": guess in the message, not in the result."""
    return settings_of(strategy.replace("-", "_"), params)


@wrong(caught_by=["strange_names_are_refused"])
def settings_of__falls_back_to_a_default(strategy, params):
    """A strategy that does not exist did something all the same. The user believes that it was what
    they asked for: raise a ValueError."""
    if strategy not in STRATEGIES:
        return settings_of("temperature", {})
    return settings_of(strategy, params)


@wrong(caught_by=["strange_names_are_refused"])
def settings_of__ignores_what_it_does_not_know(strategy, params):
    """A parameter that the strategy does not take was left out silently, such as the temperature of
    greedy decoding. The user believes that it had an effect: raise a ValueError."""
    taken = STRATEGIES.get(strategy, {})
    return settings_of(strategy, {name: params[name] for name in params if name in taken})


@wrong(caught_by=["strange_names_are_refused"])
def settings_of__accepts_any_parameter(strategy, params):
    """A parameter was accepted that this strategy does not take. Compare the names with those in
    `STRATEGIES[strategy]`."""
    settings_of(strategy, {})
    return STRATEGIES[strategy] | dict(params)


@wrong(caught_by=["strange_names_are_refused"])
def settings_of__does_not_say_what_there_is(strategy, params):
    """The message of the error does not have the names that could be used instead."""
    try:
        return settings_of(strategy, params)
    except ValueError as error:
        guess = str(error).partition("there is")[0]
        raise ValueError(guess) from None


@wrong(caught_by=["strange_names_are_refused"])
def settings_of__does_not_guess(strategy, params):
    """The message of the error does not say which name was probably meant.
    `difflib.get_close_matches` knows."""
    try:
        return settings_of(strategy, params)
    except ValueError as error:
        raise ValueError(str(error).replace("did you mean", "perhaps")) from None


@wrong(
    caught_by=[
        "defaults_fill_the_gaps",
        "senseless_values_are_refused",
        "beam_search_runs_where_the_model_is",
    ],
    crashes=[
        "agrees_with_transformers",
        "text_ends_before_the_end_token",
        "beam_search_finds_the_likelier_text",
        "model_sees_the_last_tokens",
        "the_caller_notices_nothing",
    ],
)
def settings_of__returns_what_was_given(strategy, params):
    """The parameters that were not given are missing. They have the defaults of `STRATEGIES`."""
    settings_of(strategy, params)
    return dict(params)


@wrong(
    caught_by=[
        "nothing_is_set_that_was_not_asked_for",
        "defaults_fill_the_gaps",
        "senseless_values_are_refused",
        "agrees_with_transformers",
        "beam_search_finds_the_likelier_text",
        "penalties_see_the_whole_text",
    ]
)
def settings_of__prefers_the_defaults(strategy, params):
    """The defaults took the place of what was given. It is the other way round: a default is for
    what was not given."""
    settings_of(strategy, params)
    return dict(params) | STRATEGIES[strategy]


TABLE = {name: dict(defaults) for name, defaults in STRATEGIES.items()}


@wrong(caught_by=["defaults_fill_the_gaps"])
def settings_of__writes_into_the_table(strategy, params):
    """`STRATEGIES` was modified: what was given once is the default from then on. Make a new
    dict."""
    settings_of(strategy, params)
    TABLE[strategy].update(params)
    return TABLE[strategy]


# ----------------------------------------------------------------------------------- the config


@wrong(caught_by=["nothing_is_set_that_was_not_asked_for", "agrees_with_transformers"])
def sampling_config__keeps_the_best_50(strategy, params):
    """A top-k of 50 was applied that nobody asked for. It is the silent default of Hugging Face's
    `generate`, and here there must be none."""
    config = sampling_config(strategy, params)
    return config if config.top_k else SamplingConfig(**vars(config) | {"top_k": 50})


@wrong(caught_by=["nothing_is_set_that_was_not_asked_for", "agrees_with_transformers"])
def sampling_config__takes_every_p_for_top_p(strategy, params):
    """The parameter `p` always became `top_p`. That of "min_p" and of "typical" is another one."""
    names = {"k": "top_k", "p": "top_p", "penalty": "repetition_penalty"}
    if strategy in ("greedy", "beam"):
        return sampling_config(strategy, params)
    settings = settings_of(strategy, params)
    return SamplingConfig(**{names.get(name, name): value for name, value in settings.items()})


@wrong(
    caught_by=[
        "nothing_is_set_that_was_not_asked_for",
        "agrees_with_transformers",
        "penalties_see_the_whole_text",
    ]
)
def sampling_config__loses_the_temperature(strategy, params):
    """The temperature is lost. All strategies that draw have one."""
    config = sampling_config(strategy, params)
    is_lost = strategy not in ("greedy", "temperature")
    return SamplingConfig(**vars(config) | {"temperature": 1.0}) if is_lost else config


@wrong(
    caught_by=[
        "only_the_new_text_comes_back",
        "nothing_is_set_that_was_not_asked_for",
        "agrees_with_transformers",
        "text_ends_before_a_stop_string",
        "chunks_come_while_the_model_writes",
    ]
)
def sampling_config__draws_when_greedy(strategy, params):
    """Greedy decoding draws. Temperature 0 of `SamplingConfig` always takes the likeliest token;
    its default is 1."""
    config = sampling_config(strategy, params)
    return SamplingConfig() if strategy == "greedy" else config


@wrong(caught_by=["beam_search_has_no_config"])
def sampling_config__has_one_for_beam_search(strategy, params):
    """Beam search got a config. It draws no tokens: raise a ValueError."""
    if strategy == "beam":
        settings_of(strategy, params)
        return SamplingConfig(temperature=0.0)
    return sampling_config(strategy, params)


# -------------------------------------------------------------------------------------- the ids


@wrong(
    caught_by=[
        "only_the_new_text_comes_back",
        "agrees_with_transformers",
        "text_ends_before_a_stop_string",
        "chunks_come_while_the_model_writes",
        "text_ends_before_the_end_token",
        "beam_search_finds_the_likelier_text",
        "penalties_see_the_whole_text",
        "the_caller_notices_nothing",
    ]
)
def generate_ids__begins_with_the_prompt(model, ids, strategy="greedy", **options):
    """The ids of the prompt came back too. Only new ones are wanted."""
    new = generate_ids(model, ids, strategy, **options)
    for i, token in enumerate(new):
        yield from ids if i == 0 else ()
        yield token


@wrong(caught_by=["agrees_with_transformers"])
def generate_ids__starts_the_seed_at_every_token(
    model, ids, strategy="greedy", *, max_new_tokens=100, seed=None, **options
):
    """Every token was drawn from a new generator: each has the same luck. Make one generator for
    the whole text."""
    if seed is None or strategy in ("greedy", "beam"):
        options |= {"max_new_tokens": max_new_tokens, "seed": seed}
        yield from generate_ids(model, ids, strategy, **options)
        return
    text = list(ids)
    for _ in range(max_new_tokens):
        new = list(generate_ids(model, text, strategy, max_new_tokens=1, seed=seed, **options))
        if not new:
            return
        text += new
        yield from new


@wrong(caught_by=["each_seed_has_its_own_text"])
def generate_ids__seeds_torch_itself(model, ids, strategy="greedy", *, seed=None, **options):
    """`torch.manual_seed` changes the random numbers of everybody else, too. Make a generator with
    this seed, and draw from that."""
    if seed is not None:
        torch.manual_seed(seed)
    return generate_ids(model, ids, strategy, **options)


@wrong(caught_by=["agrees_with_transformers", "each_seed_has_its_own_text"])
def generate_ids__ignores_the_seed(model, ids, strategy="greedy", *, seed=None, **options):
    """`seed` has no effect."""
    return generate_ids(model, ids, strategy, **options)


@wrong(caught_by=["without_a_seed_torch_decides"])
def generate_ids__always_has_a_seed(model, ids, strategy="greedy", *, seed=None, **options):
    """Without a seed every text is the same. Then torch's global generator is to be drawn from, so
    that each text is another one."""
    return generate_ids(model, ids, strategy, seed=seed or 0, **options)


@wrong(caught_by=["text_ends_before_the_end_token"])
def generate_ids__yields_the_end_token(
    model, ids, strategy="greedy", *, max_new_tokens=100, eos_id=None, **options
):
    """The end token came back too. It ends the text, but is no part of it."""
    count, options = 0, options | {"max_new_tokens": max_new_tokens, "eos_id": eos_id}
    for token in generate_ids(model, ids, strategy, **options):
        yield token
        count += 1
    if eos_id is not None and count < max_new_tokens:
        yield eos_id


@wrong(caught_by=["text_ends_before_the_end_token"])
def generate_ids__goes_on_after_the_end(model, ids, strategy="greedy", *, eos_id=None, **options):
    """The text went on behind the end token."""
    return generate_ids(model, ids, strategy, **options)


@wrong(caught_by=["text_ends_before_a_stop_string", "chunks_come_while_the_model_writes"])
def generate_ids__hands_over_nothing_before_the_end(model, ids, strategy="greedy", **options):
    """All ids were made before the first one was handed over. Yield each as soon as it is known."""
    yield from list(generate_ids(model, ids, strategy, **options))


@wrong(caught_by=["the_caller_notices_nothing"])
def generate_ids__switches_gradients_off_outside(model, ids, strategy="greedy", **options):
    """A `yield` within `torch.no_grad()`, or within `evaluating`, switches gradients off for the
    caller too, until the text is at its end. Leave the block before each `yield`."""
    with torch.no_grad():
        yield from generate_ids(model, ids, strategy, **options)


@wrong(caught_by=["the_caller_notices_nothing"])
def generate_ids__leaves_the_model_in_eval_mode(model, ids, strategy="greedy", **options):
    """The caller has an id, and the model is not in the mode in which it came. Leave the block of
    `evaluating` before each `yield`."""
    if isinstance(model, nn.Module):
        model.eval()
    yield from generate_ids(model, ids, strategy, **options)


@wrong(caught_by=["the_caller_notices_nothing"])
def generate_ids__stays_in_training_mode_for_beam_search(model, ids, strategy="greedy", **options):
    """Beam search called the model in training mode, where dropout is at work. `generate` sees to
    the mode, `beam_search` does not: use `evaluating`."""
    is_beam = strategy == "beam" and not hasattr(model, "seen")
    return generate_ids((lambda ids: model(ids)) if is_beam else model, ids, strategy, **options)


@wrong(caught_by=["beam_search_runs_where_the_model_is"])
def generate_ids__hands_ids_over_on_the_cpu(model, ids, strategy="greedy", **options):
    """The ids were on the CPU, and the model is elsewhere. `evaluating` gives its device."""
    is_there = strategy != "beam" or not isinstance(model, nn.Module) or hasattr(model, "calls")
    return generate_ids(model if is_there else (lambda ids: model(ids)), ids, strategy, **options)


@wrong(caught_by=["agrees_with_transformers", "beam_search_finds_the_likelier_text"])
def generate_ids__is_greedy_for_beam_search(model, ids, strategy="greedy", **options):
    """Beam search gave the text of greedy decoding: `beams` texts have to be kept."""
    if strategy == "beam" and options.get("beams", 4) > 1:
        options["beams"] = 1
    return generate_ids(model, ids, strategy, **options)


@wrong(caught_by=["agrees_with_transformers", "beam_search_finds_the_likelier_text"])
def generate_ids__ignores_the_number_of_beams(model, ids, strategy="greedy", **options):
    """Beam search kept the default number of beams, and not as many as were asked for."""
    if options.get("beams", 0) > 0:
        del options["beams"]
    return generate_ids(model, ids, strategy, **options)


@wrong(caught_by=["model_sees_the_last_tokens"])
def generate_ids__shows_beam_search_the_whole_text(
    model, ids, strategy="greedy", *, context=None, **options
):
    """In beam search the model was shown more than it can read. Crop the rows to `context` here
    too."""
    if strategy == "beam" and context is not None and context > 0:
        context = None
    return generate_ids(model, ids, strategy, context=context, **options)


@wrong(caught_by=["model_sees_the_last_tokens"])
def generate_ids__shows_the_whole_text(model, ids, strategy="greedy", *, context=None, **options):
    """The model was shown a text longer than its context. Show it the last `context` ids."""
    if context is not None and context > 0:
        context = None
    return generate_ids(model, ids, strategy, context=context, **options)


@wrong(caught_by=["penalties_see_the_whole_text"])
def generate_ids__forgets_what_the_model_cannot_see(
    model, ids, strategy="greedy", *, context=None, max_new_tokens=100, **options
):
    """The text itself was cropped to `context`, so that the penalties forget what was before. Only
    the model is to see less, and `generate` sees to that."""
    if strategy != "repetition_penalty" or not context:
        options |= {"context": context, "max_new_tokens": max_new_tokens}
        yield from generate_ids(model, ids, strategy, **options)
        return
    text = list(ids)
    for _ in range(max_new_tokens):
        text += generate_ids(model, text[-context:], strategy, max_new_tokens=1, **options)
        yield text[-1]


@wrong(caught_by=["senseless_values_are_refused"])
def generate_ids__accepts_anything(model, ids, strategy="greedy", **options):
    """Arguments that make no sense were accepted. Look at the list of errors: not all of them come
    from the functions of chapter 5."""
    if not ids or options.get("max_new_tokens", 0) < 0 or (options.get("context") or 1) < 1:
        return iter(())
    return generate_ids(model, ids, strategy, **options)


# ------------------------------------------------------------------------------------- the text


def before(text, stop):
    return text[: min([text.find(word) for word in stop if word in text], default=len(text))]


@wrong(
    caught_by=[
        "only_the_new_text_comes_back",
        "agrees_with_transformers",
        "text_ends_before_a_stop_string",
        "chunks_come_while_the_model_writes",
    ]
)
def stream_generate__cuts_the_prompt_off(
    model, tokenizer, prompt, strategy="greedy", *, stop=(), **options
):
    """The whole text was decoded, and as many characters as the prompt has were cut off. A prompt
    does not always come back as it was: decode the new ids alone."""
    start, shown = tokenizer.encode(prompt), ""
    new = []
    for token in generate_ids(model, start, strategy, **options):
        new.append(token)
        text = tokenizer.decode([*start, *new])[len(prompt) :].rstrip("\ufffd")
        chunk = before(text, stop)[len(shown) :]
        yield from [chunk] if chunk else []
        shown += chunk
        if before(text, stop) != text:
            return


@wrong(
    caught_by=[
        "only_the_new_text_comes_back",
        "agrees_with_transformers",
        "text_ends_before_a_stop_string",
        "chunks_come_while_the_model_writes",
    ]
)
def stream_generate__decodes_every_id_alone(
    model, tokenizer, prompt, strategy="greedy", *, stop=(), **options
):
    """The ids were decoded one by one. A character may lie across two of them, and a space between
    them: let `stream_text` do it."""
    shown = ""
    for token in generate_ids(model, tokenizer.encode(prompt), strategy, **options):
        text = shown + tokenizer.decode([token])
        chunk = before(text, stop)[len(shown) :]
        yield from [chunk] if chunk else []
        shown += chunk
        if before(text, stop) != text:
            return


@wrong(caught_by=["chunks_come_while_the_model_writes"])
def stream_generate__begins_when_the_text_is_at_its_end(
    model, tokenizer, prompt, strategy="greedy", *, stop=(), **options
):
    """Nothing came before the text was at its end. Yield each chunk as soon as there is one."""
    text = "".join(stream_generate(model, tokenizer, prompt, strategy, stop=stop, **options))
    yield from [text] if text else []


@wrong(caught_by=["text_ends_before_a_stop_string", "chunks_come_while_the_model_writes"])
def stream_generate__ignores_stop_strings(
    model, tokenizer, prompt, strategy="greedy", *, stop=(), **options
):
    """The text went on behind a stop string. Hand `stop` on to `stream_text`."""
    return stream_generate(model, tokenizer, prompt, strategy, **options)


@wrong(caught_by=["text_ends_before_a_stop_string", "chunks_come_while_the_model_writes"])
def stream_generate__writes_on_behind_a_stop_string(
    model, tokenizer, prompt, strategy="greedy", *, stop=(), **options
):
    """The text ends where it should, but the model went on writing. Do not ask for ids that nobody
    wants."""
    text = "".join(stream_generate(model, tokenizer, prompt, strategy, **options))
    yield before(text, stop)


@wrong(
    caught_by=[
        "only_the_new_text_comes_back",
        "agrees_with_transformers",
        "text_ends_before_a_stop_string",
    ]
)
def generate_text__returns_the_last_chunk(model, tokenizer, prompt, strategy="greedy", **options):
    """Only the last chunk came back. Join all of them."""
    return ["", *stream_generate(model, tokenizer, prompt, strategy, **options)][-1]


@wrong(
    caught_by=[
        "only_the_new_text_comes_back",
        "agrees_with_transformers",
        "text_ends_before_a_stop_string",
    ]
)
def generate_text__returns_the_prompt(model, tokenizer, prompt, strategy="greedy", **options):
    """The prompt is part of the result. Return what the model has added, and nothing else."""
    return prompt + generate_text(model, tokenizer, prompt, strategy, **options)


@wrong(caught_by=["text_ends_before_a_stop_string"])
def generate_text__strips_the_text(model, tokenizer, prompt, strategy="greedy", **options):
    """Spaces or line breaks at the ends of the text are missing. They were written by the model."""
    return generate_text(model, tokenizer, prompt, strategy, **options).strip()


@wrong(
    caught_by=[
        "agrees_with_transformers",
        "each_seed_has_its_own_text",
        "without_a_seed_torch_decides",
    ]
)
def generate_text__ignores_the_strategy(model, tokenizer, prompt, strategy="greedy", **options):
    """Every text was greedy. The strategy has to be handed on, with all its parameters."""
    params = settings_of(strategy, {}) | {}
    settings_of(strategy, {n: v for n, v in options.items() if n not in OPTIONS})
    others = {name: value for name, value in options.items() if name not in params}
    return generate_text(model, tokenizer, prompt, "greedy", **others)


OPTIONS = ("max_new_tokens", "seed", "stop", "eos_id", "context")
