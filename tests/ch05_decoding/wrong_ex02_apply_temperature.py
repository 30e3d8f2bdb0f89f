import math

import torch
import torch.nn.functional as F

from kata.wrong import wrong


def check(temperature):
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be finite and at least 0, got {temperature}")


def only(logits, best):
    return torch.full_like(logits, -math.inf).scatter(-1, best, logits.gather(-1, best))


@wrong(caught_by=["divides_by_the_temperature", "agrees_with_transformers", "keeps_the_dtype"])
def apply_temperature__multiplies(logits, temperature):
    """The logits were multiplied by the temperature. Divide: a low temperature makes the
    differences larger."""
    check(temperature)
    if temperature == 0:
        return only(logits, logits.argmax(-1, keepdim=True))
    return logits * temperature


@wrong(caught_by=["divides_by_the_temperature", "agrees_with_transformers", "keeps_the_dtype"])
def apply_temperature__returns_probabilities(logits, temperature):
    """Probabilities were returned. The result is logits again, for the next filter to work on."""
    check(temperature)
    if temperature == 0:
        return only(logits, logits.argmax(-1, keepdim=True))
    return (logits / temperature).softmax(-1)


@wrong(
    caught_by=[
        "zero_keeps_only_the_most_likely",
        "zero_keeps_the_first_of_equal_ones",
        "zero_for_any_leading_axes",
        "zero_with_huge_and_hidden_logits",
        "keeps_the_dtype",
    ]
)
def apply_temperature__divides_by_almost_zero(logits, temperature):
    """Temperature 0 became a division by a tiny number. The logits are then gigantic, equal ones
    still share the probability, and nothing is -inf: treat 0 as a case of its own."""
    check(temperature)
    return logits / max(temperature, 1e-9)


@wrong(
    caught_by=[
        "zero_keeps_only_the_most_likely",
        "zero_keeps_the_first_of_equal_ones",
        "zero_for_any_leading_axes",
        "zero_with_huge_and_hidden_logits",
        "keeps_the_dtype",
    ]
)
def apply_temperature__divides_by_zero(logits, temperature):
    """The logits were divided by 0: the results are infinite, or NaN for a logit of 0. Treat 0 as
    a case of its own."""
    check(temperature)
    return logits / temperature


@wrong(
    crashes=[
        "zero_keeps_only_the_most_likely",
        "zero_keeps_the_first_of_equal_ones",
        "zero_for_any_leading_axes",
        "zero_with_huge_and_hidden_logits",
        "input_is_not_modified",
        "keeps_the_dtype",
        "stays_on_the_device_of_the_input",
    ]
)
def apply_temperature__refuses_zero(logits, temperature):
    """Temperature 0 was refused. It is allowed, and means the most likely token."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature}")
    return logits / temperature


@wrong(caught_by=["refuses_impossible_temperatures"])
def apply_temperature__accepts_negative_ones(logits, temperature):
    """A negative temperature was accepted. It makes the least likely token the most likely one:
    raise a ValueError."""
    if math.isnan(temperature) or math.isinf(temperature):
        raise ValueError(f"temperature must be finite, got {temperature}")
    if temperature == 0:
        return only(logits, logits.argmax(-1, keepdim=True))
    return logits / temperature


@wrong(caught_by=["refuses_impossible_temperatures"])
def apply_temperature__accepts_nan_and_infinity(logits, temperature):
    """A temperature that is infinite or NaN was accepted. NaN is not less than 0, so asking for
    `temperature < 0` does not find it."""
    if temperature < 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")
    if temperature == 0:
        return only(logits, logits.argmax(-1, keepdim=True))
    return logits / temperature


@wrong(caught_by=["input_is_not_modified"])
def apply_temperature__modifies_the_input(logits, temperature):
    """`logits` itself was changed: `/=`, `div_` and indexed assignment write into the caller's
    tensor."""
    check(temperature)
    if temperature == 0:
        logits[:] = only(logits, logits.argmax(-1, keepdim=True))
    else:
        logits /= temperature
    return logits


@wrong(caught_by=["zero_keeps_the_first_of_equal_ones", "zero_with_huge_and_hidden_logits"])
def apply_temperature__keeps_all_equal_ones(logits, temperature):
    """At temperature 0 every token with the largest logit was kept, so that equal ones are still
    drawn at random. Keep the first one only."""
    check(temperature)
    if temperature == 0:
        return logits.masked_fill(logits < logits.amax(-1, keepdim=True), -math.inf)
    return logits / temperature


@wrong(
    caught_by=[
        "zero_keeps_only_the_most_likely",
        "zero_for_any_leading_axes",
        "zero_with_huge_and_hidden_logits",
        "keeps_the_dtype",
    ]
)
def apply_temperature__one_best_for_all_rows(logits, temperature):
    """At temperature 0 one token was kept in the whole tensor: `argmax()` without an axis looks at
    all rows together. Each row has its own most likely token."""
    check(temperature)
    if temperature == 0:
        best = logits == logits.max()
        return logits.masked_fill(~(best & (best.cumsum(-1) == 1)), -math.inf)
    return logits / temperature


@wrong(crashes=["zero_keeps_the_first_of_equal_ones", "zero_for_any_leading_axes"])
def apply_temperature__knows_two_axes_only(logits, temperature):
    """At temperature 0 the vocabulary was taken to be axis 1. With other leading axes than one
    batch axis it is not: count from the end."""
    check(temperature)
    if temperature == 0:
        best = logits.argmax(1, keepdim=True)
        return torch.full_like(logits, -math.inf).scatter(1, best, logits.gather(1, best))
    return logits / temperature


@wrong(
    caught_by=[
        "zero_keeps_only_the_most_likely",
        "zero_keeps_the_first_of_equal_ones",
        "zero_for_any_leading_axes",
        "zero_with_huge_and_hidden_logits",
        "keeps_the_dtype",
    ]
)
def apply_temperature__zero_gives_one_hot(logits, temperature):
    """At temperature 0 the result was 1 for the best token and 0 for the others. As logits that
    gives the others a good chance: keep the best logit, and make the others -inf."""
    check(temperature)
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    return logits / temperature


@wrong(caught_by=["keeps_the_dtype", "stays_on_the_device_of_the_input"])
def apply_temperature__fills_a_new_tensor(logits, temperature):
    """The result was written into a new `torch.full(...)`, which is float32 and on the CPU
    whatever `logits` is."""
    check(temperature)
    if temperature == 0:
        result = torch.full(logits.shape, -math.inf)
        best = logits.argmax(-1, keepdim=True)
        return result.scatter(-1, best, logits.gather(-1, best).to(torch.float32))
    return logits / temperature
