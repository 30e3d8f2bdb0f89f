from types import SimpleNamespace

import torch
from matplotlib.figure import Figure
from torch import nn

from kata.wrong import wrong
from solutions.ch05_decoding.ex09_sample_next import SamplingConfig, process_logits
from solutions.ch10_playground.ex01_generate_text import (
    evaluating,
    sampling_config,
    settings_of,
)
from solutions.ch10_playground.ex04_compare_strategies import (
    compare_strategies,
    mean_log_prob,
    next_token_distribution,
    plot_next_token,
)

# ------------------------------------------------------------------------------ mean_log_prob


class Around(nn.Module):
    """A model with a function around it; its modes are those of the model."""

    def __init__(self, model, around):
        super().__init__()
        self.model, self.around = model, around
        self.training = getattr(model, "training", False)

    def forward(self, ids):
        return self.around(self.model, ids)


@wrong(
    caught_by=[
        "log_probs_are_those_of_the_next_ids",
        "log_probs_see_the_context_only",
        "a_row_by_hand",
        "a_text_without_words",
        "rows_equal_those_of_the_reference",
        "log_probs_are_those_of_the_written_ids",
    ]
)
def mean_log_prob__reads_the_next_position(model, prompt_ids, new_ids, context=None):
    """The logits behind an id were used for that id. They say what follows it: the ones before it
    are wanted."""
    text, scores = [*prompt_ids, *new_ids], []
    with evaluating(model) as device:
        for i in range(len(prompt_ids), len(text)):
            seen = text[: i + 1][-(context or len(text)) :]
            logits = model(torch.tensor([seen], device=device))[0, -1].float()
            scores.append(logits.log_softmax(-1)[text[i]].item())
    return sum(scores) / len(scores) if scores else None


@wrong(
    caught_by=[
        "log_probs_are_those_of_the_next_ids",
        "log_probs_see_the_context_only",
        "a_row_by_hand",
        "a_text_without_words",
        "rows_equal_those_of_the_reference",
        "log_probs_are_those_of_the_written_ids",
    ]
)
def mean_log_prob__adds_up(model, prompt_ids, new_ids, context=None):
    """The log-probabilities were added up. A long text is always unlikelier than a short one: take
    the mean."""
    mean = mean_log_prob(model, prompt_ids, new_ids, context)
    return None if mean is None else mean * len(new_ids)


@wrong(
    caught_by=[
        "log_probs_are_those_of_the_next_ids",
        "log_probs_see_the_context_only",
        "rows_equal_those_of_the_reference",
    ]
)
def mean_log_prob__counts_the_prompt(model, prompt_ids, new_ids, context=None):
    """The ids of the prompt were counted. The model did not choose them."""
    if not new_ids:
        return None
    return mean_log_prob(model, prompt_ids[:1], [*prompt_ids[1:], *new_ids], context)


@wrong(
    caught_by=[
        "log_probs_are_those_of_the_next_ids",
        "log_probs_see_the_context_only",
        "rows_equal_those_of_the_reference",
    ]
)
def mean_log_prob__forgets_the_prompt(model, prompt_ids, new_ids, context=None):
    """The model was not shown the prompt. The probabilities are those of ids that follow it."""
    return mean_log_prob(model, prompt_ids[-1:], new_ids, context)


@wrong(
    caught_by=[
        "log_probs_are_those_of_the_next_ids",
        "log_probs_see_the_context_only",
        "rows_equal_those_of_the_reference",
    ]
)
def mean_log_prob__takes_the_mean_of_probabilities(model, prompt_ids, new_ids, context=None):
    """The logarithm was taken of the mean of the probabilities. Take the mean of their
    logarithms."""
    if not new_ids:
        return None
    text = [*prompt_ids, *new_ids]
    parts = [
        mean_log_prob(model, text[:i], text[i : i + 1], context)
        for i in range(len(prompt_ids), len(text))
    ]
    return torch.tensor(parts).exp().mean().log().item()


@wrong(caught_by=["log_probs_see_the_context_only", "rows_equal_those_of_the_reference"])
def mean_log_prob__shows_the_whole_text(model, prompt_ids, new_ids, context=None):
    """The model was shown more than `context` ids. Crop the text here as it was cropped when it was
    written."""
    return mean_log_prob(model, prompt_ids, new_ids)


@wrong(caught_by=["models_are_left_as_they_were"])
def mean_log_prob__stays_in_training_mode(model, prompt_ids, new_ids, context=None):
    """The model was in training mode, so that dropout would be at work. `evaluating` sees to
    that."""
    if not getattr(model, "training", False):
        return mean_log_prob(model, prompt_ids, new_ids, context)
    device = next(model.parameters()).device
    return mean_log_prob(lambda ids: model(ids.to(device)), prompt_ids, new_ids, context)


@wrong(caught_by=["models_are_left_as_they_were"])
def mean_log_prob__leaves_the_model_in_eval_mode(model, prompt_ids, new_ids, context=None):
    """The model came in training mode and is in eval mode now."""
    mean = mean_log_prob(model, prompt_ids, new_ids, context)
    if isinstance(model, nn.Module):
        model.eval()
    return mean


@wrong(caught_by=["models_are_left_as_they_were"])
def mean_log_prob__records_gradients(model, prompt_ids, new_ids, context=None):
    """Gradients were recorded, which costs memory for nothing."""

    def recorded(model, ids):
        with torch.enable_grad():
            return model(ids)

    return mean_log_prob(Around(model, recorded), prompt_ids, new_ids, context)


@wrong(caught_by=["log_probs_are_those_of_the_next_ids"])
def mean_log_prob__rounds_in_half_precision(model, prompt_ids, new_ids, context=None):
    """The softmax was taken in half precision, which has two or three digits. Turn such logits into
    float32 before."""

    def rounded(model, ids):
        return model(ids).log_softmax(-1)

    return mean_log_prob(Around(model, rounded), prompt_ids, new_ids, context)


@wrong(caught_by=["a_text_without_words"])
def mean_log_prob__is_0_without_ids(model, prompt_ids, new_ids, context=None):
    """A text without ids has the log-probability 0, as if it were certain. It has none: None."""
    return mean_log_prob(model, prompt_ids, new_ids, context) or 0.0


# ------------------------------------------------------------------------- compare_strategies


@wrong(caught_by=["log_probs_are_those_of_the_written_ids"])
def compare_strategies__encodes_the_text_again(
    model, tokenizer, prompt, settings, *, context=None, **options
):
    """The text was encoded again for its log-probability. That may give other ids, which the model
    never wrote: keep those that it did."""
    rows = compare_strategies(model, tokenizer, prompt, settings, context=context, **options)
    start = tokenizer.encode(prompt)
    return [
        row | {"log_prob": mean_log_prob(model, start, tokenizer.encode(row["text"]), context)}
        for row in rows
    ]


def rows_of(model, tokenizer, prompt, settings, seeds, context=None, **options):
    """Rows with a seed for each."""
    for name, params in settings:
        settings_of(name, params)
    options |= {"context": context}
    return [
        compare_strategies(model, tokenizer, prompt, [setting], seed=seed, **options)[0]
        for setting, seed in zip(settings, seeds, strict=True)
    ]


@wrong(caught_by=["every_row_has_the_same_luck", "rows_equal_those_of_the_reference"])
def compare_strategies__seeds_once(model, tokenizer, prompt, settings, *, seed=0, **options):
    """The seed was set once for all rows: what a text becomes depends on how much was drawn before
    it. Start again for each of them."""
    torch.manual_seed(seed)
    seeds = [None] * len(settings)
    return rows_of(model, tokenizer, prompt, settings, seeds, **options)


@wrong(caught_by=["every_row_has_the_same_luck", "rows_equal_those_of_the_reference"])
def compare_strategies__counts_the_seed_up(
    model, tokenizer, prompt, settings, *, seed=0, **options
):
    """Each row had another seed, and so another luck. Then it is not the strategies that are
    compared."""
    seeds = range(seed, seed + len(settings))
    return rows_of(model, tokenizer, prompt, settings, seeds, **options)


@wrong(caught_by=["rows_equal_those_of_the_reference"])
def compare_strategies__ignores_the_seed(model, tokenizer, prompt, settings, *, seed=0, **options):
    """`seed` has no effect."""
    return compare_strategies(model, tokenizer, prompt, settings, **options)


@wrong(caught_by=["rows_say_all_their_settings", "rows_equal_those_of_the_reference"])
def compare_strategies__shows_what_was_given(model, tokenizer, prompt, settings, **options):
    """The settings of a row lack the defaults. Show all parameters that had an effect."""
    rows = compare_strategies(model, tokenizer, prompt, settings, **options)
    return [row | {"settings": dict(given)} for row, (_, given) in zip(rows, settings, strict=True)]


@wrong(
    caught_by=[
        "rows_say_all_their_settings",
        "every_row_has_the_same_luck",
        "rows_equal_those_of_the_reference",
    ]
)
def compare_strategies__keeps_one_row_per_strategy(model, tokenizer, prompt, settings, **options):
    """A strategy that occurs twice has one row only. Each setting has its own."""
    rows = compare_strategies(model, tokenizer, prompt, settings, **options)
    return list({row["name"]: row for row in rows}.values())


@wrong(
    caught_by=[
        "a_row_by_hand",
        "rows_equal_those_of_the_reference",
        "log_probs_are_those_of_the_written_ids",
        "a_text_without_words",
    ]
)
def compare_strategies__returns_the_prompt(model, tokenizer, prompt, settings, **options):
    """The prompt is part of the text. Decode the new ids alone."""
    rows = compare_strategies(model, tokenizer, prompt, settings, **options)
    return [row | {"text": prompt + row["text"]} for row in rows]


def distinct_of(parts):
    return len(set(parts)) / len(parts) if parts else None


@wrong(caught_by=["rows_equal_those_of_the_reference", "a_text_without_words"])
def compare_strategies__counts_tokens(model, tokenizer, prompt, settings, **options):
    """The share of different tokens was taken, and not that of different words."""
    rows = compare_strategies(model, tokenizer, prompt, settings, **options)
    return [row | {"distinct": distinct_of(tokenizer.encode(row["text"]))} for row in rows]


@wrong(caught_by=["a_row_by_hand", "rows_equal_those_of_the_reference"])
def compare_strategies__ignores_capitals(model, tokenizer, prompt, settings, **options):
    """Words that differ in capitals were taken for equal. Take them as they are written."""
    rows = compare_strategies(model, tokenizer, prompt, settings, **options)
    return [row | {"distinct": distinct_of(row["text"].lower().split())} for row in rows]


@wrong(caught_by=["a_row_by_hand", "rows_equal_those_of_the_reference", "a_text_without_words"])
def compare_strategies__splits_at_single_spaces(model, tokenizer, prompt, settings, **options):
    """`split(" ")` finds empty words between two spaces, and none at line breaks. `split()` without
    an argument does what is wanted."""
    rows = compare_strategies(model, tokenizer, prompt, settings, **options)
    return [row | {"distinct": distinct_of(row["text"].split(" "))} for row in rows]


@wrong(caught_by=["a_row_by_hand", "rows_equal_those_of_the_reference", "a_text_without_words"])
def compare_strategies__goes_on_after_the_end(
    model, tokenizer, prompt, settings, *, eos_id=None, **options
):
    """The texts went on behind the end token. Hand `eos_id` on."""
    return compare_strategies(model, tokenizer, prompt, settings, **options)


@wrong(caught_by=["rows_equal_those_of_the_reference"])
def compare_strategies__ignores_the_context(
    model, tokenizer, prompt, settings, *, context=None, **options
):
    """The model was shown a text longer than its context when it wrote. Hand `context` on."""
    return compare_strategies(model, tokenizer, prompt, settings, **options)


@wrong(caught_by=["rows_equal_those_of_the_reference"])
def compare_strategies__rates_without_the_context(
    model, tokenizer, prompt, settings, *, context=None, **options
):
    """The log-probabilities are those of a model that sees more than this one did when it wrote.
    Hand `context` on to `mean_log_prob` too."""
    kept = {}

    def decode(ids):
        kept.setdefault("ids", []).append(ids)
        return tokenizer.decode(ids)

    codec = SimpleNamespace(encode=tokenizer.encode, decode=decode)
    rows = compare_strategies(model, codec, prompt, settings, context=context, **options)
    start = tokenizer.encode(prompt)
    return [
        row | {"log_prob": mean_log_prob(model, start, ids)}
        for row, ids in zip(rows, kept.get("ids", []), strict=True)
    ]


@wrong(caught_by=["all_settings_are_checked_first"])
def compare_strategies__checks_one_by_one(model, tokenizer, prompt, settings, **options):
    """A wrong setting was found only after others had been tried: minutes for nothing. Check all
    settings first."""
    return [
        compare_strategies(model, tokenizer, prompt, [setting], **options)[0]
        for setting in settings
    ]


@wrong(caught_by=["all_settings_are_checked_first"])
def compare_strategies__leaves_wrong_settings_out(model, tokenizer, prompt, settings, **options):
    """A setting that does not exist was left out silently. Let the error through."""
    right = []
    for name, params in settings:
        try:
            right.append((name, settings_of(name, params)))
        except ValueError:
            continue
    return compare_strategies(model, tokenizer, prompt, right, **options)


# -------------------------------------------------------------------- next_token_distribution


def distribution(model, ids, settings, top, context, process, choose=None):
    """A right version, whose steps can be replaced."""
    configs = [sampling_config(name, params) for name, params in settings]
    with evaluating(model) as device:
        text = torch.tensor(list(ids), device=device)
        seen = text if context is None else text[-context:]
        logits = model(seen[None])[0, -1]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        best = (choose or logits).topk(min(top, len(logits))).indices
        rows = [process(logits, text, config, best) for config in configs]
    return best.cpu(), torch.stack(rows).cpu()


@wrong(caught_by=["next_token_by_hand", "next_token_of_every_setting"])
def next_token_distribution__shares_out_among_the_top(
    model, ids, settings, *, top=10, context=None
):
    """The probabilities sum to 1 over the tokens that are shown. The others have their share too:
    take the softmax over all logits, and the tokens out of it."""

    def process(logits, text, config, best):
        return process_logits(logits, text, config)[best].softmax(-1)

    return distribution(model, ids, settings, top, context, process)


@wrong(caught_by=["next_token_of_every_setting", "penalties_see_all_and_the_model_the_context"])
def next_token_distribution__gives_every_setting_its_own_tokens(
    model, ids, settings, *, top=10, context=None
):
    """Each row has its own likeliest tokens, and stands in another order than the ids. All rows are
    about the same tokens."""

    def process(logits, text, config, best):
        return process_logits(logits, text, config).softmax(-1).topk(len(best)).values

    return distribution(model, ids, settings, top, context, process)


@wrong(
    caught_by=[
        "next_token_by_hand",
        "next_token_of_every_setting",
        "penalties_see_all_and_the_model_the_context",
    ]
)
def next_token_distribution__takes_the_tokens_of_the_first_setting(
    model, ids, settings, *, top=10, context=None
):
    """The tokens are the likeliest ones of the first setting. They are to be those of the model
    itself, before any filter or penalty."""
    configs = [sampling_config(name, params) for name, params in settings]
    best, _ = next_token_distribution(model, ids, settings, top=top, context=context)
    with evaluating(model) as device:
        text = torch.tensor(list(ids), device=device)
        logits = model(text[None] if context is None else text[None, -context:])[0, -1]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        best = process_logits(logits, text, configs[0]).topk(len(best)).indices
        rows = [process_logits(logits, text, config).softmax(-1)[best] for config in configs]
    return best.cpu(), torch.stack(rows).cpu()


@wrong(
    caught_by=[
        "next_token_by_hand",
        "next_token_of_every_setting",
        "there_may_be_fewer_tokens_than_asked_for",
    ]
)
def next_token_distribution__sorts_the_ids(model, ids, settings, *, top=10, context=None):
    """The tokens stand in the order of their ids. The likeliest comes first."""
    best, probs = next_token_distribution(model, ids, settings, top=top, context=context)
    best, order = best.sort()
    return best, probs[:, order]


@wrong(
    caught_by=[
        "next_token_by_hand",
        "next_token_of_every_setting",
        "penalties_see_all_and_the_model_the_context",
        "there_may_be_fewer_tokens_than_asked_for",
    ]
)
def next_token_distribution__forgets_the_softmax(model, ids, settings, *, top=10, context=None):
    """Logits came back, and no probabilities. A softmax is missing."""

    def process(logits, text, config, best):
        return process_logits(logits, text, config)[best]

    return distribution(model, ids, settings, top, context, process)


@wrong(
    caught_by=[
        "next_token_by_hand",
        "next_token_of_every_setting",
        "penalties_see_all_and_the_model_the_context",
    ]
)
def next_token_distribution__ignores_the_temperature(model, ids, settings, *, top=10, context=None):
    """The temperature has no effect. `process_logits` applies all that a config says."""

    def process(logits, text, config, best):
        config = SamplingConfig(**vars(config) | {"temperature": 1.0})
        return process_logits(logits, text, config).softmax(-1)[best]

    return distribution(model, ids, settings, top, context, process)


@wrong(caught_by=["penalties_see_all_and_the_model_the_context"])
def next_token_distribution__penalises_what_the_model_sees(
    model, ids, settings, *, top=10, context=None
):
    """The penalties saw only the ids that the model was shown. They are meant for all of them."""

    def process(logits, text, config, best):
        text = text if context is None else text[-context:]
        return process_logits(logits, text, config).softmax(-1)[best]

    return distribution(model, ids, settings, top, context, process)


@wrong(caught_by=["penalties_see_all_and_the_model_the_context"])
def next_token_distribution__shows_the_whole_text(model, ids, settings, *, top=10, context=None):
    """The model was shown more than `context` ids."""
    return next_token_distribution(model, ids, settings, top=top)


@wrong(caught_by=["models_are_left_as_they_were", "penalties_see_all_and_the_model_the_context"])
def next_token_distribution__asks_for_every_setting(model, ids, settings, *, top=10, context=None):
    """The model was called more than once. Its logits are the same for all settings."""
    for setting in settings:
        sampling_config(*setting)
        model(torch.tensor([list(ids)[-(context or len(ids)) :]]))
    return next_token_distribution(model, ids, settings, top=top, context=context)


@wrong(caught_by=["models_are_left_as_they_were"])
def next_token_distribution__stays_in_training_mode(model, ids, settings, *, top=10, context=None):
    """The model was in training mode, so that dropout would be at work. `evaluating` sees to
    that."""
    if not getattr(model, "training", False):
        return next_token_distribution(model, ids, settings, top=top, context=context)
    device = next(model.parameters()).device
    bare = lambda ids: model(ids.to(device))
    return next_token_distribution(bare, ids, settings, top=top, context=context)


@wrong(crashes=["there_may_be_fewer_tokens_than_asked_for"])
def next_token_distribution__wants_ten_tokens(model, ids, settings, *, top=10, context=None):
    """`topk` raises an error when there are fewer tokens than that. Ask for no more than there
    are."""
    best, probs = next_token_distribution(model, ids, settings, top=top, context=context)
    torch.zeros(probs.shape[-1]).topk(top)
    return best, probs


@wrong(caught_by=["beam_search_has_no_next_token"])
def next_token_distribution__takes_beam_search_for_greedy(
    model, ids, settings, *, top=10, context=None
):
    """Beam search got a distribution. It draws no next token: let the error through."""
    known = [("greedy", {}) if name == "beam" else (name, params) for name, params in settings]
    return next_token_distribution(model, ids, known, top=top, context=context)


@wrong(caught_by=["next_token_of_every_setting"])
def next_token_distribution__rounds_in_half_precision(
    model, ids, settings, *, top=10, context=None
):
    """The softmax was taken in half precision, which has two or three digits. Turn such logits into
    float32 before."""

    def rounded(model, ids):
        logits = model(ids)
        return logits.log_softmax(-1) if logits.dtype.itemsize == 2 else logits

    return next_token_distribution(Around(model, rounded), ids, settings, top=top, context=context)


# ----------------------------------------------------------------------------- plot_next_token


def draw(tokens, probs, names, *, shift=None, label=repr, figure=None, **style):
    """A right version, whose parts can be replaced."""
    if probs.shape != (len(names), len(tokens)):
        raise ValueError("shape")
    figure = figure or Figure()
    axes = figure.add_subplot(ylabel="probability")
    width = 0.8 / len(names)
    for row, name in enumerate(names):
        x = (row - (len(names) - 1) / 2) * width if shift is None else shift(row, width)
        heights = probs[row].double().tolist()
        places = [i + x for i in range(len(tokens))]
        axes.bar(places, heights, width, label=name)
    axes.set_xticks(range(len(tokens)), [label(t) for t in tokens], **{"parse_math": False} | style)
    axes.legend()
    return figure


@wrong(caught_by=["bars_stand_side_by_side"])
def plot_next_token__draws_bars_on_top_of_each_other(tokens, probs, names):
    """All bars of a token stand at the same place, and hide each other. Move each setting to its
    own place beside the others."""
    return draw(tokens, probs, names, shift=lambda row, width: 0)


@wrong(caught_by=["bars_stand_side_by_side"])
def plot_next_token__draws_wide_bars(tokens, probs, names):
    """The groups of two tokens overlap. All bars of a token together may be 1 wide at most."""
    figure = plot_next_token(tokens, probs, names)
    for group in figure.axes[0].containers:
        for bar in group:
            bar.set_width(0.8)
    return figure


@wrong(caught_by=["bars_stand_side_by_side"])
def plot_next_token__begins_at_the_tick(tokens, probs, names):
    """The bars of a token do not stand around its tick, but to the right of it."""
    return draw(tokens, probs, names, shift=lambda row, width: (row + 0.5) * width)


@wrong(caught_by=["bars_stand_side_by_side"])
def plot_next_token__draws_the_settings_from_right_to_left(tokens, probs, names):
    """The settings stand from right to left. The first one is at the left."""
    count = len(names)
    return draw(tokens, probs, names, shift=lambda row, width: ((count - 1) / 2 - row) * width)


@wrong(caught_by=["each_setting_has_its_bars"])
def plot_next_token__scales_the_bars(tokens, probs, names):
    """The bars of a setting sum to 1. Some probability belongs to tokens that are not shown: draw
    what is given."""
    if probs.dim() == 2:
        probs = probs / probs.sum(-1, keepdim=True)
    return plot_next_token(tokens, probs, names)


@wrong(caught_by=["bars_stand_side_by_side"])
def plot_next_token__uses_tokens_as_places(tokens, probs, names):
    """Equal tokens share a place: matplotlib takes equal texts for the same category. Use numbers
    as places, and the tokens as labels of the ticks."""
    if probs.shape != (len(names), len(tokens)):
        raise ValueError("shape")
    figure = plot_next_token(tokens, probs, names)
    for group in figure.axes[0].containers:
        for i, bar in enumerate(group):
            bar.set_x(bar.get_x() - i + list(tokens).index(tokens[i]))
    return figure


@wrong(caught_by=["ticks_show_the_tokens_literally"])
def plot_next_token__shows_the_bare_token(tokens, probs, names):
    """A space or a line break cannot be seen in a label. `repr` shows them."""
    return draw(tokens, probs, names, label=str)


@wrong(caught_by=["ticks_show_the_tokens_literally"])
def plot_next_token__lets_matplotlib_read_formulas(tokens, probs, names):
    """matplotlib takes what stands between two dollar signs for a formula. `parse_math=False` turns
    that off."""
    return draw(tokens, probs, names, parse_math=True)


@wrong(caught_by=["the_picture_explains_itself"])
def plot_next_token__has_no_legend(tokens, probs, names):
    """There is no legend: nobody knows which bar is which."""
    figure = plot_next_token(tokens, probs, names)
    figure.axes[0].get_legend().remove()
    return figure


@wrong(caught_by=["the_picture_explains_itself"])
def plot_next_token__does_not_name_the_axis(tokens, probs, names):
    """The vertical axis has no label, or another one."""
    figure = plot_next_token(tokens, probs, names)
    figure.axes[0].set_ylabel("logits")
    return figure


@wrong(caught_by=["the_picture_explains_itself"])
def plot_next_token__uses_pyplot(tokens, probs, names):
    """The figure was made by `pyplot`, which keeps it in memory for good and may open a window. Use
    `matplotlib.figure.Figure(...)`."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    plt.close("all")
    return draw(tokens, probs, names, figure=plt.figure())


@wrong(caught_by=["each_bar_needs_a_name_and_a_token"])
def plot_next_token__draws_what_there_is(tokens, probs, names):
    """Tokens or names that do not fit the probabilities were accepted. Compare their numbers with
    the shape."""
    if probs.dim() != 2:
        return Figure()
    return draw(tokens[: probs.shape[1]], probs[: len(names), : len(tokens)], names[: len(probs)])


@wrong(crashes=["each_setting_has_its_bars"])
def plot_next_token__cannot_read_half_precision(tokens, probs, names):
    """Probabilities in bfloat16 could not be drawn: numpy does not know that dtype. Use `.float()`
    or `.tolist()`."""
    probs.detach().cpu().numpy()
    return plot_next_token(tokens, probs, names)
