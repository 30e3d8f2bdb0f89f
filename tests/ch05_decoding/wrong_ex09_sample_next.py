from dataclasses import replace

import torch

from kata.wrong import wrong
from solutions.ch05_decoding.ex02_apply_temperature import apply_temperature
from solutions.ch05_decoding.ex09_sample_next import SamplingConfig, process_logits, sample_next

NOTHING = SamplingConfig()
LOOKS_BACK = ("repetition_penalty", "no_repeat_ngram_size")


def only(config, *names):
    """The config with all other filters off."""
    return SamplingConfig(**{name: getattr(config, name) for name in names})


def without(config, *names):
    """The config with these filters off."""
    return replace(config, **{name: getattr(NOTHING, name) for name in names})


# ------------------------------------------------------------------------------ process_logits


@wrong(caught_by=["each_step_sees_the_result_of_the_one_before", "agrees_with_transformers"])
def process_logits__filters_before_temperature(logits, ids, config):
    """The temperature came last. It changes the probabilities that top-p and typical add up, and
    what min-p compares: it comes before all of them."""
    return apply_temperature(
        process_logits(logits, ids, without(config, "temperature")), config.temperature
    )


@wrong(caught_by=["each_step_sees_the_result_of_the_one_before", "agrees_with_transformers"])
def process_logits__penalties_last(logits, ids, config):
    """The repetition penalty and the n-grams came after the filters. What they change decides who
    the most likely tokens are, so they come first."""
    logits = process_logits(logits, None, without(config, *LOOKS_BACK))
    return process_logits(logits, ids, only(config, *LOOKS_BACK))


@wrong(caught_by=["each_step_sees_the_result_of_the_one_before", "agrees_with_transformers"])
def process_logits__top_p_before_top_k(logits, ids, config):
    """Top-p came before top-k. After top-k the probabilities are those among the k tokens, and
    top-p adds up these."""
    logits = process_logits(logits, ids, without(config, "top_k", "min_p", "typical_p"))
    return process_logits(logits, None, only(config, "top_k", "min_p", "typical_p"))


@wrong(caught_by=["each_step_sees_the_result_of_the_one_before", "agrees_with_transformers"])
def process_logits__min_p_before_top_p(logits, ids, config):
    """Min-p came before top-p, which then adds up the probabilities among fewer tokens."""
    logits = process_logits(logits, ids, without(config, "top_p", "typical_p"))
    return process_logits(logits, None, only(config, "top_p", "typical_p"))


@wrong(caught_by=["each_step_sees_the_result_of_the_one_before", "agrees_with_transformers"])
def process_logits__typical_before_the_others(logits, ids, config):
    """Typical filtering came before top-k, top-p and min-p. It is the last one: its entropy is that
    of the tokens that the others left."""
    logits = process_logits(logits, ids, without(config, "top_k", "top_p", "min_p"))
    return process_logits(logits, None, only(config, "top_k", "top_p", "min_p"))


@wrong(caught_by=["each_step_sees_the_result_of_the_one_before", "agrees_with_transformers"])
def process_logits__filters_side_by_side(logits, ids, config):
    """Every filter looked at the same logits, and what all of them keep was kept. Each has to see
    the result of the one before."""
    logits = process_logits(logits, ids, only(config, "temperature", *LOOKS_BACK))
    kept = torch.ones_like(logits, dtype=torch.bool)
    for name in ("top_k", "top_p", "min_p", "typical_p"):
        kept &= process_logits(logits, None, only(config, name)) > float("-inf")
    return logits.masked_fill(~kept, float("-inf"))


@wrong(caught_by=["refused_values_are_refused_here_too"])
def process_logits__zero_switches_off(logits, ids, config):
    """`if config.top_p:` takes a 0 for "off". Only None is: 0 is a value that the filter has to
    refuse."""
    names = [name for name in ("top_k", "top_p", "typical_p") if not getattr(config, name)]
    return process_logits(logits, ids, replace(config, **dict.fromkeys(names)))


@wrong(caught_by=["penalties_without_a_text_are_an_error"])
def process_logits__skips_what_needs_ids(logits, ids, config):
    """Without `ids` the penalties were left out in silence. The caller asked for them, and has to
    be told that they cannot work."""
    return process_logits(logits, ids, without(config, *LOOKS_BACK) if ids is None else config)


@wrong(caught_by=["nothing_asked_for_changes_nothing"])
def process_logits__computes_in_float32(logits, ids, config):
    """The logits came back in float32. Filters keep the dtype of what they get."""
    return process_logits(logits.float(), ids, config)


@wrong(caught_by=["inputs_are_not_modified"])
def process_logits__scales_in_place(logits, ids, config):
    """The caller's logits were changed: `logits /= temperature` writes into their tensor."""
    looked_back = process_logits(logits, ids, only(config, *LOOKS_BACK))
    if config.temperature > 0:
        logits.copy_(looked_back).div_(config.temperature)
        return process_logits(logits, None, without(config, "temperature", *LOOKS_BACK))
    return process_logits(logits, ids, config)


@wrong(
    caught_by=[
        "each_step_sees_the_result_of_the_one_before",
        "agrees_with_transformers",
        "refused_values_are_refused_here_too",
    ]
)
def process_logits__forgets_typical(logits, ids, config):
    """`typical_p` has no effect. Every field of the config is one step."""
    return process_logits(logits, ids, without(config, "typical_p"))


@wrong(caught_by=["agrees_with_transformers", "every_row_has_its_own_text"])
def process_logits__text_of_the_first_row(logits, ids, config):
    """All rows were penalised for the text of the first one. Row i of `ids` belongs to row i of
    `logits`."""
    if ids is not None and ids.dim() > 1:
        ids = ids.flatten(0, -2)[:1].expand(logits[..., 0].numel(), -1).view(ids.shape)
    return process_logits(logits, ids, config)


# --------------------------------------------------------------------------------- sample_next


@wrong(
    caught_by=[
        "draws_follow_the_probabilities",
        "each_row_has_its_own_probabilities",
        "float16_survives_a_low_temperature",
        "half_precision_loses_no_token",
        "next_call_draws_new_numbers",
    ]
)
def sample_next__takes_the_most_likely(logits, config, generator=None, ids=None):
    """The most likely token was taken. Above temperature 0 every token that is left has its
    chance."""
    return process_logits(logits, ids, config).argmax(-1)


@wrong(
    caught_by=[
        "draws_follow_the_probabilities",
        "each_row_has_its_own_probabilities",
        "float16_survives_a_low_temperature",
        "temperature_zero_draws_nothing",
    ]
)
def sample_next__draws_evenly(logits, config, generator=None, ids=None):
    """All tokens that were left had the same chance. Their chances are their probabilities, the
    softmax of the processed logits."""
    kept = process_logits(logits, ids, config) > float("-inf")
    return torch.multinomial(kept.float(), 1, generator=generator)[:, 0]


@wrong(caught_by=["draws_follow_the_probabilities"])
def sample_next__draws_from_raw_logits(logits, config, generator=None, ids=None):
    """The draw was made from the softmax of the logits that came in: process them first."""
    if config.temperature == 0:
        return sample_next(logits, config, generator, ids)
    process_logits(logits, ids, config)
    return torch.multinomial(logits.float().softmax(-1), 1, generator=generator)[:, 0]


@wrong(caught_by=["penalties_without_a_text_are_an_error", "draws_follow_the_probabilities"])
def sample_next__forgets_the_text(logits, config, generator=None, ids=None):
    """`ids` was not handed on to `process_logits`, so that nothing is penalised."""
    return sample_next(logits, without(config, *LOOKS_BACK), generator)


@wrong(caught_by=["same_seed_gives_the_same_tokens", "global_generator_is_left_alone"])
def sample_next__ignores_the_generator(logits, config, generator=None, ids=None):
    """The random numbers came from torch's global generator, and not from the one that was
    given."""
    return sample_next(logits, config, None, ids)


@wrong(caught_by=["temperature_zero_draws_nothing", "global_generator_is_left_alone"])
def sample_next__seeds_the_global_generator(logits, config, generator=None, ids=None):
    """The global generator was seeded for the draw. Everybody else in the program uses it too: draw
    from the given generator, and leave the global one alone."""
    if generator is not None:
        seed = torch.randint(2**31, (), generator=generator).item()
        torch.manual_seed(seed)
    return sample_next(logits, config, None, ids)


@wrong(caught_by=["next_call_draws_new_numbers"])
def sample_next__restarts_the_generator(logits, config, generator=None, ids=None):
    """Every call draws the same numbers: the generator was seeded anew. Its state has to move on
    from one call to the next."""
    if generator is not None:
        generator.manual_seed(generator.initial_seed())
    return sample_next(logits, config, generator, ids)


@wrong(caught_by=["temperature_zero_draws_nothing"], crashes=["float16_survives_a_low_temperature"])
def sample_next__draws_at_temperature_zero(logits, config, generator=None, ids=None):
    """A random number was used up at temperature 0, where there is nothing to draw."""
    probs = process_logits(logits, ids, config).float().softmax(-1)
    return torch.multinomial(probs, 1, generator=generator)[:, 0]


@wrong(caught_by=["temperature_zero_takes_the_first_maximum"])
def sample_next__takes_the_last_of_equals(logits, config, generator=None, ids=None):
    """At temperature 0 the last one of equally likely tokens was taken. It is the first one."""
    if config.temperature > 0:
        return sample_next(logits, config, generator, ids)
    looked_back = process_logits(logits, ids, only(config, *LOOKS_BACK))
    return logits.shape[-1] - 1 - looked_back.flip(-1).argmax(-1)


@wrong(
    caught_by=["each_row_has_its_own_probabilities"], crashes=["float16_survives_a_low_temperature"]
)
def sample_next__uses_the_first_row_for_all(logits, config, generator=None, ids=None):
    """All tokens were drawn from the probabilities of the first row: each row has its own."""
    if config.temperature == 0:
        return sample_next(logits, config, generator, ids)
    probs = process_logits(logits, ids, config).float().softmax(-1)
    return torch.multinomial(probs[0], len(probs), replacement=True, generator=generator)


@wrong(
    caught_by=[
        "draws_follow_the_probabilities",
        "each_row_has_its_own_probabilities",
        "float16_survives_a_low_temperature",
        "half_precision_loses_no_token",
    ]
)
def sample_next__one_number_for_all_rows(logits, config, generator=None, ids=None):
    """One random number served all rows, so that equal rows get equal tokens. Each row needs a draw
    of its own."""
    if config.temperature == 0:
        return sample_next(logits, config, generator, ids)
    sums = process_logits(logits, ids, config).float().softmax(-1).cumsum(-1)
    number = torch.rand((), generator=generator).to(sums.device) * sums[:, -1:]
    return (sums <= number).sum(-1)


@wrong(
    caught_by=["draws_follow_the_probabilities", "each_row_has_its_own_probabilities"],
    crashes=["float16_survives_a_low_temperature"],
)
def sample_next__returns_the_rank(logits, config, generator=None, ids=None):
    """What came back is the place of the token among the sorted ones (0 = most likely), not its
    id."""
    if config.temperature == 0:
        return sample_next(logits, config, generator, ids)
    probs = process_logits(logits, ids, config).float().softmax(-1).sort(descending=True).values
    return torch.multinomial(probs, 1, generator=generator)[:, 0]


@wrong(
    caught_by=[
        "draws_follow_the_probabilities",
        "float16_survives_a_low_temperature",
        "half_precision_loses_no_token",
        "temperature_zero_takes_the_first_maximum",
    ]
)
def sample_next__keeps_a_column(logits, config, generator=None, ids=None):
    """The result has a second axis of size 1, as `torch.multinomial` returns it. One id per row was
    asked for."""
    return sample_next(logits, config, generator, ids)[:, None]


@wrong(caught_by=["float16_survives_a_low_temperature", "half_precision_loses_no_token"])
def sample_next__adds_in_half_precision(logits, config, generator=None, ids=None):
    """The probabilities were added up in bfloat16, where a small one gets lost beside a large sum.
    Compute them in float32."""
    if config.temperature == 0:
        return sample_next(logits, config, generator, ids)
    sums = process_logits(logits, ids, config).softmax(-1).cumsum(-1)
    numbers = torch.rand(len(sums), 1, generator=generator, dtype=torch.float32).to(sums)
    return (sums <= numbers * sums[:, -1:]).sum(-1)


@wrong(crashes=["float16_survives_a_low_temperature"])
def sample_next__divides_in_float16(logits, config, generator=None, ids=None):
    """The temperature was applied in float16, whose largest number is 65504: above it logits become
    infinite, and their softmax is NaN. Convert to float32 first, not only for the softmax."""
    logits = process_logits(logits, ids, config)
    if config.temperature == 0:
        return logits.argmax(-1)
    probs = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return torch.multinomial(probs, 1, generator=generator)[:, 0]
