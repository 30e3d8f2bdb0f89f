import pytest
import torch

from kata.check import close, raises
from kata.tensors import generator, normal

REMOVED = float("-inf")
DRAWS = 24_000
# Which tokens are left when the steps run in the right order, and the two that must not change
# places. With them in the other order the result is another one.
ORDERS = {
    "penalty, temperature": ([0.6, 0.4], {"repetition_penalty": 3.0, "temperature": 0.0}, [1]),
    "n-grams, top-k": ([0.5, 0.3, 0.2], {"no_repeat_ngram_size": 1, "top_k": 1}, [1]),
    "temperature, top-p": ([0.5, 0.25, 0.15, 0.1], {"temperature": 0.5, "top_p": 0.6}, [0]),
    "temperature, min-p": ([0.5, 0.25, 0.15, 0.1], {"temperature": 0.5, "min_p": 0.4}, [0]),
    "top-k, top-p": ([0.4, 0.3, 0.2, 0.1], {"top_k": 2, "top_p": 0.55}, [0]),
    "top-p, min-p": ([0.4, 0.3, 0.2, 0.1], {"top_p": 0.55, "min_p": 0.6}, [0, 1]),
    "min-p, typical": ([0.4, 0.3, 0.2, 0.1], {"min_p": 0.7, "typical_p": 0.3}, [0]),
}
# The probabilities of [0.4, 0.3, 0.2, 0.1] when token 0 is all the text so far.
CASES = [
    ({}, [0.4, 0.3, 0.2, 0.1]),
    ({"temperature": 0.5}, [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
    ({"temperature": 0.5, "top_k": 3}, [16 / 29, 9 / 29, 4 / 29, 0.0]),
    ({"repetition_penalty": 2.0}, [0.16 / 0.76, 0.3 / 0.76, 0.2 / 0.76, 0.1 / 0.76]),
    ({"min_p": 0.6}, [4 / 7, 3 / 7, 0.0, 0.0]),
]
REFUSED = [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}, {"min_p": 1.5}, {"typical_p": 0.0}]
COMBINED = [
    {"temperature": 1.5, "top_p": 0.8},
    {"top_k": 5, "top_p": 0.6},
    {"top_k": 100, "min_p": 0.02},
    {"repetition_penalty": 0.5, "no_repeat_ngram_size": 1, "typical_p": 0.6},
    {
        "repetition_penalty": 1.7,
        "no_repeat_ngram_size": 2,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.05,
        "typical_p": 0.8,
    },
]


def of_transformers(settings):
    """The same steps as one of transformers' lists, in the order of its `generate`."""
    from transformers.generation import logits_process as hf

    makers = {
        "repetition_penalty": hf.RepetitionPenaltyLogitsProcessor,
        "no_repeat_ngram_size": hf.NoRepeatNGramLogitsProcessor,
        "temperature": hf.TemperatureLogitsWarper,
        "top_k": hf.TopKLogitsWarper,
        "top_p": hf.TopPLogitsWarper,
        "min_p": hf.MinPLogitsWarper,
        "typical_p": hf.TypicalLogitsWarper,
    }
    steps = [make(settings[name]) for name, make in makers.items() if name in settings]
    return hf.LogitsProcessorList(steps)


def assert_drawn_from(ids, probs):
    """Pearson's test: by chance it fails once in a million draws of the right distribution."""
    assert tuple(ids.shape) == (len(ids),), "the shape, with one id per row"
    expected = torch.tensor(probs, dtype=torch.float64)
    frequencies = torch.bincount(ids, minlength=len(expected)).double() / len(ids)
    # A removed token has probability 0: drawing it once is too much.
    terms = (frequencies - expected).square() / expected.clamp_min(1e-12)
    if len(ids) * terms.sum() > 32:
        rough = ", ".join(f"{5 * round(20 * p)} %" for p in frequencies.tolist())
        exact = ", ".join(f"{p:.1%}" for p in probs)
        pytest.fail(f"drawn, in steps of 5 %: {rough}\nexpected: {exact}")


@pytest.mark.parametrize(("probs", "settings", "kept"), ORDERS.values(), ids=ORDERS)
def test_each_step_sees_the_result_of_the_one_before(answer, probs, settings, kept):
    logits, config = torch.tensor(probs).log(), answer.SamplingConfig(**settings)
    scaled = logits / (config.temperature or 1.0)
    expected = torch.full_like(logits, REMOVED).index_copy(0, torch.tensor(kept), scaled[kept])
    close(answer.process_logits(logits, torch.tensor([0]), config), expected, "vocab")


@pytest.mark.parametrize("settings", COMBINED, ids=lambda settings: " ".join(settings))
@pytest.mark.parametrize("scale", [3.0, 1e4])
def test_agrees_with_transformers(answer, scale, settings):
    logits, ids = normal(8, 60) * scale, (normal(8, 9, seed=1) * 4).long() % 6
    logits[:, 4] = REMOVED
    expected = of_transformers(settings)(ids, logits.clone())
    actual = answer.process_logits(logits, ids, answer.SamplingConfig(**settings))
    close(actual, expected, "batch vocab")


def test_every_row_has_its_own_text(answer):
    logits, ids = normal(2, 3, 9), torch.arange(12).view(2, 3, 2) % 9
    expected = logits.scatter(-1, ids, REMOVED)
    config = answer.SamplingConfig(no_repeat_ngram_size=1)
    close(answer.process_logits(logits, ids, config), expected, "a b vocab")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_nothing_asked_for_changes_nothing(answer, dtype):
    logits = normal(3, 70, dtype=dtype)
    actual = answer.process_logits(logits.clone(), None, answer.SamplingConfig())
    close(actual, logits, "batch vocab", rtol=0, atol=0)


@pytest.mark.parametrize("settings", REFUSED, ids=str)
def test_refused_values_are_refused_here_too(answer, settings):
    config, ids = answer.SamplingConfig(**settings), torch.tensor([[0], [3]])
    with raises(ValueError):
        answer.process_logits(normal(2, 5), ids, config)


@pytest.mark.parametrize("settings", [{"repetition_penalty": 1.2}, {"no_repeat_ngram_size": 2}])
def test_penalties_without_a_text_are_an_error(answer, settings):
    with raises(ValueError):
        answer.sample_next(normal(2, 5), answer.SamplingConfig(**settings))


def test_inputs_are_not_modified(answer):
    logits, ids = normal(2, 7), torch.tensor([[1, 2], [3, 4]])
    config = answer.SamplingConfig(0.5, 3, 0.9, 0.1, 0.9, 1.3, 1)
    answer.sample_next(logits, config, generator(), ids)
    close(logits, normal(2, 7), "batch vocab")
    assert ids.tolist() == [[1, 2], [3, 4]], "the ids that were passed, afterwards"


@pytest.mark.parametrize(("settings", "expected"), CASES)
def test_draws_follow_the_probabilities(answer, settings, expected):
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().repeat(DRAWS, 1)
    ids = torch.zeros(DRAWS, 1, dtype=torch.int64)
    actual = answer.sample_next(logits, answer.SamplingConfig(**settings), generator(), ids)
    assert_drawn_from(actual, expected)


def test_each_row_has_its_own_probabilities(answer):
    probs = [[0.1, 0.2, 0.7], [0.6, 0.4, 0.0]]
    logits = torch.tensor(probs).log().repeat(DRAWS, 1)
    even, odd = answer.sample_next(logits, answer.SamplingConfig(), generator()).view(-1, 2).T
    assert_drawn_from(even, probs[0])
    assert_drawn_from(odd, probs[1])


def test_half_precision_loses_no_token(answer):
    # The probability of each is a number of bfloat16. The sums of many of them are not.
    logits = torch.zeros(8000, 512, dtype=torch.bfloat16)
    ids = answer.sample_next(logits, answer.SamplingConfig(), generator())
    assert_drawn_from(ids % 4, [0.25] * 4)


def test_float16_survives_a_low_temperature(answer):
    logits = torch.tensor([[1e4, 0.0, 2e4, -1e4]], dtype=torch.float16).repeat(9, 1)
    ids = answer.sample_next(logits, answer.SamplingConfig(temperature=0.1), generator())
    assert ids.tolist() == [2] * 9


def test_temperature_zero_takes_the_first_maximum(answer):
    logits, config = torch.tensor([[0.0, 2, 2], [5, 1, 5]]), answer.SamplingConfig(temperature=0.0)
    close(answer.sample_next(logits, config), torch.tensor([1, 0]), "batch")


def test_temperature_zero_draws_nothing(answer):
    rng, expected = generator(3), torch.rand(4, generator=generator(3))
    answer.sample_next(normal(2, 7), answer.SamplingConfig(temperature=0.0), rng)
    close(torch.rand(4, generator=rng), expected, "next_number")


def test_same_seed_gives_the_same_tokens(answer, device):
    torch.manual_seed(1)  # the global generator, which has no part in it
    config = answer.SamplingConfig(temperature=0.9)
    expected = answer.sample_next(normal(50, 100), config, generator(5)).to(device)
    actual = answer.sample_next(normal(50, 100).to(device), config, generator(5))
    close(actual, expected, "batch")


def test_next_call_draws_new_numbers(answer):
    rng, config = generator(5), answer.SamplingConfig()
    first, second = (answer.sample_next(normal(50, 100), config, rng).tolist() for _ in range(2))
    assert first != second, "the second call drew the same tokens again"


def test_global_generator_is_left_alone(answer):
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    answer.sample_next(normal(50, 100), answer.SamplingConfig(), generator(5))
    close(torch.rand(4), expected, "next_number")
